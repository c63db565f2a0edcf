#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_transparent.py - a call that is captured does what it does alone

The victim `transparent` makes every call that a signal can interrupt in a callback of its own loop and tells what it
saw: result, errno, what was stored, how often its signal handlers ran, how long it took. The runs with the agent, with
one capture a call and with a storm of them, must tell the same as the runs without; so must those in which signals of
the program's own arrive, at random moments that are the same in each run, whose handlers restart calls or do not.

A call that could not be judged, because the machine gave the signals' sender no CPU, took its time elsewhere or had too
few captures, is made again, on both sides, and so is one that met a limit that docs/limits.md names for it. Any other
difference is one at once.

Short: calls of 300 ms. `--long` (./dev soak): of 1,050 ms, in which a hundred captures are tried, some 10 ms apart, of
which at least 80 must be accepted, and of a call that ends early as many in its time; 15 of calls that run rather than
sleep, where a signal must come in time.

Context: system test
"""

import collections
import json

import harness
import records

suite = harness.Suite("transparent")
LONG = suite.options.long
CALL_MS = 1050 if LONG else 300
SHARES = 6                  # processes: an agent keeps stacks of 32 stalls at a time
TOGETHER = 2 if LONG else 6
EARLY_MS = 12               # a tick of the kernel, by which a socket's time limit may be short
LATE_MS = 120
ROUNDS = 10
SECONDS = 60

# The least captures accepted: in a call that sleeps for CALL_MS, and in one that runs (CALL_RUNS in tests/calls).
Way = collections.namedtuple("Way", "name threshold interval least_asleep least_running")
# One capture at the threshold and often one before it, at half of it; or one at each interval.
WAYS = [Way("once", f"{CALL_MS // 30}ms", "60s", 1, 1),
        Way("storm", "1ms", "9ms", 80 if LONG else 1, 15 if LONG else 1)]
ROWS_LEAST = 150            # of tests/calls, without those of liburing; made or skipped
# Why a machine may not be able to make a call. Anything else that keeps one from being made is a failure.
SKIPS = {
    "pidfd_open is refused here": "a container's filter, or a kernel before 5.3",
    "io_setup is refused here": "a container's filter, or a kernel without CONFIG_AIO",
    "io_uring is refused here": "a container's filter, or the sysctl kernel.io_uring_disabled",
    "no pseudo-terminal can be made here": "/dev/pts is not mounted",
    "this kernel has no futex_waitv (5.16)": "as it says",
    "no POSIX message queue can be made here": "a limit on queues of the user's, or a kernel without them",
}
COMPARED = ("result", "error", "seen", "sent")


class Run:
    """What all calls saw in one run of the victim's processes."""

    def __init__(self):
        self.lines, self.samples, self.captures, self.skipped = {}, {}, 0, {}

    def add_output(self, text):
        for line in map(json.loads, text.splitlines()):
            if "skipped" in line:
                self.skipped[line["call"]] = line["skipped"]
            else:
                self.lines[line["call"]] = line

    def add_records(self, book, pids):
        threads = {line["thread"]: call for call, line in self.lines.items()}
        for stall in book.stalls(startup=False):
            if stall["pid"] in pids and stall.get("thread") in threads:
                self.samples[threads[stall["thread"]]] = stall["samples"] - stall["lost"]["samples"]
        for line in book.all("exit"):
            if line["pid"] in pids:
                self.captures += line["captures"] - line["lost"]["samples"]


_runs = 0


def run(place, own, way, names):
    """Make all calls (or those named) once; way None: without the agent."""
    global _runs
    _runs += 1
    found, pids = Run(), []
    shares = range(SHARES)
    victim = f"{suite.options.victims}/transparent"
    env = {"LOOPDOG_INTERVAL": way.interval} if way else {}
    threshold = way.threshold if way else "1ms"
    for first in shares[::TOGETHER]:
        programs = [place.start(f"run-{_runs}-{share}", [victim, CALL_MS, share, SHARES, own, *names], env=env,
                                threshold=threshold, preload=way is not None)
                    for share in shares[first:first + TOGETHER]]
        for program in programs:
            program.wait(SECONDS)
            found.add_output(program.output())
            pids.append(program.pid)
    if way and not place.plain:
        found.add_records(records.Book.read(place.records_folder), set(pids))
    return found


