# SPDX-License-Identifier: Apache-2.0
"""suites_cpython.py - CPython's own tests, each as one iteration of an event loop

Most of them make single waits, and no thread that waits now and then is a loop. So the thread that runs them waits for
a moment before each: it is a loop, whose every test of more than a millisecond stalls and is captured all the while.
What the tests themselves wait for is then part of a callback.

    suites_cpython.py ARGUMENTS OF `python3 -m test`

Context: run by test_suites.py, with the agent and without
"""

import runpy
import select
import sys
import unittest

loop = select.epoll()
run_test = unittest.TestCase.run


def run_as_iteration(test, result=None):
    loop.poll(0.001)
    return run_test(test, result)


unittest.TestCase.run = run_as_iteration
sys.argv[0] = "test"
sys.path.pop(0)  # this folder, as with -m
runpy.run_module("test", run_name="__main__", alter_sys=True)
