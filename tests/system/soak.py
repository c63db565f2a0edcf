#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py - at full length what the tests do in short: an hour and more on a machine that does nothing else

Each row of the table below is one program of the tests with the counts that belong to a soak. `./dev soak` runs all
rows, `./dev soak --only NAME` those whose name matches (a pattern like causes* or quiet); --list names them. What the
programs print is passed on; the last line sums it up: how many cases there were, how many captures were accepted in
them, and how many cases differed. For that a program prints TAP or is one of Criterion's, and says "N captures
accepted" wherever it counts some.

To add a row: its name, the program, its long form's arguments, and environment variables if it takes any.

Context: run by people
"""

import argparse
import collections
import fnmatch
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
UNIT = HERE.parents[1] / "build" / "tests" / "unit"
PYTHON = "/usr/bin/python3"

Row = collections.namedtuple("Row", "name argv environment", defaults=({},))


def system(name, *arguments):
    return Row(name, [PYTHON, "-B", HERE / f"test_{name}.py", *arguments])


def rows(seconds):
    """`seconds`: instead of the rows' own lengths, where they have one."""
    return [
        Row("python_race", [UNIT / "unit_python_race"], {"LOOPDOG_RACE_CAPTURES": "100000"}),
        Row("locks", [UNIT / "unit_locks"], {"LOOPDOG_LOCKS_CAPTURES": "10000"}),
        *(system(path.stem.removeprefix("test_"), "--runs", "20") for path in sorted(HERE.glob("test_causes_*.py"))),
        Row("storm", [UNIT / "unit_storm"], {"LOOPDOG_STORM_MS": "1050"}),
        system("guest_processes", "--long"),
        system("guest_threads", "--long"),
        system("guest_company"),
        system("transparent", "--long"),
        system("regions", "--long"),
        system("time", "--long"),
        system("output"),
        system("steady", "--long", "--seconds", seconds or 600),
        system("quiet", "--seconds", seconds or 60),
    ]


CASE = re.compile(r"^(not )?ok \d+ - (?!.*# SKIP)")
CRITERION = re.compile(r"Tested: (\d+) \|.* Failing: (\d+) \| Crashing: (\d+)")
ACCEPTED = re.compile(r"\b(\d+) (?:captures accepted|of them inside)\b")


class Sum:
    """What became of all rows so far."""

    def __init__(self):
        self.cases = self.captures = self.differences = 0
        self.failed = []

    def note(self, line):
        if case := CASE.match(line):
            self.cases += 1
            self.differences += bool(case[1])
        if tests := CRITERION.search(line):
            self.cases += int(tests[1])
            self.differences += int(tests[2]) + int(tests[3])
        self.captures += sum(int(count) for count in ACCEPTED.findall(line))

    def run(self, row):
        print(f"# {row.name}: {' '.join(str(word) for word in row.argv)}", flush=True)
        began = time.monotonic()
        with subprocess.Popen([str(word) for word in row.argv], env=os.environ | row.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace") as program:
            for line in program.stdout:
                print(line, end="", flush=True)
                self.note(line)
        if program.returncode:
            self.failed.append(row.name)
        print(f"# {row.name}: status {program.returncode} after {time.monotonic() - began:.0f} s", flush=True)

    def __str__(self):
        verdict = f"; failed: {', '.join(self.failed)}" if self.failed else ""
        return (f"soak: {self.cases} cases, {self.captures} captures accepted, {self.differences} differences{verdict}")


def main():
    parser = argparse.ArgumentParser(description="the tests at full length")
    parser.add_argument("--only", default="*", metavar="NAME", help="rows whose name matches this pattern")
    parser.add_argument("--seconds", type=float, help="how long each case of steady and quiet runs (600 and 60)")
    parser.add_argument("--list", action="store_true", help="print the rows")
    options = parser.parse_args()
    chosen = [row for row in rows(options.seconds) if fnmatch.fnmatch(row.name, options.only)]
    if not chosen:
        parser.error(f"no row is called {options.only}; --list shows them")
    if options.list:
        print("\n".join(row.name for row in chosen))
        return 0
    total = Sum()
    for row in chosen:
        total.run(row)
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
