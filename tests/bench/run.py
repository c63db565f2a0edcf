#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py - the bench: every figure of design.md's table "What it must reach", measured

    tests/bench/run.py [--build build] [--quick] [--only NAME[:PART]] [--pairs N] [--json FILE]

Prints a table: figure, measured, target, verdict. Both sides of a comparison run in turns in the same run, and equals
are compared beside them (A/A), for machines are noisy; nothing here is a test, and a missed figure is no error. The
exit code is 1 only where a measurement went wrong.

Context: a developer's shell; Python's standard library only
"""

import argparse
import atexit
import dataclasses
import datetime
import json
import os
import pathlib
import resource
import signal
import sys
import textwrap

import accuracy
import cost
import machine
import reader
import throughput
from measure import FAILED, Figure

ROOT = pathlib.Path(__file__).resolve().parents[2]

# In the order in which they are run; the quick ones first.
BENCHES = {
    "hotpath": cost.run_hotpath,
    "api": cost.run_api,
    "pause": cost.run_pause,
    "python": cost.run_python,
    "evidence": cost.run_evidence,
    "wakeups": cost.run_wakeups,
    "memory": cost.run_memory,
    "loops": cost.run_loops,
    "reader": reader.run,
    "detection": accuracy.run_detection,
    "accuracy": accuracy.run,
    "throughput": throughput.run,
}
NOISE = 0.05
WIDTH_NAME, WIDTH_TARGET, WIDTH_ALL = 58, 22, 165


class Options(argparse.Namespace):
    """The command line, and where things lie in the build folder."""

    @property
    def library(self):
        return self.build / "src" / "libloopdog.so"

    @property
    def switched_library(self):
        return self.build / "tests" / "bench" / "libbench_agent.so"

    def program(self, name):
        return self.build / "tests" / "bench" / f"bench_{name}"

    def check_build(self):
        lacking = [p for p in (self.library, self.switched_library, self.program("accuracy")) if not p.exists()]
        if lacking:
            sys.exit(f"bench: {lacking[0]} is missing: build with -Dtests=true first")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="benches: " + ", ".join(BENCHES))
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="meson's build folder")
    parser.add_argument("--quick", action="store_true", help="short runs and few pairs: to try the bench itself")
    parser.add_argument("--only", metavar="NAME[:PART]",
                        help="one bench; for throughput also part of a workload's name, like throughput:redis")
    parser.add_argument("--pairs", type=int, help="rounds of each throughput workload (15, quick 5)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all figures and their data to FILE")
    options = parser.parse_args(namespace=Options())
    options.build = options.build.resolve()
    options.pairs = options.pairs or (5 if options.quick else 15)
    if options.only and options.only.split(":")[0] not in BENCHES:
        parser.error(f"no bench {options.only}; there are {', '.join(BENCHES)}")
    return options


def print_figure(figure):
    """One line, its measured part folded where it is long, and its notes below."""
    width = WIDTH_ALL - WIDTH_NAME - WIDTH_TARGET - 16
    parts = textwrap.wrap(figure.measured, width) or [""]
    print(f"{figure.name:<{WIDTH_NAME}} {parts[0]:<{width}}  {figure.target:<{WIDTH_TARGET}} {figure.verdict}".rstrip())
    for part in parts[1:]:
        print(f"{'':<{WIDTH_NAME}} {part}")
    for note in figure.notes:
        print(textwrap.fill(note, WIDTH_ALL, initial_indent="    | ", subsequent_indent="    | "))
    sys.stdout.flush()


class Disturbance:
    """What the machine did besides, from its begin to its end: shares of all CPUs."""

    def __init__(self):
        self.whole, self.own_s = machine.cpu_shares(), self.own_seconds()

    @staticmethod
    def own_seconds():
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def shares(self):
        """Call it when all children have been waited for: only then their time is known."""
        busy, stolen, whole = (after - then for after, then in zip(machine.cpu_shares(), self.whole))
        own = (self.own_seconds() - self.own_s) * os.sysconf("SC_CLK_TCK")
        return {"others": max(0, busy - own) / max(whole, 1), "stolen": stolen / max(whole, 1)}


def run_bench(name, options):
    """Its figures; what goes wrong becomes one of them."""
    disturbance = Disturbance()
    figures = []
    try:
        for figure in BENCHES[name](options):
            figures.append(figure)
            print_figure(figure)
    except machine.PROBLEMS as problem:
        figures.append(Figure.unmeasured(name, problem))
        print_figure(figures[-1])
    finally:
        machine.end_all()
    noise = disturbance.shares()
    if noise["others"] > NOISE or noise["stolen"] > NOISE:
        print(f"    | during {name} other programs used {noise['others'] * 100:.0f} % of the CPUs, the hypervisor "
              f"took {noise['stolen'] * 100:.0f} %: measure again when the machine is quiet")
    return [{"bench": name, **dataclasses.asdict(figure), "disturbance": noise} for figure in figures]


def main():
    options = parse_options()
    options.check_build()
    atexit.register(machine.end_all)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("bench: ended by SIGTERM"))
    about = machine.describe()
    print(f"{about['cpu']}, {about['cpus']} CPUs{' (virtual)' if about['virtual'] else ''}, Linux {about['kernel']}, "
          f"clock source {about['clocksource']}, load {about['load']:.2f}{', quick run' if options.quick else ''}")
    print_figure(Figure("figure", "measured", "target", "verdict"))
    chosen = [options.only.split(":")[0]] if options.only else list(BENCHES)
    began = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    figures = [figure for name in chosen for figure in run_bench(name, options)]
    if options.json:
        options.json.write_text(json.dumps({"began": began, "quick": options.quick, "machine": about,
                                            "figures": figures}, indent=1) + "\n")
    return 1 if any(figure["verdict"] == FAILED for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
