#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_regions.py - a watched program may hold any lock of libc's, and there is no deadlock

The victim `regions` stalls in malloc, in C++ exceptions, dlopen and dlclose, dl_iterate_phdr, a cycle through the
loader's lock, stdio, fork and an exit handler, while another thread contends, and the agent captures and unwinds it
each millisecond. (unit_locks does the same with the capture alone, and counts by a flag in the copied stack.) Each
program must end well, and its stalls must be recorded with their samples.

Short: until 100 samples of each region have been taken. `--long` (./dev soak): 10,000.

Context: system test
"""

import collections

import harness

suite = harness.Suite("regions")
WANTED = 10000 if suite.options.long else 100
ROUNDS = 100 if suite.options.long else 5
RUNS = 40 if suite.options.long else 12  # at most; a machine with other work lets fewer samples be taken
TOGETHER = 2
SECONDS = 120
REGIONS = ("malloc", "C++ throw", "dlopen and dlclose", "dl_iterate_phdr", "a cycle through the loader's lock", "stdio",
           "fork", "exit")
# The agent's own handler of pthread_atfork() ends the watchdog before libc takes a lock for the fork, and the loop's
# next wait, which comes after the stall, begins it again: no capture of the agent's can fall into a fork by its thread
# or by another. unit_locks captures within fork() without that handler.
UNSAMPLED = "fork"


def start(place, name, run):
    return place.start(f"{name.replace(' ', '-')}-{run}", [f"{suite.options.victims}/regions", name, ROUNDS],
                       threshold="5ms", env={"LOOPDOG_INTERVAL": "1ms"})


def samples_of(place, programs):
    """By region, of all runs so far. A capture that was given up is a sample too; it is none that counts."""
    names = {program.pid: name for name, program in programs}
    samples = collections.Counter()
    for stall in place.read().stalls(startup=False):
        samples[names[stall["pid"]]] += stall["samples"] - stall["lost"]["samples"]
    return samples


@suite.case("regions: no lock of libc's stops the watchdog or the program")
def all_regions(place):
    if not (harness.pathlib.Path(suite.options.victims) / "regions").exists():
        raise harness.Skip("regions was not built: there is no C++ compiler")
    programs, left, samples = [], list(REGIONS), {}
    for run in range(RUNS):
        for first in range(0, len(left), TOGETHER):
            pair = [(name, start(place, name, run)) for name in left[first:first + TOGETHER]]
            for _, program in pair:
                program.wait(SECONDS)
            programs += pair
        samples = samples_of(place, programs)
        left = [name for name in left if samples[name] < WANTED and name != UNSAMPLED]
        if not left or place.plain:
            break
    for name in REGIONS:
        place.note(f"{name}: {samples[name]} captures accepted")
    harness.check(place.plain or not left, f"after {RUNS} runs fewer than {WANTED} samples of {left}")


raise SystemExit(suite.main())
