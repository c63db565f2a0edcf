#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""suites_record.py - run the tests of Tornado or Twisted and write what became of each, one JSON object a line

Usage: suites_record.py FILE tornado|twisted MODULE...

Context: watched program of test_suites.py
"""

import importlib
import json
import os
import sys
import unittest


class Recorder:
    """Mixed into the result of either framework: the last word on each test counts."""
    file = None

    def record(self, test, outcome):
        self.file.write(json.dumps({"test": test.id(), "outcome": outcome}) + "\n")
        self.file.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.record(test, "passed")

    def addFailure(self, test, problem):
        super().addFailure(test, problem)
        self.record(test, "failed")

    def addError(self, test, problem):
        super().addError(test, problem)
        self.record(test, "failed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.record(test, "skipped")


def run_tornado(modules):
    result = type("Result", (Recorder, unittest.TextTestResult), {})
    runner = unittest.TextTestRunner(resultclass=result, verbosity=2)
    runner.run(unittest.defaultTestLoader.loadTestsFromNames(modules))


def run_twisted(modules):
    from twisted.trial import reporter, runner
    loader = runner.TestLoader()
    suite = runner.TestSuite(loader.loadModule(importlib.import_module(name)) for name in modules)
    result = type("Result", (Recorder, reporter.TextReporter), {})
    runner.TrialRunner(result, workingDirectory=os.path.join(os.getcwd(), "trial")).run(suite)


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as Recorder.file:
        {"tornado": run_tornado, "twisted": run_twisted}[sys.argv[2]](sys.argv[3:])
