#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_show.py - `loopdog show`: one stall whole

Context: system test
"""

import json
import re
import subprocess
import sys

import command
from command import BEGIN, MS, OPTIONS, RUN, Case, loop, process, python_frame, stall, stall_begin

OTHER_RUN = "b1946ac9ffffffff"


def stack(count, first_ms, last_ms, *functions, **fields):
    return {"count": count, "first_ns": first_ms * MS, "last_ns": last_ms * MS, "state": "R", "complete": True,
            "frames": [python_frame(name) for name in functions], **fields}


class Show(Case):

    def show(self, *arguments, **options):
        return self.loopdog("show", *arguments, **options)

    def test_whole(self):
        """when and where, a bar for each stack, every frame of each, why samples were lost"""
        lost = {"samples": 3, "reasons": {"torn": 2, "late": 1}}
        path = self.records("a.jsonl", process(executable="/bin/server"), stall_begin(7), stall(
            7, 600, samples=13, lost=lost, stacks=[stack(9, 300, 590, "deep", "block"), stack(1, 60, 60, "other"),
                                                    {"count": 3, "first_ns": 0, "last_ns": MS, "missing": "torn"}]))
        out, err = self.show(f"{RUN}-7", path)
        self.assertEqual(err, "")
        self.assertIn(f"stall {RUN}-7\n", out)
        self.assertIn("2026-11-22 20:15:03.120456 to 20:15:03.720456 UTC\n", out)
        self.assertIn("600 ms, with a threshold of 100 ms", out)
        self.assertIn("server 42 on web1, /bin/server\n", out)
        bars = re.findall(r"^    (\w) +(\d+)  (.)  ([.#=]{60})  (.*)$", out, re.MULTILINE)
        self.assertEqual([bar[0:3] for bar in bars], [("A", "9", "R"), ("B", "1", "R"), ("C", "3", "?")])
        self.assertEqual(bars[0][3], "." * 30 + "#" + "=" * 28 + "#")
        self.assertEqual(bars[1][3], "." * 6 + "#" + "." * 53)
        self.assertEqual(bars[0][4], "300 ms to 590 ms  deep")
        self.assertIn("loopdog: stall 600 ms in block()", out)
        self.assertIn("stack B, 1 of 13 samples:\n    /srv/app.py:8               other\n", out)
        self.assertIn("stack C, 3 of 13 samples: torn\n", out)
        self.assertIn("    2 samples without a stack: torn\n    1 sample without a stack: late\n", out)

    def test_names(self):
        """the number alone or the beginning of the run will do where it is unique"""
        path = self.records("a.jsonl", stall(7), stall(7, 300, run=OTHER_RUN), stall(8, 200))
        for name, words in ((f"{RUN}-7", "500 ms"), ("b1946ac9f-7", "300 ms"), ("8", "200 ms"), ("b1-8", "200 ms")):
            self.assertIn(f"loopdog: stall {words}", self.show(name, path)[0])
        for name in ("7", "b1946ac9-7"):
            out, err = self.show(name, path, code=1)
            self.assertEqual(out, "")
            self.assertIn(f"{RUN}-7 is one of 2 stalls called so\n", err)
            self.assertIn(f"{OTHER_RUN}-7 is one of 2", err)
        self.assertIn("no stall 99 among", self.show("99", path, code=1)[1])
        self.assertIn("no stall cafe-7 among", self.show("cafe-7", path, code=1)[1])
        for name in ("seven", "b194-", "0", "b194-7x", "99999999999999999999"):
            self.assertIn("is no stall's name", self.show(name, path, code=2)[1])
        self.assertIn("which stall?", self.show(code=2)[1])
        self.assertIn("name the file", self.show("7", code=2)[1])

    def test_dump(self):
        """a dump is shown with all its loops, in text and as JSON, and the report says that it is there"""
        fields = {"state": "busy", "duration_ns": 30 * MS, "samples": 1}
        dumps = [stall(1, kind="dump", tid=tid, loop=f"loop{tid}", **fields) for tid in (1, 2)]
        path = self.records("a.jsonl", process(), *dumps, stall(1, 600), stall(2, kind="dump", **fields))
        out, err = self.show("d1", path, path)  # the file twice
        self.assertEqual(err, "")
        self.assertEqual(out.count("loopdog: loop busy for 30 ms in block() at /srv/app.py:8"), 2)
        self.assertIn("loop loop1, dump #1]", out)
        self.assertIn("loop loop2, dump #1]", out)
        lines = self.show("--json", "b1-d2", path)[0].splitlines()
        self.assertEqual([(line["type"], line["id"]) for line in map(json.loads, lines)], [("dump", 2)])
        self.assertIn("no dump d3 among", self.show("d3", path, code=1)[1])
        self.assertIn("is no stall's name", self.show("d", path, code=2)[1])
        self.assertIn("600 ms", self.show("1", path)[0])
        out, _ = self.loopdog("report", path)
        self.assertIn("1 stall, 600 ms lost", out)
        self.assertIn('server 42 dumped its loops 2 times: "loopdog show b194-d2"', out)

    def test_open(self):
        """a stall that has not ended says so, with what is known of its length"""
        path = self.records("a.jsonl", stall_begin(1, begin=BEGIN), loop(time="2026-11-22T20:16:03.120456Z"))
        out, _ = self.show("1", path)
        self.assertIn("UTC, and not ended\n", out)
        self.assertIn("at least 1 min, with", out)
        self.assertIn("still stalled after 1 min in block()", out)

    def test_repeat(self):
        """of a repeat without stacks those of the same signature are shown, with whose they are"""
        repeat = stall(2, 700, stacks_omitted=True, repeats=11)
        del repeat["stacks"]
        path = self.records("a.jsonl", repeat, stall(1, 500))
        out, _ = self.show("2", path)
        self.assertIn(f"Those below are of stall {RUN}-1", out)
        self.assertIn("loopdog: stall 700 ms", out)
        self.assertRegex(out, r"/srv/app.py:8 +block\n")

    def test_json(self):
        """--json is the record"""
        path = self.records("a.jsonl", stall(1, 300), stall(2, 500))
        record = json.loads(self.show("--json", "2", path)[0])
        self.assertEqual((record["id"], record["duration_ns"], record["stacks"]), (2, 500 * MS, stall()["stacks"]))

    def test_inlined(self):
        """frames have file, line, and what was inlined"""
        said = subprocess.run([OPTIONS.inlined], capture_output=True, text=True, check=True).stdout
        frame = {"lang": "native", "function": "outer", "module": OPTIONS.inlined, "build_id": "0123abcd",
                 "offset": re.search(r"(0x\w+) \d+ innermost", said)[1], "caller": True}
        path = self.records("a.jsonl", stall(1, time=command.now(), culprit=frame,
                                             stacks=[{**stack(2, 1, 2), "frames": [frame]}]))
        out, _ = self.show("1", path)
        self.assertRegex(out, r"inlined\.c:\d+ +innermost \[inlined\]  \w.*\n.* middle \[inlined\]  \w.*\n.* outer  \w")

    def test_safe(self):
        """nothing of a record reaches the terminal as a command"""
        evil = "\033[2Jevil\u202e\x9b"
        path = self.records("a.jsonl", process(host=evil, program=evil, executable=evil), stall(
            1, 500, evil, thread=evil, program=evil, loop=evil, host=evil, lost={"samples": 1, "reasons": {evil: 1}},
            stacks=[stack(2, 1, 2, evil), stack(1, 1, 2, evil, "a"), {"count": 1, "missing": evil}]))
        out, _ = self.show("1", path)
        self.assertIn("evil", out)
        self.assertNotRegex(out, "[\033\u202e\x9b]")


if __name__ == "__main__":
    sys.exit(command.main())
