# SPDX-License-Identifier: Apache-2.0
"""accuracy.py - planted stalls against reported ones

accuracy.c plants stalls and keeps a log of them by its own clocks; here that log is joined one to one with the
records: what was planted above 1.05 thresholds must be there, what was planted below 0.95 must not, and nothing else.
Half of the stalls run on an idle machine, half under a CPU hog on every CPU.

Lateness of detection is taken on the wall clock: from the moment of the threshold, by the victim's clock, to the time
in the stall-begin line, which is written after the first capture. A plain sleeper beside it, which does nothing but
sleep to a moment and look how late it is, shows what the machine itself does to a thread that wants to run at a
moment.

Context: bench; Python's standard library only
"""

import bisect
import datetime
import json
import pathlib
import sys
import threading
import time

import machine
from machine import Broken
from measure import FAILED, MET, MISSED, NOT_RESOLVED, Figure, at_least, at_most, median, percentile, spread, summary

FOUND_ABOVE, SILENT_BELOW = 1.05, 0.95
DURATION_MS, COMPLETE = 1.0, 0.99


def parse_ns(text):
    """RFC 3339 in UTC with microseconds, to nanoseconds since 1970, exactly."""
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return ((since.days * 86400 + since.seconds) * 1000000 + since.microseconds) * 1000


class Sleeper(threading.Thread):
    """Sleeps to a moment every 50 ms; `late_ms` is how late it woke."""

    def __init__(self):
        super().__init__(daemon=True)
        self.late_ms, self.stopping = [], False

    def run(self):
        moment = time.monotonic()
        while not self.stopping:
            moment = max(moment + 0.05, time.monotonic())
            time.sleep(max(0, moment - time.monotonic()))
            self.late_ms.append((time.monotonic() - moment) * 1000)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.join()


class Hogs:
    """A busy process on every CPU."""

    def __init__(self, wanted):
        self.wanted, self.processes = wanted, []

    def __enter__(self):
        if self.wanted:
            busy = [sys.executable, "-c", "while True: pass"]
            self.processes = [machine.Process(busy, machine.environment(), cpu=cpu) for cpu in machine.cpus()]
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stop()