def meets_limit(without, watched):
    """One of the differences that docs/limits.md names: a signal of ours met a call that was just entered."""
    return watched["limited"] and any(watched[key] != without[key] for key in COMPARED)


def outlived_a_signal(without, watched):
    """It ended alike, but by the next signal: a thread that gets no CPU meets two at once, and a known limit shows so,
    too. Where it happens each time it is a difference."""
    return (abs(watched["sent"] - without["sent"]) == 1 and
            all(watched[key] == without[key] for key in COMPARED if key not in ("sent", "seen")))


def doubts(without, watched, samples, least):
    """Why a pair of lines tells nothing, or ''."""
    if outlived_a_signal(without, watched):
        return "it was ended by another signal"
    if meets_limit(without, watched):
        return "a known limit was met"
    if without["shaken"] or watched["shaken"]:
        return "a signal came late"
    off_ms = watched["ms"] - without["ms"]
    if not -EARLY_MS < off_ms < LATE_MS:
        return f"{watched['ms']} ms instead of {without['ms']}"
    return f"{samples} captures accepted instead of {least}" if samples < least else ""


def differences(without, watched):
    return [f"{call}: {key} is {watched[call][key]!r} with the agent and {line[key]!r} without"
            for call, line in without.items() for key in COMPARED
            if call in watched and watched[call][key] != line[key] and not (watched[call]["shaken"] or line["shaken"])
            and not watched[call]["limited"] and not outlived_a_signal(line, watched[call])]


def least_samples(way, line):
    """How many captures must have been accepted in a call. One that ended early had time for fewer."""
    if line["runs"]:
        return way.least_running
    return max(1, int(way.least_asleep * min(1, line["ms"] / CALL_MS)))


def judge(place, own, way, without, names):
    """One more run. (what differs, {call: why it must be made again}, the run)"""
    watched = run(place, own, way, names)
    again = {call: doubts(without.lines[call], line, watched.samples.get(call, 0),
                          0 if place.plain else least_samples(way, line))
             for call, line in watched.lines.items()}
    return differences(without.lines, watched.lines), {call: why for call, why in again.items() if why}, watched


def compare(place, own, way, without):
    samples, captures, names, again = 0, 0, [], {}
    for attempt in range(ROUNDS):
        wrong, again, watched = judge(place, own, way, without, names)
        harness.check(not wrong, "\n".join(wrong))
        samples += sum(watched.samples.values())
        captures += watched.captures
        if not again:
            break
        names = sorted(again)
        if attempt + 1 < ROUNDS:
            without.lines.update(run(place, own, None, names).lines)
    harness.check(not again, f"after {ROUNDS} runs still in doubt: {again}")
    if not place.plain:
        place.note(f"{way.name}: {captures} captures accepted, {samples} of them in the calls, no difference")


def check_alone(found):
    """The calls do without us what their table says, and nothing else is compared."""
    wrong = [f"{call} alone: {line['result']}, error {line['error']} instead of {line['expected']}"
             for call, line in found.lines.items() if [line["result"], line["error"]] != line["expected"]]
    harness.check(not wrong, "\n".join(wrong))


def check_rows(found):
    """All calls of the table were made but for those that this machine can't make."""
    count = len(found.lines) + len(found.skipped)
    harness.check(count >= ROWS_LEAST, f"only {count} calls instead of {ROWS_LEAST}")
    unknown = {call: why for call, why in found.skipped.items() if why not in SKIPS}
    harness.check(not unknown, f"not made for a reason that is not listed: {unknown}")


def add(own, title):
    @suite.case(f"transparent: {title}")
    def case(place):
        without = run(place, own, None, [])
        if own == "none":
            check_alone(without)
        check_rows(without)
        place.note(f"{len(without.lines)} calls of {CALL_MS} ms")
        for call, why in without.skipped.items():
            place.note(f"not made: {call}: {why}")
        for way in WAYS:
            compare(place, own, way, without)


add("none", "calls are captured and do what they do alone")
add("plain", "with signals of the program's own that interrupt")
add("restart", "with signals of the program's own that restart")
raise SystemExit(suite.main())
