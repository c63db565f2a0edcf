# cython: language_level=3
# SPDX-License-Identifier: Apache-2.0
"""cythonic.pyx - a Python extension that Cython has made: blocks with the lock held, and calls back

Its functions are native frames; `bound_sleep` is an object of Cython's own type and not one of the interpreter's.

Context: watched extension of test_python.py
"""

cimport cython
from posix.time cimport nanosleep, timespec


cdef void pause_for(double seconds):
    cdef timespec duration
    duration.tv_sec = 0
    duration.tv_nsec = <long>(seconds * 1e9)
    nanosleep(&duration, NULL)


def sleep(double seconds):
    pause_for(seconds)


@cython.binding(True)
def bound_sleep(double seconds):
    pause_for(seconds)


cdef class Caller:
    def call(self, function):
        return function()