class Outcome:
    """Planted stalls and what became of them."""

    def __init__(self, threshold_ns, truth, records):
        self.threshold_ns = threshold_ns
        self.truth = sorted(truth, key=lambda t: t["begin_real_ns"])
        self.reports = [[] for _ in self.truth]
        self.strangers = []  # records of nothing that was planted
        self.begun = {line["id"]: line for line in records if line["type"] == "stall-begin"}
        self.complete_signatures = {line["signature"] for line in records
                                    if line["type"] == "stall" and self.has_complete_stack(line)}
        begins = [t["begin_real_ns"] for t in self.truth]
        for line in records:
            if line["type"] == "stall":
                self.join(line, begins)

    @staticmethod
    def has_complete_stack(stall):
        return any(stack.get("complete") and stack.get("frames") for stack in stall.get("stacks", []))

    def join(self, stall, begins):
        """A record belongs to the planted stall that fills most of it."""
        begin_ns = parse_ns(stall["begin"])
        end_ns = begin_ns + stall["duration_ns"]
        first = bisect.bisect_right(begins, end_ns)

        def overlap(index):
            return min(end_ns, self.truth[index]["end_real_ns"]) - max(begin_ns, begins[index])
        near = [i for i in range(max(0, first - 3), first) if overlap(i) > stall["duration_ns"] / 2]
        if near:
            self.reports[max(near, key=overlap)].append(stall)
        else:
            self.strangers.append(stall)

    def thresholds(self, index):
        return self.duration_ns(index) / self.threshold_ns

    def duration_ns(self, index):
        return self.truth[index]["end_ns"] - self.truth[index]["begin_ns"]

    def pairs(self):
        return [(i, reports[0]) for i, reports in enumerate(self.reports) if len(reports) == 1]

    def above(self):
        """Indices of the stalls that must be found."""
        return [i for i in range(len(self.truth)) if self.thresholds(i) > FOUND_ABOVE]

    def found(self):
        return [i for i in self.above() if len(self.reports[i]) == 1]

    def false_reports(self):
        """Below the threshold, twice, or of nothing."""
        below = sum(len(r) for i, r in enumerate(self.reports) if self.thresholds(i) < SILENT_BELOW)
        twice = sum(len(r) - 1 for i, r in enumerate(self.reports) if len(r) > 1)
        return below, twice, len(self.strangers)

    def duration_errors_ms(self):
        return [abs(stall["duration_ns"] - self.duration_ns(i)) / 1e6 for i, stall in self.pairs()]

    def lateness_ms(self):
        """Wall clock: when the stall-begin line was written, after the moment of the threshold."""
        late = []
        for index, stall in self.pairs():
            if stall["id"] in self.begun:
                due_ns = self.truth[index]["begin_real_ns"] + self.threshold_ns
                late.append((parse_ns(self.begun[stall["id"]]["time"]) - due_ns) / 1e6)
        return late

    def says_itself_late_ms(self):
        return [stall["late_ns"] / 1e6 for _, stall in self.pairs()]

    def is_complete(self, index):
        """A repeat's stacks stand in an earlier record of the same signature."""
        stall = self.reports[index][0]
        return self.has_complete_stack(stall) or (stall.get("stacks_omitted", False)
                                                  and stall["signature"] in self.complete_signatures)

    def complete(self):
        return [i for i in self.found() if self.is_complete(i)]

    def right(self, what):
        """Found stalls with the culprit, or the cause, that was planted."""
        def says(stall):
            return (stall.get("culprit") or {}).get("function") if what == "culprit" else stall["cause"]
        return [i for i in self.found() if says(self.reports[i][0]) == self.truth[i][what]]

    def describe(self, index):
        """One planted stall and what was reported of it."""
        planted = self.truth[index]
        told = [f"id {s['id']}: {s['duration_ns'] / 1e6:.3f} ms, {s['cause']}, culprit "
                f"{(s.get('culprit') or {}).get('function')}, lost {s.get('lost')}" for s in self.reports[index]]
        return (f"{self.thresholds(index):.3f} thresholds, {self.duration_ns(index) / 1e6:.3f} ms, "
                f"{planted['culprit']} from {planted['where']}; reported: {'; '.join(told) or 'nothing'}")

    def worst(self):
        """What a person wants to see of what went wrong, for the JSON."""
        every = range(len(self.truth))
        found, culprit = set(self.found()), set(self.right("culprit"))
        wrong = {
            "missed": [i for i in self.above() if i not in found],
            "false": [i for i in every if self.reports[i] and self.thresholds(i) < SILENT_BELOW],
            "twice": [i for i in every if len(self.reports[i]) > 1],
            "duration": [i for i, s in self.pairs() if abs(s["duration_ns"] - self.duration_ns(i)) > DURATION_MS * 1e6],
            "culprit": [i for i in found if i not in culprit],
            "no complete stack": [i for i in found if not self.is_complete(i)],
        }
        lines = [f"{what}: {self.describe(i)}" for what, indices in wrong.items() for i in sorted(indices)]
        lines += [f"never planted: id {s['id']}, {s['duration_ns'] / 1e6:.1f} ms from {s['begin']}"
                  for s in self.strangers]
        return lines[:200]


def plant(options, threshold_ms, count, least, most, seed, hog=False):
    """Run the victim and join its truth with the records."""
    with machine.folder() as folder, Hogs(hog):
        folder = pathlib.Path(folder)
        (folder / "records").mkdir()
        environment = machine.environment(options.library, folder / "records", VICTIM_TRUTH=folder / "truth",
                                          LOOPDOG_THRESHOLD=f"{threshold_ms}ms")
        victim = machine.Process([options.program("accuracy"), threshold_ms, count, least, most, seed], environment,
                                 folder=folder)
        victim.wait(60 + count * (threshold_ms * most + 100) / 1000 * 4)
        truth = [json.loads(line) for line in (folder / "truth").read_text().splitlines()]
        if len(truth) != count:
            raise Broken(f"the victim planted {len(truth)} stalls instead of {count}")
        return Outcome(threshold_ms * 1000000, truth, machine.read_records(folder / "records"))


# ---- 1,000 planted stalls ----

def both(halves, count, of):
    """"12 of 12 idle, 11 of 12 under load" """
    return ", ".join(f"{len(count(half))} of {len(of(half))} {name}" for name, half in halves.items())


