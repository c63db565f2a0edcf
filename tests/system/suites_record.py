#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""suites_record.py - run tests of Tornado or Twisted, or programs that print TAP; write what became of each

Usage: suites_record.py FILE tornado|twisted MODULE...
       suites_record.py FILE tap PROGRAM...

One JSON object a line in FILE. A program is a test itself, which passes where it ends by exit(0).

Context: watched program of test_suites.py
"""

import importlib
import json
import os
import re
import subprocess
import sys
import unittest

TAP = re.compile(r"^(not )?ok \d+ (?:- )?(\S+)(.*)")
TAP_SECONDS = 300


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


def outcomes_of(program):
    """(test, outcome) of each line of TAP, and of the program."""
    try:
        ended = subprocess.run([program, "--tap"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               timeout=TAP_SECONDS, check=False)
        text, code = ended.stdout, ended.returncode
    except subprocess.TimeoutExpired as late:
        text, code = late.stdout or b"", "too late"
    sys.stdout.write(f"{program}: {code}\n")
    name = os.path.basename(program)
    for line in text.decode(errors="replace").splitlines():
        if case := TAP.match(line):
            skipped = "skip" in case[3].lower().partition("#")[2]
            yield f"{name} {case[2]}", "failed" if case[1] else "skipped" if skipped else "passed"
    yield name, "passed" if code == 0 else "failed"


def run_tap(programs):
    for program in programs:
        for test, outcome in outcomes_of(program):
            Recorder.file.write(json.dumps({"test": test, "outcome": outcome}) + "\n")
        Recorder.file.flush()


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as Recorder.file:
        {"tornado": run_tornado, "twisted": run_twisted, "tap": run_tap}[sys.argv[2]](sys.argv[3:])
