# SPDX-License-Identifier: Apache-2.0
"""measure.py - figures, their statistics and their verdicts

A figure is one line of the bench's table: what was measured, the target of design.md, and whether it is met. Where
the machine was too noisy to tell, the verdict is "not resolved": two equal sides, measured in the same turns, then
differ by more than one per cent, or the interval of the median is wide and reaches over the target, or the control
beside the measurement missed the target itself.

Context: bench; Python's standard library only
"""

import dataclasses
import math
import random
import statistics

MET, MISSED, NOT_RESOLVED, INFORMATION, FAILED = "met", "missed", "not resolved", "", "failed"
RESAMPLES = 10000
EQUAL_SIDES_MAY_DIFFER = 0.01
PAIRS_LEAST = 5


@dataclasses.dataclass
class Figure:
    """One line of the table. `data` goes to the JSON only; notes are printed below the line."""
    name: str
    measured: str
    target: str = ""
    verdict: str = INFORMATION
    notes: list = dataclasses.field(default_factory=list)
    data: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def unmeasured(cls, name, problem):
        """`problem` is machine.Unable where it can't be measured here, else the measurement broke."""
        unable = type(problem).__name__ == "Unable"
        return cls(name, "-", "", NOT_RESOLVED if unable else FAILED, [str(problem)])


def median(values):
    return statistics.median(values)


def percentile(values, share):
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def interval(values):
    """Bootstrap: where the median lies with 95 % confidence."""
    draw = random.Random(1)
    resamples = max(500, min(RESAMPLES, 1000000 // len(values)))
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(resamples))
    return medians[int(resamples * 0.025)], medians[int(resamples * 0.975) - 1]


def at_most(value, limit):
    return MET if value <= limit else MISSED


def at_least(value, limit):
    return MET if value >= limit else MISSED


def spread(values, unit="", digits=3):
    """"median 1.2, p99 3.4, max 5.6 ms" """
    return (f"median {median(values):.{digits}f}, p99 {percentile(values, 0.99):.{digits}f}, "
            f"max {max(values):.{digits}f}{unit and ' ' + unit}")


def summary(values):
    return {"count": len(values), "median": median(values), "p90": percentile(values, 0.9),
            "p99": percentile(values, 0.99), "min": min(values), "max": max(values)} if values else {"count": 0}


@dataclasses.dataclass
class Ratio:
    """Medians of the ratios of two sides measured in turns: equals against equals (A/A) beside A/B."""
    pairs: int
    equal: float
    equal_interval: tuple
    value: float
    value_interval: tuple

    @classmethod
    def of(cls, plain, again, other):
        """Lists of equal length, one entry a turn. The other side is compared with the mean of the two plain ones."""
        equal = [b / a for a, b in zip(plain, again)]
        value = [c / ((a + b) / 2) for a, b, c in zip(plain, again, other)]
        return cls(len(equal), median(equal), interval(equal), median(value), interval(value))

    def straddles(self, limit):
        """Does the interval hold values on both sides of the limit?"""
        return self.value_interval[0] < limit <= self.value_interval[1]

    def verdict(self, least):
        """The median decides, unless the noise could have made it."""
        low, high = self.value_interval
        noisy = abs(self.equal - 1) > EQUAL_SIDES_MAY_DIFFER or self.pairs < PAIRS_LEAST
        wide = self.straddles(least) and high - low > 2 * EQUAL_SIDES_MAY_DIFFER
        return NOT_RESOLVED if noisy or wide else at_least(self.value, least)

    def equal_text(self):
        return f"A/A {self.equal:.4f} [{self.equal_interval[0]:.4f}, {self.equal_interval[1]:.4f}]"

    def text(self):
        return f"{self.value:.4f} [{self.value_interval[0]:.4f}, {self.value_interval[1]:.4f}], {self.equal_text()}"