def every(halves, count, of):
    return MET if all(len(count(half)) == len(of(half)) for half in halves.values()) else MISSED


def judge_finding(halves):
    yield Figure("planted stalls above 1.05 thresholds found", both(halves, Outcome.found, Outcome.above), "all",
                 every(halves, Outcome.found, Outcome.above))
    false = {name: half.false_reports() for name, half in halves.items()}
    yield Figure("  reported though below 0.95, twice, or never planted",
                 ", ".join(f"{sum(counts)} {name}" for name, counts in false.items()), "none",
                 MET if not any(sum(counts) for counts in false.values()) else MISSED,
                 data={name: {"below": c[0], "twice": c[1], "strangers": c[2]} for name, c in false.items()})


def judge_content(halves):
    complete = sum(len(half.complete()) for half in halves.values())
    found = sum(len(half.found()) for half in halves.values())
    yield Figure("  with a stack to main or the thread's start", both(halves, Outcome.complete, Outcome.found),
                 "at least 99 %", at_least(complete / found, COMPLETE) if found else FAILED)
    yield Figure("  culprit is the planted function", both(halves, lambda h: h.right("culprit"), Outcome.found), "all",
                 every(halves, lambda h: h.right("culprit"), Outcome.found))
    yield Figure("  cause as planted", both(halves, lambda h: h.right("cause"), Outcome.found))


def judge_times(halves):
    errors = {name: half.duration_errors_ms() for name, half in halves.items()}
    late = {name: half.lateness_ms() for name, half in halves.items()}
    if not all(errors.values()):
        yield Figure("  error of the duration", "nothing was found", "at most 1 ms", FAILED)
        return
    text = "; ".join(f"{name}: {spread(values, 'ms')}" for name, values in errors.items())
    yield Figure("  error of the duration", text, "at most 1 ms",
                 at_most(max(max(values) for values in errors.values()), DURATION_MS),
                 data={name: summary(values) for name, values in errors.items()})
    yield Figure("  detection after the threshold, wall clock",
                 "; ".join(f"{name}: {spread(values, 'ms', 2)}" for name, values in late.items() if values),
                 data={name: {"wall_ms": summary(values), "late_ns_ms": summary(halves[name].says_itself_late_ms())}
                       for name, values in late.items()})


def run(options):
    threshold_ms, count = (20, 120) if options.quick else (100, 1000)
    halves = {}
    for seed, (name, hog) in enumerate({"idle": False, "under load": True}.items(), 1):
        print(f"bench: {count // 2} stalls, {name}", file=sys.stderr)
        halves[name] = plant(options, threshold_ms, count // 2, 0.2, 5, seed, hog)
    figures = [*judge_finding(halves), *judge_content(halves), *judge_times(halves)]
    figures[0].notes.append(f"{count} stalls of 0.2 to 5 thresholds of {threshold_ms} ms, half of them in nested "
                            "waits, half under a CPU hog on every CPU")
    figures[0].data = {name: half.worst() for name, half in halves.items()}
    return figures


# ---- detection on an idle machine ----

def run_detection(options):
    threshold_ms, count = 100, 20 if options.quick else 100
    limit_ms = max(threshold_ms * 0.05, 2)
    print(f"bench: lateness of {count} detections", file=sys.stderr)
    with Sleeper() as sleeper:
        outcome = plant(options, threshold_ms, count, 1.2, 2, 3)
    late = outcome.lateness_ms()
    if len(late) != count:
        raise Broken(f"{len(late)} of {count} stalls were detected in time for a stall-begin")
    verdict = at_most(max(late), limit_ms)
    if verdict == MISSED and max(sleeper.late_ms) > limit_ms:
        verdict = NOT_RESOLVED
    return [Figure("detection after the threshold, idle machine, wall clock", spread(late, "ms", 2),
                   f"at most {limit_ms:.0f} ms", verdict,
                   [f"a plain sleeper beside it: {spread(sleeper.late_ms, 'ms', 2)}; the agent's own late_ns: "
                    f"{spread(outcome.says_itself_late_ms(), 'ms', 2)}"],
                   {"wall_ms": summary(late), "sleeper_ms": summary(sleeper.late_ms),
                    "earliest_ms": min(late), "median_ms": median(late), "p99_ms": percentile(late, 0.99)})]
