#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_planted.py - stalls of many lengths around the threshold, half of them in nested waits

The short form of the bench's thousand: all above 1.05 thresholds must be found, none below 0.95 reported, and each
joined with the victim's own log. Only what lies between may or may not be there.

Context: system test
"""

import sys

import harness
import records

suite = harness.Suite("planted")
THRESHOLD_MS = 40


def judge(place, arguments):
    place.run_victim("planted", "-t", THRESHOLD_MS, *arguments, threshold=f"{THRESHOLD_MS}ms")
    if place.plain:
        return
    book = place.read()
    stalls = book.stalls(startup=False)
    long_ones = [p for p in place.planted if p.end - p.begin > 1.05e-3 * THRESHOLD_MS]
    between = [p for p in place.planted if 0.95e-3 * THRESHOLD_MS <= p.end - p.begin <= 1.05e-3 * THRESHOLD_MS]
    for planted in place.planted:
        planted.frames = ("callback", "run")
        planted.tolerance = 0.002
    joined, complaints = records.join(stalls, long_ones, exactly=False)
    suite.count_stacks(joined)
    taken = {stall["id"] for _, stall in joined if stall}
    others = [s for s in stalls if s["id"] not in taken]
    _, unexplained = records.join(others, [p for p in between if any(
        records.begin_of(s) < p.end and records.end_of(s) > p.begin for s in others)])
    complaints += book.complaints + [c for c in unexplained if "not planted" in c]
    place.note(f"{len(place.planted)} planted, {len(long_ones)} above 1.05 thresholds, {len(between)} between, "
               f"{len(stalls)} reported")
    if complaints:
        raise harness.Failure("\n".join(complaints), all(may_be_noise(c) for c in complaints))


def may_be_noise(complaint):
    """Preempted between its wait and its own clock, the victim does not see what loopdog sees."""
    return isinstance(complaint, records.Noise) or "differs by" in complaint or "not planted" in complaint


# The machine's noise can lengthen a stall after its own clock was read: a failed attempt is shown and tried again.
@suite.case("60 stalls from 0.2 to 5 thresholds", attempts=3)
def spread(place):
    judge(place, ["-s", 7, "-n", 60])


@suite.case("40 stalls of 0.5, 0.9, 1.1 and 2 thresholds", attempts=3)
def chosen(place):
    judge(place, ["-s", 11, "-n", 40, "0.5", "0.9", "1.1", "2"])


if __name__ == "__main__":
    sys.exit(suite.main())
