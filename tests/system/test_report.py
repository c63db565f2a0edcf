#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_report.py - `loopdog report`: what records add up to, and files that are not what they should be

Context: system test
"""

import datetime
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import time

import command
from command import MS, OPTIONS, PATIENCE_S, RUN, Case, farewell, loop, process, python_frame, stall, stall_begin
from command import text_of

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
LIMIT = 256 * 1024


def before(**ago):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**ago)
    return command.rfc3339(moment)


class Report(Case):

    def report(self, *arguments, code=0, **options):
        return self.loopdog("report", *arguments, code=code, **options)

    def json(self, *arguments, **options):
        return json.loads(self.report("--json", *arguments, **options)[0])

    def rows(self, text):
        """The rows of the table of groups: what stands behind its heads, without the notes."""
        lines = text.splitlines()
        start = next(i for i, line in enumerate(lines) if re.match(r"\s+lost +(share|count)", line))
        note = " " * 6 + RUN[:4]
        return [line for line in lines[start + 1:lines.index("", start)] if not line.startswith(note)]


class Sums(Report):

    def test_text(self):
        """text: totals, loops, a table and an example of each culprit"""
        path = self.records("a.jsonl", process(), loop(), stall(1, 500), stall(2, 300), stall(3, 200, "other"),
                            loop(stalls=3), farewell(lost={"samples": 2, "reasons": {"torn": 2}}))
        out, err = self.report(path)
        self.assertEqual(err, "")
        self.assertIn("3 stalls, 1 s lost, longest 500 ms; 1 loop in 1 process\n", out)
        self.assertIn("2026-11-22 20:15:03 to 2026-11-22 20:15:03 UTC", out)
        self.assertRegex(out, r"12\.3 % +10,234 +\? +\? +500 ms +3 +1 s +epoll:5 +server 42 on web1")
        self.assertIn("samples without a stack: 2 (2.0 %): torn (2)", out)
        rows = self.rows(out)
        self.assertRegex(rows[0], r"800 ms +80\.0 % +2 +500 ms +400 ms +500 ms +blocked in \w+ +block\(\) at")
        self.assertRegex(rows[1], r"200 ms +20\.0 % +1 .*other\(\)")
        self.assertEqual(len(rows), 2)
        self.assertEqual(out.count("loopdog: stall "), 2)
        self.assertLess(out.index("loopdog: stall 500 ms in block()"), out.index("loopdog: stall 200 ms in other()"))

    def test_by(self):
        """--by culprit, cause, stack and loop"""
        path = self.records("a.jsonl", stall(1, 500), stall(2, 300, cause="cpu", detail={}, signature="1" * 16),
                            stall(3, 100, "other", loop="poll"))
        self.assertEqual(len(self.rows(self.report("--by", "culprit", path)[0])), 2)
        self.assertEqual(len(self.rows(self.report("--by=cause", path)[0])), 2)
        rows = self.rows(self.report("--by=stack", path)[0])
        self.assertEqual(len(rows), 3)
        self.assertIn("[1111111111111111]", rows[1])
        rows = self.rows(self.report("--by=loop", path)[0])
        self.assertEqual(len(rows), 2)
        self.assertIn("server 42, poll: other()", rows[1])
        self.assertIn("by culprit, cause, stack, loop, thread, process, label or callback",
                      self.report("--by=moon", path, code=2)[1])

    def test_counts_once(self):
        """a stall counts once: with its begin, and with its file given twice"""
        path = self.records("a.jsonl", stall_begin(1), stall(1), stall_begin(2, begin=command.BEGIN))
        found = self.json(path, path, self.folder / "a.jsonl")
        self.assertEqual(found["stalls"]["count"], 2)
        self.assertEqual(found["stalls"]["never_ended"], 1)
        out, _ = self.report(path)
        self.assertIn("1 of them never ended", out)
        self.assertIn("(1 never ended)", out)

    def test_never_ended_example(self):
        """the example of a stall that never ended says how long it went on as far as is known"""
        path = self.records("a.jsonl", stall_begin(1, begin=command.BEGIN),
                            loop(tid=2, time="2026-11-22T20:16:03.120456Z"))
        self.assertIn("loopdog: still stalled after 1 min in block()", self.report(path)[0])

    def test_unknown_cause(self):
        """why a cause is unknown stands in the table of causes only"""
        path = self.records("a.jsonl", stall(cause="unknown", detail={"reason": "nobody knows"}))
        self.assertIn("unknown  block()", self.rows(self.report(path)[0])[0])
        self.assertIn("unknown: nobody knows  block()", self.rows(self.report("--by=cause", path)[0])[0])

    def test_startup(self):
        """stalls of the start-up stand apart"""
        path = self.records("a.jsonl", stall(1, 2000, phase="startup"), stall(2, 300))
        out, _ = self.report(path)
        self.assertIn("1 stall, 300 ms lost", out)
        self.assertIn("during start-up, not counted above: 1 stall, 2 s lost", out)
        self.assertEqual(len(self.rows(out)), 1)
        self.assertEqual(self.json(path)["stalls"]["startup"]["count"], 1)

    def test_suspended(self):
        """a stall of a process that was stopped counts nowhere, but is listed"""
        path = self.records("a.jsonl", stall(1, 7000, "x", cause="suspended", detail={}), stall(2, 300))
        out, _ = self.report(path)
        self.assertIn("1 stall, 300 ms lost", out)
        self.assertRegex(out, r"suspended from outside.*, not counted above: 1 stall, 7 s lost")
        self.assertEqual(len(self.rows(out)), 1)
        self.assertRegex(out, r"outside, not counted:\n.*\n +7 s .* suspended  server 42, epoll:5: x\(\)")
        self.assertEqual(self.json(path)["stalls"]["suspended"]["total_ns"], 7000 * MS)

    def test_hints(self):
        """each row names an example that `show` takes, by as much of its run as is needed, and says what to do"""
        path = self.records("a.jsonl", stall(1, 500), stall(2, 200, "other", cause="cpu", detail={}),
                            stall(1, 100, "third", run="b1946ac9ffffffff"))
        out, _ = self.report(path)
        self.assertRegex(out, r"block\(\) at .*\n      b1946ac92-1: hint: a sleep stops the whole loop")
        self.assertRegex(out, r"other\(\) at .*\n      b1946ac92-2: hint: this computes for long")
        self.assertRegex(out, r"third\(\) at .*\n      b1946ac9f-1: hint")
        group = self.json(path)["groups"][0]
        self.assertEqual(group["example_id"], RUN + "-1")
        self.assertIn("a sleep stops", group["hint"])

    def test_by_said(self):
        """--by label and callback: what the program said; a key's values; those that said nothing"""
        def said(number, duration_ms, labels, callback):
            fields = {"labels": [{"key": key, "value": value} for key, value in labels]} if labels else {}
            if callback:
                fields["callback"] = {**callback, "begin_ns": 0, "duration_ns": duration_ms * MS}
            return stall(number, duration_ms, **fields)
        get, post = [("request", "GET /a"), ("user", "7")], [("request", "POST /b")]
        path = self.records("a.jsonl", process(), said(1, 200, get, {"name": "on_client", "function": "f"}),
                            said(2, 300, post, {"function": "on_timer"}), said(3, 400, get[:1], {"object": "fd 3"}),
                            said(4, 500, None, None))
        rows = self.rows(self.report("--by=label", path)[0])
        self.assertEqual([row.split("  ")[-1] for row in rows],
                         ["(no label): block() at /srv/app.py:8", "request GET /a: block() at /srv/app.py:8",
                          "request POST /b: block() at /srv/app.py:8",
                          "request GET /a, user 7: block() at /srv/app.py:8"])
        groups = self.json("--by=label:request", path)["groups"]
        self.assertEqual([(group.get("label"), group["count"], group["total_ns"]) for group in groups],
                         [("GET /a", 2, 600 * MS), (None, 1, 500 * MS), ("POST /b", 1, 300 * MS)])
        self.assertEqual(groups[0]["example_id"], f"{command.RUN}-3")
        groups = self.json("--by=callback", path)["groups"]
        self.assertEqual([(group.get("callback"), group["count"]) for group in groups],
                         [(None, 2), ("on_timer", 1), ("on_client", 1)])
        self.assertIn("on_timer: block()", self.report("--by=callback", path, "--diff", path)[0])

    def test_by_process(self):
        """--by thread and process: the example is one of its own stalls"""
        path = self.records("a.jsonl", stall(1, 500), stall(2, 300, tid=9, thread="io"),
                            stall(7, 100, run="c000000000000000", pid=43, host="web2"))
        rows = self.rows(self.report("--by=thread", path)[0])
        self.assertRegex(rows[1], r"300 ms .*server 42, thread io 9: block\(\)")
        out, _ = self.report("--by=process", path)
        self.assertRegex(out, r"800 ms .*server 42 on web1: block\(\) at .*\n      b194-1:")
        self.assertRegex(out, r"100 ms .*server 43 on web2: block\(\) at .*\n      c000-7:")
        groups = self.json("--by=process", path)["groups"]
        self.assertEqual([(g["run"], g["count"]) for g in groups], [(RUN, 2), ("c000000000000000", 1)])

    def test_percentiles(self):
        """the loop's percentiles are those of its histogram, and the stalls' those of the stalls"""
        buckets = [{"from_ns": 0, "count": 900}, {"from_ns": 16 * MS, "count": 98}, {"from_ns": 320 * MS, "count": 2}]
        path = self.records("a.jsonl", *[stall(i, 100 + i) for i in range(1, 61)],
                            loop(buckets=buckets, longest_ns=321 * MS))
        found = self.json(path)
        self.assertEqual((found["stalls"]["median_ns"] // MS, found["stalls"]["p99_ns"] // MS), (130, 160))
        own = found["loops"][0]
        self.assertEqual((own["p50_ns"], own["p90_ns"], own["p999_ns"]), (512, 512, 321 * MS))
        self.assertEqual(own["p99_ns"], 16 * MS + MS // 2)
        self.assertRegex(self.report(path)[0], r"12\.3 % +10,234 +512 ns +16\.5 ms +321 ms +60 ")

    def test_cause_and_culprit(self):
        """--cause and --culprit leave out the others; a moment limits as a duration does"""
        path = self.records("a.jsonl", stall(1, 500), stall(2, 300, "other", cause="cpu", detail={}),
                            stall(3, 200, "block2", begin="2026-11-22T21:00:00Z", time="2026-11-22T21:00:01Z"))
        for flags, ids in ((["--cause=cpu"], [2]), (["--cause=cpu,blocked"], [1, 2, 3]), (["--culprit=block"], [1, 3]),
                           (["--culprit=/srv/app"], [1, 2, 3]), (["--culprit=nobody"], []),
                           (["--since=2026-11-22T20:59"], [3]), (["--until=2026-11-22 20:59:00"], [1, 2]),
                           (["--until=2026-11-22"], [])):
            found = self.json(*flags, path)
            self.assertEqual((found["stalls"]["count"], found["stalls"]["left_out"]), (len(ids), 3 - len(ids)), flags)
        self.assertIn("cpu, blocked, lock", self.report("--cause=moon", path, code=2)[1])
        self.assertIn("nor a moment", self.report("--until=noon", path, code=2)[1])

    def test_repeats(self):
        """repeats without stacks are joined with the one that has them"""
        repeat = stall(2, 700, stacks_omitted=True, repeats=11)
        del repeat["stacks"]
        path = self.records("a.jsonl", repeat, stall(1, 500))
        out, _ = self.report(path)
        self.assertEqual(len(self.rows(out)), 1)
        self.assertIn("loopdog: stall 500 ms", out)
        self.assertNotIn("stacks not repeated", out)

    def test_since_and_min(self):
        """--since and --min leave out what is too old or too short"""
        path = self.records("a.jsonl", stall(1, 500, begin=before(hours=3), time=before(hours=3)),
                            stall(2, 300, begin=before(minutes=5), time=before(minutes=5)),
                            stall(3, 100, begin=before(minutes=5), time=before(minutes=5)))
        self.assertEqual(self.json(path)["stalls"]["count"], 3)
        self.assertEqual(self.json("--since=1h", path)["stalls"]["count"], 2)
        self.assertEqual(self.json("--min=300ms", path)["stalls"]["count"], 2)
        found = self.json("--since=1h", "--min=300ms", path)["stalls"]
        self.assertEqual((found["count"], found["left_out"]), (1, 2))
        self.assertIn("or --culprit: 2 stalls", self.report("--since=1h", "--min=0.3s", path)[0])
        self.assertIn("no stalls", self.report("--min=1h", path)[0])
        self.assertIn("not a duration", self.report("--since=yesterday", path, code=2)[1])

    def test_processes(self):
        """two processes that write to one file, line by line"""
        path = self.records("a.jsonl", process(), process(run="b", pid=43), stall_begin(1, begin=command.BEGIN),
                            stall(1, 200, run="b", pid=43), stall(1, 300), loop(run="b", pid=43), loop())
        found = self.json(path)
        self.assertEqual((len(found["processes"]), len(found["loops"])), (2, 2))
        self.assertEqual((found["stalls"]["count"], found["stalls"]["never_ended"]), (2, 0))

    def test_all_frames(self):
        """--all-frames does not fold"""
        frames = [python_frame("block")] + [python_frame(f"step{i}", "/usr/lib/python3.11/asyncio/events.py", i + 1)
                                            for i in range(9)]
        path = self.records("a.jsonl", stall(1, stacks=[{"count": 2, "complete": True, "frames": frames}]))
        self.assertIn("... ", self.report(path)[0])
        out, _ = self.report("--all-frames", path)
        self.assertNotIn("... ", out)
        self.assertIn("step8", out)

    def test_tree(self):
        """--tree: who called whom, with the time of each; what is not own and what is little is folded"""
        def stack(count, *functions):
            frames = [python_frame(name) for name in functions]
            frames += [python_frame(f"step{i}", "/usr/lib/python3.11/asyncio/events.py", i + 1) for i in range(9)]
            return {"count": count, "first_ns": 1, "last_ns": 2, "complete": True, "frames": frames}
        path = self.records("a.jsonl", stall(1, 600, stacks=[stack(2, "deep", "block"), stack(1, "block")]),
                            stall(2, 300, "other", stacks=[stack(1, "other")]),
                            stall(3, 4, "little", stacks=[stack(1, "little")]),
                            stall(4, 9000, "block", stacks=[stack(1, "block")], phase="startup"))
        out, _ = self.report("--tree", path)
        tree = out[out.index("who called whom"):].split("\n\n")[0]
        lines = [" ".join(line.split()) for line in tree.splitlines()[1:]]
        self.assertEqual(lines, ["904 ms 100.0 % server", "904 ms 100.0 % step8 asyncio/events.py:9",
                                 "... 7 frames of asyncio", "904 ms 100.0 % step0 asyncio/events.py:1",
                                 "600 ms 66.4 % block /srv/app.py:8", "400 ms 44.2 % deep /srv/app.py:8",
                                 "300 ms 33.2 % other /srv/app.py:8", "... and 1 more with 4 ms"])
        self.assertIn("step4", self.report("--tree", "--all-frames", path)[0])
        nodes = self.json("--tree", path)["tree"]
        self.assertEqual(nodes[0], {"total_ns": 904 * MS, "own_ns": 0})
        self.assertEqual(sum(node["own_ns"] for node in nodes), 904 * MS)
        block = next(node for node in nodes if node.get("frame", {}).get("function") == "block")
        self.assertEqual((block["total_ns"], block["own_ns"]), (600 * MS, 200 * MS))

    def test_many(self):
        """many groups and loops: what is not shown is counted"""
        stalls = [stall(i, 100 + i, f"f{i}", tid=i) for i in range(1, 31)]
        out, _ = self.report(self.records("a.jsonl", *stalls))
        self.assertEqual(len(self.rows(out)), 21)
        self.assertIn("... and 10 more with 1.06 s", out)
        self.assertIn("... and 20 more\n", out)
        self.assertEqual(out.count("loopdog: stall "), 5)

    def test_json(self):
        """--json: one document with the fields that docs/report-json.md names"""
        path = self.records("a.jsonl", process(executable="/bin/server", agent_version="0.1.0"), loop(), stall(1, 500),
                            stall(2, 300), "nonsense", farewell(lost={"samples": 2, "reasons": {"torn": 2}}))
        found = self.json("--tree", path)
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "report-json.md").read_text()
        documented = set(re.findall(r"^\| (?:\*\*)?`(\w+)`", page, re.MULTILINE))
        names = set()

        def collect(value):
            if isinstance(value, dict):
                for name, below in value.items():
                    names.add(name)
                    if name not in ("example", "samples_lost"):  # a record; words as names
                        collect(below)
            elif isinstance(value, list):
                for below in value:
                    collect(below)

        collect(found)
        self.assertEqual(names - documented, set(), "not in docs/report-json.md")
        self.assertEqual(found["v"], 1)
        self.assertEqual(found["input"], {"files": 1, "files_unreadable": 0, "files_empty": 0, "lines": 6,
                                          "records": 5, "skipped": 1})
        group = found["groups"][0]
        self.assertEqual((group["count"], group["total_ns"], group["median_ns"]), (2, 800 * MS, 400 * MS))
        self.assertEqual(group["culprit"], python_frame("block"))
        self.assertEqual(group["causes"], [{"cause": "blocked", "call": "clock_nanosleep", "count": 2,
                                            "total_ns": 800 * MS}])
        self.assertEqual(group["example"]["id"], 1)
        self.assertAlmostEqual(group["share"], 1.0)
        self.assertAlmostEqual(found["loops"][0]["utilisation"], 0.123)
        self.assertEqual(found["samples_lost"], {"torn": 2})

    def test_symbolized_json(self):
        """--json has file, line and inlined frames"""
        if not OPTIONS.inlined:
            self.skipTest("program_inlined was not given")
        said = subprocess.run([OPTIONS.inlined], capture_output=True, text=True, check=True).stdout
        offset, line = re.search(r"(0x\w+) (\d+) innermost", said).groups()
        frame = {"lang": "native", "function": "outer", "module": OPTIONS.inlined, "build_id": "0123abcd",
                 "offset": offset, "caller": True}
        path = self.records("a.jsonl", stall(culprit=frame, stacks=[{"count": 2, "complete": True, "frames": [frame]}]))
        group = self.json(path)["groups"][0]
        self.assertEqual((group["culprit"]["function"], group["culprit"]["line"]), ("innermost", int(line)))
        frames = group["example"]["stacks"][0]["frames"]
        self.assertEqual([f["function"] for f in frames], ["innermost", "middle", "outer"])
        self.assertEqual([f.get("inlined", False) for f in frames], [True, True, False])

    def test_network(self):
        """DEBUGINFOD_URLS is never used"""
        frame = {"lang": "native", "module": "/usr/bin/env", "build_id": "00", "offset": "0x1000"}
        path = self.records("a.jsonl", stall(culprit=frame, stacks=[{"count": 1, "frames": [frame]}]))
        # A client would try to reach this address, and fail quickly or wait: neither must be seen.
        _, err = self.report(path, environment={"DEBUGINFOD_URLS": "http://192.0.2.1:9", "DEBUGINFOD_VERBOSE": "1"})
        self.assertNotIn("192.0.2.1", err)

    def test_golden(self):
        """records of every version are read"""
        for folder in sorted(GOLDEN.glob("v*")):
            out, err = self.report(folder)
            self.assertNotIn("skipped", err)
            self.assertIn("stalls", out)

    def test_bounded_memory(self):
        """the memory does not grow with the number of stalls"""
        path = self.folder / "many.jsonl"
        lines = [command.text_of(stall(7777777)).replace("@PID@", "42").replace("7777777", "%d")]
        with open(path, "w", encoding="utf-8") as many:
            for number in range(1, 100001):
                many.write(lines[0] % number + "\n")
        size = path.stat().st_size
        if "asan" in os.environ.get("ASAN_OPTIONS", "") or b"__asan_init" in pathlib.Path(OPTIONS.loopdog).read_bytes():
            self.skipTest("AddressSanitizer takes memory of its own")
        with open(self.folder / "out", "wb") as out:
            started = self.start("report", "--json", path, stdout=out)
            _, status, usage = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(started.returncode, 0)
        self.assertEqual(json.loads((self.folder / "out").read_text())["stalls"]["count"], 100000)
        self.assertGreater(size, 50 << 20)
        self.assertLess(usage.ru_maxrss, 40 << 10)


class BadFiles(Report):
    """What is no record is said with file, line and reason, counted, and the rest read."""

    def expect(self, path, *complaints, stalls=1, skipped=None):
        """Text and JSON tell the same; every complaint is on stderr, and nothing else."""
        out, err = self.report(path)
        self.assertEqual(len(err.splitlines()), len(complaints), err)
        for complaint in complaints:
            self.assertIn(complaint, err)
        found = self.json(path)
        self.assertEqual(found["stalls"]["count"], stalls)
        count = len(complaints) if skipped is None else skipped
        self.assertEqual(found["input"]["skipped"], count)
        if count:
            self.assertIn(f"skipped as unreadable: {count} of ", out)

    def test_half(self):
        """a file that was cut in half"""
        whole = command.text_of(stall()).replace("@PID@", "42")
        path = self.write("half.jsonl", f"{whole}\n{whole[:len(whole) // 2]}")
        self.expect(path, f"{path}:2: skipped: the file ends in the middle of this line")

    def test_line_cut_in_the_middle(self):
        """a line that was cut by a full disk, with others behind it"""
        whole = command.text_of(stall()).replace("@PID@", "42")
        path = self.write("cut.jsonl", f"{whole[:200]}\n{whole}\n")
        self.expect(path, f"{path}:1: skipped: the record is cut off")

    def test_binary(self):
        """bytes that are no text"""
        whole = command.text_of(stall()).replace("@PID@", "42").encode()
        path = self.write("binary.jsonl", b"\x00\x01\xff\xfe\x1b[2J\n" * 20 + whole + b"\n" + bytes(range(256)))
        out, err = self.report(path)
        self.assertIn("1 stall, ", out)
        self.assertIn("more lines skipped", err)
        self.assertLessEqual(len(err.splitlines()), 6)
        self.assertNotIn("\x1b", err)

    def test_version(self):
        """a record of another version"""
        path = self.records("a.jsonl", {**stall(1), "v": 2}, stall(2))
        self.expect(path, f"{path}:1: skipped: a record of version 2; this loopdog reads version 1")

    def test_types_and_fields(self):
        """unknown types are skipped, unknown fields ignored"""
        path = self.records("a.jsonl", command.record("moon", phase=3), stall(2, moon={"phase": [1]}))
        self.expect(path, f'{path}:1: skipped: unknown type of record "moon"')

    def test_new_cause(self):
        """a cause, a language and fields that a later agent has found are read for what they are worth"""
        frame = {**python_frame("block"), "lang": "moon", "async": True}
        path = self.records("a.jsonl", stall(1, cause="moonlight", detail={"phase": "full"}, culprit=frame,
                                             stacks=[{"count": 1, "frames": [frame], "colour": "blue"}]))
        out, err = self.report("--by=cause", path)
        self.assertEqual(err, "")
        self.assertIn('unknown: "moonlight", which this loopdog does not know', out)
        self.assertEqual(self.report("--tree", path)[1], "")

    def test_wrong_kinds(self):
        """fields of the wrong kind are named"""
        path = self.records("a.jsonl", stall(1, duration_ns="long"), stall(2, stacks=[{"frames": [{"line": -1}]}]),
                            stall(3))
        self.expect(path, f'{path}:1: skipped: "duration_ns" is not', f'{path}:2: skipped: "stacks[0].frames[0].line"')

    def test_too_long(self):
        """a line over the limit, however long"""
        whole = command.text_of(stall()).replace("@PID@", "42")
        path = self.write("long.jsonl", "x" * (3 * LIMIT) + "\n" + whole + "\n" + "{" * (LIMIT + 1))
        self.expect(path, f"{path}:1: skipped: longer than a record may be", f"{path}:3: skipped: longer than")

    def test_blank(self):
        """blank lines and other newlines count for nothing"""
        whole = command.text_of(stall()).replace("@PID@", "42")
        self.expect(self.write("blank.jsonl", f"\n\n{whole}\r\n   \n\n"))

    def test_not_ours(self):
        """JSON that is not ours"""
        path = self.records("a.jsonl", '{"level":"info","msg":"hello"}', "[1]", "null", stall())
        self.expect(path, f"{path}:1: skipped: no record of loopdog", f"{path}:2: ", f"{path}:3: ")

    def test_nothing_to_read(self):
        """exit code 1 where nothing could be read"""
        for path, words in ((self.folder / "none", "No such file"),
                            (self.write("text", "hello\n"), "text:1: skipped: not JSON"),
                            (self.temporary, "no files in this folder"), ("/dev/null", "/dev/null: empty")):
            out, err = self.report(path, code=1)
            self.assertEqual(out, "")
            self.assertIn(words, err)
            self.assertIn("no record could be read", err)
            self.assertEqual(self.report("--json", path, code=1)[0], "")
        self.assertIn("name a file", self.report(code=2)[1])

    def test_empty(self):
        """a file without a record is one of a process that ended before its first: a note, and no failure"""
        empty = self.write("a/empty.jsonl", "")
        out, err = self.report(empty)
        self.assertEqual(out, "no stalls; 0 processes\n")
        self.assertEqual(err, f"loopdog: {empty}: empty: its process ended before its first record\n")
        document = json.loads(self.report("--json", self.folder / "a")[0])
        self.assertEqual((document["input"]["files_empty"], document["input"]["files_unreadable"]), (1, 0))
        self.records("a/b.jsonl", stall())
        self.assertIn("1 stall,", self.report(self.folder / "a")[0])
        self.assertIn("no record could be read", self.report(empty, self.folder / "none", code=1)[1])

    def test_one_of_many(self):
        """one file that can't be read does not keep the others from being read"""
        path = self.records("a.jsonl", stall())
        out, err = self.report(self.folder / "none", path)
        self.assertIn("1 stall,", out)
        self.assertIn("none: No such file", err)
        self.assertEqual(self.json(self.folder / "none", path)["input"]["files_unreadable"], 1)

    def test_folder(self):
        """a folder is read in order with those in it, whatever its files are called, but no links to folders"""
        self.temporary.rmdir()
        self.records("b.log", stall(1, 300, run="b"))
        self.records("a.jsonl", stall(1, 200, run="a"))
        self.records("sub/c.jsonl", stall(1, 100, run="c"))
        os.mkfifo(self.folder / "pipe")
        found = self.json(self.folder)
        self.assertEqual([p["run"] for p in found["processes"]], ["a", "b", "c"])
        (self.folder / "sub" / "up").symlink_to(self.folder)
        self.assertEqual(len(self.json(self.folder)["processes"]), 3)

    def test_stdin(self):
        """- is standard input"""
        path = self.records("a.jsonl", stall(), "nonsense")
        with open(path, encoding="utf-8") as records:
            out, err = self.report("-", stdin=records)
        self.assertIn("1 stall,", out)
        self.assertIn("loopdog: stdin:2: skipped: not JSON", err)

    def test_permission(self):
        """a file that may not be read"""
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        path = self.records("a.jsonl", stall())
        path.chmod(0)
        self.assertIn("Permission denied", self.report(path, code=1)[1])

    def test_loop_of_links(self):
        """a link to itself"""
        link = self.folder / "link"
        link.symlink_to("link")
        self.assertIn("Too many levels", self.report(link, code=1)[1])


class Surroundings(Report):

    def test_closed_pipe(self):
        """a reader that has seen enough ends the report quietly"""
        path = self.records("a.jsonl", *[stall(i, 100, f"f{i}") for i in range(1, 2000)])
        for flags in ((), ("--json",)):
            reading, writing = os.pipe()
            os.close(reading)
            started = self.start("report", *flags, path, stdout=writing)
            os.close(writing)
            _, err = started.communicate(timeout=PATIENCE_S)
            self.assertEqual((started.returncode, err), (0, ""))

    def test_full_disk(self):
        """a full disk is an error"""
        path = self.records("a.jsonl", stall())
        with open("/dev/full", "w", encoding="utf-8") as full:
            started = self.start("report", path, stdout=full)
            _, err = started.communicate(timeout=PATIENCE_S)
        self.assertEqual(started.returncode, 1)
        self.assertIn("No space left on device", err)

    def test_closed_descriptors(self):
        """stdout and stderr that are closed do not end up in a file"""
        path = self.records("a.jsonl", stall(), "nonsense")
        content = path.read_bytes()
        done = subprocess.run(["/bin/sh", "-c", 'exec "$@" 1>&- 2>&-', "sh", OPTIONS.loopdog, "report", str(path)],
                              env=self.environment(), timeout=PATIENCE_S, check=False)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(path.read_bytes(), content)

    def test_colour(self):
        """--color, NO_COLOR and CLICOLOR_FORCE"""
        path = self.records("a.jsonl", stall())
        self.assertNotIn("\033", self.report(path)[0])
        self.assertIn("\033", self.report("--color=always", path, environment={"NO_COLOR": "1"})[0])
        self.assertIn("\033", self.report(path, environment={"CLICOLOR_FORCE": "1"})[0])
        self.assertNotIn("\033", self.report("--color=never", path, environment={"CLICOLOR_FORCE": "1"})[0])

    def on_terminal(self, path, columns, **variables):
        """What `report` writes to a terminal of that width."""
        leader, terminal = pty.fork()
        if leader == 0:
            os.environ.clear()
            os.execve("/bin/sh", ["sh", "-c", f'stty cols {columns}; exec "$@"', "sh", OPTIONS.loopdog, "report",
                                  str(path)], self.environment(**variables))
        got = b""
        try:
            while piece := os.read(terminal, 65536):
                got += piece
        except OSError:  # its end
            pass
        os.close(terminal)
        os.waitpid(leader, 0)
        return got.decode().replace("\r\n", "\n")

    def test_progress(self):
        """a long read says how far it has come on a terminal, and nothing is left of that; elsewhere nothing is said"""
        line = text_of(stall()).replace("@PID@", "42") + "\n"
        for variables, shown in (({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False)):
            leader, terminal = pty.openpty()
            started = self.start("report", "-", stdin=subprocess.PIPE, stderr=terminal, environment=variables)
            os.close(terminal)
            os.set_blocking(leader, False)
            got, end = b"", time.monotonic() + (PATIENCE_S if shown else 1)
            while b"reading: " not in got and time.monotonic() < end:
                started.stdin.write(line)
                started.stdin.flush()
                time.sleep(0.02)
                got += self.read_all(leader)
            started.stdin.close()
            started.wait(PATIENCE_S)
            got += self.read_all(leader)
            os.close(leader)
            self.assertEqual(b"reading: " in got, shown, got)
            self.assertTrue(got.endswith(b"\r\x1b[K") if shown else got == b"", got)
        self.assertEqual(self.report(self.records("a.jsonl", stall()))[1], "")

    @staticmethod
    def read_all(fd):
        """All that a terminal's other side has at present."""
        got = b""
        try:
            while piece := os.read(fd, 65536):
                got += piece
        except OSError:  # nothing more, or its end
            pass
        return got

    def test_every_cpu(self):
        """a file that every CPU works on adds up like one that a single one reads, complaints and all"""
        lines = [stall(number, 100 + number % 50, f"f{number % 7}") if number % 500 else "no record"
                 for number in range(1, 12001)]
        path = self.records("a.jsonl", process(), *lines)
        self.assertGreater(path.stat().st_size, 6 << 20)  # the first 4 MB are read by one
        out, err = self.report(path)
        with subprocess.Popen(["taskset", "-c", str(min(os.sched_getaffinity(0))), OPTIONS.loopdog, "report",
                               str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=self.environment()) as alone:
            self.assertEqual(alone.communicate(timeout=PATIENCE_S), (out, err))
        self.assertIn("11,976 stalls", out)
        self.assertIn(f"{path}:501: skipped: not JSON", err)
        self.assertIn("19 more lines skipped", err)

    def test_terminal(self):
        """a terminal gets colour, and rows as wide as it is"""
        frame = python_frame("block", "/srv/" + "deep/" * 40 + "app.py")
        stacks = [{"count": 1, "complete": True, "frames": [frame]}]
        path = self.records("a.jsonl", stall(1, culprit=frame, stacks=stacks))
        out = self.on_terminal(path, 100, TERM="xterm")
        self.assertIn("\033[", out)
        row = self.rows(re.sub(r"\033\[[0-9;]*m", "", out))[0]
        self.assertEqual(len(row), 100)
        self.assertTrue(row.endswith("deep/app.py:8"), row)
        self.assertIn("\u2026", row)
        row = self.rows(re.sub(r"\033\[[0-9;]*m", "", self.on_terminal(path, 100, TERM="xterm", LANG="C")))[0]
        self.assertTrue(len(row) == 100 and row.isascii() and "..." in row, row)
        self.assertNotIn("\033", self.on_terminal(path, 100, TERM="dumb"))
        self.assertNotIn("\033", self.on_terminal(path, 100, TERM="xterm", NO_COLOR="1"))

    def test_narrow(self):
        """a narrow terminal gets fewer columns, and what is said below a row is wrapped"""
        path = self.records("a.jsonl", stall(1, 500, "a_function_with_a_name"), loop())
        for columns in (60, 80, 120):
            out = re.sub(r"\033\[[0-9;]*m", "", self.on_terminal(path, columns, TERM="xterm"))
            table = out[:out.index("loopdog: stall")]
            if columns >= 80:
                self.assertLessEqual(max(map(len, table.splitlines()[2:])), columns, table)
            self.assertEqual("p50" in table.split("culprit")[0].splitlines()[-1], columns == 120)
            note = " ".join(line.strip() for line in table[table.index(" " * 6 + RUN[:4]):].splitlines())
            self.assertIn("use a timer of the loop (an asynchronous sleep), or sleep in another thread", note)

    def test_safe_on_a_terminal(self):
        """control characters in records and names of files never reach the terminal"""
        evil = "\033[2Jevil\u202e\x9b"
        path = self.records(f"a{evil}.jsonl", process(notices=[evil], host=evil, program=evil, agent_version=evil),
                            stall(1, 500, evil, thread=evil, program=evil, detail={"call": evil}, loop=evil, host=evil),
                            loop(loop=evil, program=evil), farewell(lost={"samples": 1, "reasons": {evil: 1}}), evil)
        for flags in ((), ("--by=loop",), ("--by=cause",), ("--tree",), ("--by=stack", "--all-frames")):
            out, err = self.report(*flags, path)
            for text in (out, err):
                self.assertNotRegex(text, "[\033\u202e\x9b]")
        self.assertIn("evil", out)


if __name__ == "__main__":
    sys.exit(command.main())
