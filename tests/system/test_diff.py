#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_diff.py - `loopdog report --diff` and `--fail-on`: what has changed, as an exit code for CI

Context: system test
"""

import json
import re
import sys

import command
from command import MS, RUN, Case, loop, process, stall

END = "2026-11-22T21:15:03.120456Z"  # an hour after command.BEGIN


class Diff(Case):

    def run_of(self, name, *stalls, hours=1):
        """A file of a process that was watched for that long."""
        end = f"2026-11-22T{20 + hours:02}:15:03.120456Z"
        return self.records(name, process(), *stalls, loop(time=end))

    def rows(self, out):
        """{culprit: [change, before, now]}"""
        found = {}
        for line in out.splitlines():
            row = re.match(r"  (new|worse|same|better|gone) +(-|[\d.]+ \w+/h) +(-|[\d.]+ \w+/h) .* (\w+)\(\) at", line)
            if row:
                found[row[4]] = list(row.groups()[:3])
        return found

    def test_changes(self):
        """each culprit is new, worse, the same, better or gone, in time lost per hour"""
        old = self.run_of("old.jsonl", stall(1, 500, "kept"), stall(2, 500, "grown"), stall(3, 900, "shrunk"),
                          stall(4, 300, "left"), hours=1)
        new = self.run_of("new.jsonl", stall(1, 1000, "kept"), stall(2, 1300, "grown"), stall(3, 900, "shrunk"),
                          stall(4, 800, "came"), hours=2)
        out, _ = self.loopdog("report", new, "--diff", old)
        self.assertEqual(self.rows(out), {"came": ["new", "-", "400 ms/h"], "grown": ["worse", "500 ms/h", "650 ms/h"],
                                          "kept": ["same", "500 ms/h", "500 ms/h"],
                                          "shrunk": ["better", "900 ms/h", "450 ms/h"],
                                          "left": ["gone", "300 ms/h", "-"]})
        self.assertEqual(list(self.rows(out)), ["came", "grown", "kept", "shrunk", "left"])
        self.assertIn("lost per hour of run: 2.2 s/h before (1 h watched), 2 s/h now (2 h watched)", out)
        self.assertIn("1 new, 1 worse, 1 about the same, 1 better, 1 gone", out)
        self.assertIn(f"\n      {RUN[:4]}-4\n", out)
        found = json.loads(self.loopdog("report", "--json", new, "--diff", old)[0])["diff"]
        self.assertEqual([row["change"] for row in found["changes"]], ["new", "worse", "same", "better", "gone"])
        self.assertEqual((found["before_per_hour_ns"], found["after_per_hour_ns"]), (2200 * MS, 2000 * MS))
        self.assertEqual(found["changes"][1]["after"]["per_hour_ns"], 650 * MS)
        self.assertNotIn("before", found["changes"][0])

    def test_gate(self):
        """--fail-on: exit code 3 and the reason; 0 where nothing is wrong"""
        old = self.run_of("old.jsonl", stall(1, 500, "kept"))
        new = self.run_of("new.jsonl", stall(1, 700, "kept"), stall(2, 300, "came"))
        for what, code, words in (("new", 3, "gate: new: came() at /srv/app.py:8, 300 ms lost"),
                                  ("worse", 3, "gate: worse: kept()"), ("any", 3, "gate: 2 stalls"),
                                  ("total>900ms", 3, "gate: the time lost is 1 s, more than 900 ms"),
                                  ("max>600ms", 3, "the longest stall is 700 ms, more than 600 ms"),
                                  ("total>1s", 0, ""),
                                  ("max>700ms", 0, ""), ("total>1h,max>1h,new", 3, "gate: new: came()")):
            out, err = self.loopdog("report", new, "--diff", old, "--fail-on", what, code=code)
            self.assertIn("1 new, 1 worse", out)
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1 if words else 0, err)
        self.loopdog("report", new, "--diff", old, "--fail-on", "new", "--min=400ms")
        self.loopdog("report", old, "--diff", old, "--fail-on", "new,worse")
        self.loopdog("report", new, "--fail-on", "any", code=3)
        self.loopdog("report", self.run_of("none.jsonl"), "--fail-on", "any")

    def test_startup_and_suspended(self):
        """what counts nowhere shuts no gate"""
        new = self.run_of("new.jsonl", stall(1, 5000, "boot", phase="startup"),
                          stall(2, 5000, "asleep", cause="suspended", detail={}))
        self.loopdog("report", new, "--fail-on", "any,total>0,max>0")

    def test_no_evidence(self):
        """a gate without records stays shut, and one with wrong words is said"""
        new = self.run_of("new.jsonl", stall())
        self.loopdog("report", self.folder / "none", "--fail-on", "any", code=1)
        self.loopdog("report", new, "--diff", self.folder / "none", "--fail-on", "new", code=1)
        for flags, words in ((["--fail-on=moon"], "new, worse, any, total>DURATION"), (["--fail-on=max>soon"], "max>"),
                             (["--fail-on="], "new, worse"), (["--fail-on=new"], "name it with --diff=OLD"),
                             (["--diff", new, "--by=loop"], "another run has other processes"),
                             (["--diff", new, "--tree"], "do not go together")):
            self.assertIn(words, self.loopdog("report", new, *flags, code=2)[1])


if __name__ == "__main__":
    sys.exit(command.main())
