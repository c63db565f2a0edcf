# SPDX-License-Identifier: Apache-2.0
"""sized.py - how much work takes so long on this machine

A stall that computes must be longer than the threshold on a fast machine, and not much longer on a slow one. Measured
is CPU time, so that others on the machine do not count.

Context: imported by watched programs; every CPython from 3.7 on
"""

import math
import time

MEASURED_S = 0.008  # enough to tell


def time_of(function, size):
    begin = time.thread_time()
    function(size)
    return time.thread_time() - begin


def sized(function, seconds, size):
    """The size with which `function` takes so many seconds, where its time grows in proportion; more than `size`."""
    function(size)  # the first time is longer
    while True:
        took = time_of(function, size)
        if took >= MEASURED_S:
            return math.ceil(size * seconds / took)
        size *= 2


def length_for(function, seconds, length=12):
    """The same where each step of the size doubles the time, as for a regular expression that explodes."""
    function(length)
    while True:
        took = time_of(function, length)
        if took >= MEASURED_S:
            return length + max(0, round(math.log2(seconds / took)))
        length += 1
