#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_export.py - `loopdog export`: each format says what `loopdog report` says, by the format's own rules

Context: system test
"""

import atexit
import base64
import csv
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

import browser
import command
from command import BEGIN, MS, RUN, Case, farewell, loop, process, python_frame, stall, stall_begin

IMPORTER = os.environ.get("LOOPDOG_SPEEDSCOPE")
ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMATS = ("json", "csv", "folded", "speedscope", "pprof", "chrome", "html")
SPEEDSCOPE = "https://www.speedscope.app/file-format-schema.json"
EVIL = "<script>document.title='broken'</script>\"'&;\u202e\033[2J=1+1,</script><img src=x onerror=alert(1)>"


def stack(count, *functions, **fields):
    return {"count": count, "first_ns": 1, "last_ns": 2, "complete": True,
            "frames": [python_frame(name) for name in functions], **fields}


class Export(Case):

    def export(self, name, *paths, **options):
        return self.loopdog("export", "--format", name, *paths, **options)[0]

    def some(self):
        """Stalls of two programs: 904 ms in `server`, 250 ms in `worker`, and two that do not count."""
        return self.records(
            "a.jsonl", process(), stall(1, 600, "block", stacks=[stack(2, "deep", "block", "main"),
                                                                  stack(1, "block", "main")], samples=3),
            stall(2, 304, "other", cause="cpu", detail={}, stacks=[stack(1, "other", "main")]),
            stall(3, 9000, "boot", phase="startup"), stall(4, 8000, "asleep", cause="suspended", detail={}),
            stall(1, 250, "work", run="c" * 16, pid=43, program="worker", host="web2", stacks=[stack(4, "work")]),
            loop(buckets=[{"from_ns": 0, "count": 30}, {"from_ns": 1048576, "count": 4}], longest_ns=600 * MS),
            farewell())


class Formats(Export):

    def test_json(self):
        """json: each stall once, as a record"""
        records = json.loads(self.export("json", self.some(), self.folder / "a.jsonl"))
        self.assertEqual([(r["run"], r["id"]) for r in records],
                         [(RUN, 1), (RUN, 2), (RUN, 3), (RUN, 4), ("c" * 16, 1)])
        self.assertEqual(records[0]["stacks"][0]["frames"], [python_frame(f) for f in ("deep", "block", "main")])

    def test_open(self):
        """a stall that never ended is there with what is known of its length"""
        path = self.records("a.jsonl", stall_begin(1, begin=BEGIN), loop(time="2026-11-22T20:16:03.120456Z"))
        record, = json.loads(self.export("json", path))
        self.assertEqual((record["type"], record["duration_ns"]), ("stall-begin", 60000 * MS))
        row, = csv.DictReader(io.StringIO(self.export("csv", path)))
        self.assertEqual((row["ended"], row["duration_ms"]), ("no", "60000.000000"))
        self.assertIs(json.loads(self.export("chrome", path))["traceEvents"][-1]["args"]["never_ended"], True)

    def test_csv(self):
        """csv: a row a stall, quoted, and no cell is a formula"""
        path = self.records("a.jsonl", stall(1, 500, "=cmd|' /C calc'!A0", thread='say "hi", \u00e4', loop="a\nb"),
                            stall(2, 200, "@sum", program="-1", host="+1"))
        text = self.export("csv", path)
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([row["function"] for row in rows], ["'=cmd|' /C calc'!A0", "'@sum"])
        self.assertEqual((rows[0]["thread"], rows[0]["loop"]), ('say "hi", \u00e4', "a\nb"))
        self.assertEqual((rows[1]["program"], rows[1]["host"]), ("'-1", "'+1"))
        self.assertEqual((rows[0]["id"], rows[0]["duration_ms"], rows[0]["call"]), (f"{RUN}-1", "500.000000",
                                                                                   "clock_nanosleep"))

    def test_folded(self):
        """folded: a line a stack, and the sum is the time lost"""
        lines = dict(line.rsplit(" ", 1) for line in self.export("folded", self.some()).splitlines())
        self.assertEqual(lines, {"server;main;block;deep": "400000", "server;main;block": "200000",
                                 "server;main;other": "304000", "worker;work": "250000"})
        path = self.records("b.jsonl", stall(1, 500, stacks=[stack(1, "a;b c\nd", "main")]))
        self.assertEqual(self.export("folded", path), "server;main;a:b c d 500000\n")
        odd = [stall(i, 0, duration_ns=100000333, stacks=[stack(1, f"f{i}")]) for i in range(1, 10)]
        lines = self.export("folded", self.records("c.jsonl", *odd)).splitlines()
        self.assertEqual(sum(int(line.rsplit(" ", 1)[1]) for line in lines), 9 * 100000333 // 1000)

    def test_speedscope(self):
        """speedscope: a profile a program, by the rules of its schema"""
        document = json.loads(self.export("speedscope", self.some()))
        self.assertEqual(document["$schema"], SPEEDSCOPE)
        frames = document["shared"]["frames"]
        self.assertTrue(all(isinstance(frame["name"], str) and set(frame) <= {"name", "file", "line", "col"}
                            for frame in frames))
        self.assertEqual([profile["name"] for profile in document["profiles"]], ["server", "worker"])
        for profile, total in zip(document["profiles"], (904 * MS, 250 * MS)):
            self.assertEqual((profile["type"], profile["unit"], profile["startValue"], profile["endValue"]),
                             ("sampled", "nanoseconds", 0, total))
            self.assertEqual(len(profile["samples"]), len(profile["weights"]))
            self.assertEqual(sum(profile["weights"]), total)
            self.assertTrue(all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample))
        names = [";".join(frames[i]["name"] for i in sample) for sample in document["profiles"][0]["samples"]]
        self.assertEqual(set(names), {"main;block;deep", "main;block", "main;other"})

    def test_pprof(self):
        """pprof: protoc reads it, every index is right, and the sum is the time lost"""
        path = self.folder / "out.pb"
        self.export("pprof", self.some(), "--output", path)
        decoded = subprocess.run(["protoc", "--decode=pprof.Profile", f"-I{ROOT}/tools/export", "profile.proto"],
                                 input=path.read_bytes(), capture_output=True, check=True).stdout.decode()
        strings = re.findall(r'^string_table: "(.*)"$', decoded, re.MULTILINE)
        parts = re.findall(r"^(\w+) \{\n(.*?)^\}", decoded, re.MULTILINE | re.DOTALL)
        self.assertEqual(strings[0], "")

        def numbers(text, name):
            return [int(value) for value in re.findall(rf"^ +{name}: (\d+)$", text, re.MULTILINE)]

        types = [tuple(strings[i] for i in numbers(text, "type") + numbers(text, "unit"))
                 for name, text in parts if name == "sample_type"]
        self.assertEqual(types, [("samples", "count"), ("lost", "nanoseconds")])
        functions = {numbers(text, "id")[0]: strings[numbers(text, "name")[0]] for name, text in parts
                     if name == "function"}
        locations = {numbers(text, "id")[0]: functions[numbers(text, "function_id")[0]] for name, text in parts
                     if name == "location"}
        samples = {";".join(locations[i] for i in reversed(numbers(text, "location_id"))): numbers(text, "value")
                   for name, text in parts if name == "sample"}
        self.assertEqual(samples, {"server;main;block;deep": [2, 400 * MS], "server;main;block": [1, 200 * MS],
                                   "server;main;other": [1, 304 * MS], "worker;work": [4, 250 * MS]})

    def test_chrome(self):
        """chrome: a complete event a stall, on a named line of its own thread"""
        events = json.loads(self.export("chrome", self.some()))["traceEvents"]
        names = {(e["pid"], e["name"]): e["args"]["name"] for e in events if e["ph"] == "M"}
        self.assertEqual(names[1, "process_name"], "server 42 on web1")
        self.assertEqual(names[2, "process_name"], "worker 43 on web2")
        stalls = [e for e in events if e["ph"] == "X"]
        self.assertEqual([e["dur"] for e in stalls], [600e3, 304e3, 9e6, 8e6, 250e3])
        self.assertEqual(stalls[0]["ts"], 1795378503120456.0)
        self.assertEqual((stalls[0]["name"], stalls[0]["args"]["id"]), ("block() at /srv/app.py:8", f"{RUN}-1"))
        self.assertEqual({e["ph"] for e in events}, {"X", "M"})

    def test_hostile(self):
        """names that mean something to a format stay names, and none is lost"""
        path = self.records("a.jsonl", process(host=EVIL, program=EVIL), stall(
            1, 500, EVIL, thread=EVIL, program=EVIL, host=EVIL, loop=EVIL, detail={"call": EVIL},
            stacks=[stack(1, EVIL, "main")]))
        for name in FORMATS:
            target = self.folder / name
            self.export(name, path, "--output", target)
            if name in ("json", "speedscope", "chrome"):
                self.assertIn(EVIL, json.dumps(json.loads(target.read_text()), ensure_ascii=False).replace('\\"', '"')
                              .replace("\\u001b", "\033"))
        page = (self.folder / "html").read_text()
        self.assertEqual(page.count("<script"), 2)
        self.assertNotIn("onerror=alert(1)>", page)

    def test_empty(self):
        """without a stall each format is whole, and without a record there is none"""
        path = self.records("a.jsonl", process(), farewell())
        for name in FORMATS:
            self.export(name, path, "--output", self.folder / "out")
            self.assertEqual(self.loopdog("export", "-f", name, self.folder / "none", code=1)[0], "")
        self.assertEqual(json.loads(self.export("json", path)), [])
        self.assertEqual(json.loads(self.export("chrome", path))["traceEvents"], [])

    def test_options(self):
        """filters hold; a wrong format and a missing one are said; a full disk is an error"""
        path = self.some()
        self.assertEqual(len(json.loads(self.export("json", "--cause=cpu", path))), 1)
        self.assertEqual(len(json.loads(self.export("json", "--culprit=oth", path))), 1)
        self.assertIn("lists the formats", self.loopdog("export", path, code=2)[1])
        self.assertIn("lists the formats", self.loopdog("export", "--format=moon", path, code=2)[1])
        self.assertIn("  speedscope ", self.loopdog("help", "export")[0])
        _, err = self.loopdog("export", "-f", "html", "-o", "/dev/full", path, code=1)
        self.assertIn("No space left on device", err)


@unittest.skipUnless(browser.PROGRAM, "chromium is not installed")
class Page(Export):
    """The page in a real browser."""

    browser = None  # one for all tests: it takes a second to start

    def setUp(self):
        super().setUp()
        if not Page.browser:
            Page.browser = browser.Browser()
            atexit.register(Page.browser.close)

    def open(self, *records, **options):
        path = self.folder / "page.html"
        self.export("html", *records, "--output", path)
        self.browser.said.clear()
        self.browser.size(options.get("width", 1280), 900)
        self.browser.prefer(options.get("scheme", "light"))
        self.browser.open(path, "document.documentElement?.dataset.ready === 'yes'")
        return path

    def text(self, selector):
        return self.browser.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def texts(self, selector):
        return self.browser.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")

    def search(self, words):
        self.browser.evaluate(f"(s => {{ s.value = {json.dumps(words)}; s.dispatchEvent(new Event('input')); }})"
                              "(document.getElementById('search'))")

    def test_totals(self):
        """the page says what `report` says, and nothing on its console"""
        path = self.some()
        self.open(path)
        out, _ = self.loopdog("report", path)
        self.assertIn("3 stalls, 1.15 s lost, longest 600 ms; ", out)
        self.assertEqual(self.text("#total-count"), "3stalls")
        self.assertEqual(self.text("#total-lost"), "1.15 slost")
        self.assertEqual(self.text("#total-longest"), "600 mslongest")
        cells = ("[...document.querySelectorAll('#table tbody tr')]"
                 ".map(row => [...row.cells].map(cell => cell.textContent).join(' '))")
        rows = [row.split() for row in self.browser.evaluate(cells)]
        printed = [line.split() for line in out.splitlines() if re.search(r" %.*\(\) at", line)
                   and "suspended" not in line]
        self.assertEqual([row[:6] for row in rows], [line[:6] for line in printed])
        self.assertIn("during start-up, not counted: 1, 9 s; suspended from outside, not counted: 1, 8 s",
                      self.text("#remarks"))
        self.assertEqual(self.texts("#hist tbody tr"), ["below 1.02 us30", "from 1.05 ms4"])
        self.assertEqual(self.browser.said, [])

    def test_durations(self):
        """the page writes durations as the terminal does"""
        ns = [0, 999, 1000, 9995, 99949, 999999, 1000000, 1234567, 99960000, 999999999, 1000000000, 59999999999,
              60000000000, 137999000000, 3599999999999, 3600000000000, 86399000000000]
        path = self.records("a.jsonl", *[stall(i, 0, f"f{i}", duration_ns=value) for i, value in enumerate(ns, 1)])
        self.open(path)
        groups = json.loads(self.loopdog("report", "--json", path)[0])["groups"]
        printed = re.findall(r"loopdog: stall (.*?) in f(\d+)\(\)", "".join(
            self.loopdog("show", str(i), path)[0] for i in range(1, len(ns) + 1)))
        self.assertEqual(len(groups), len(printed))
        for words, number in printed:
            self.assertEqual(self.browser.evaluate(f"duration({ns[int(number) - 1]})"), words)

    def test_flame(self):
        """flame graph: widths are shares; zoom by click and keys, back by Escape"""
        self.open(self.some())
        width = "document.getElementById('flame').clientWidth"
        boxes = dict(zip(self.texts("#flame button"), self.browser.evaluate(
            f"[...document.querySelectorAll('#flame button')].map(b => b.offsetWidth / {width})")))
        for name, share in (("all", 1), ("server", 904 / 1154), ("worker", 250 / 1154), ("block", 600 / 1154),
                            ("deep", 400 / 1154)):
            self.assertAlmostEqual(boxes[name], share, delta=0.01)
        self.browser.evaluate("[...document.querySelectorAll('#flame button')].find(b => b.textContent === 'block')"
                              ".click()")
        self.assertEqual(set(self.texts("#flame button")), {"all", "server", "main", "block", "deep"})
        self.assertIn("block  /srv/app.py:8  600 ms (52.0 %), itself 200 ms", self.text("#frame"))
        self.browser.press("ArrowDown")
        self.assertEqual(self.browser.evaluate("document.activeElement.textContent"), "deep")
        self.browser.press("Enter")
        self.assertAlmostEqual(self.browser.evaluate(f"document.activeElement.offsetWidth / {width}"), 1, delta=0.01)
        for _ in range(4):
            self.browser.press("Escape")
        self.assertEqual(self.browser.evaluate("document.activeElement.textContent"), "all")
        self.assertIn("worker", self.texts("#flame button"))
        self.browser.press("ArrowDown")
        self.browser.press("ArrowRight")
        self.assertEqual(self.browser.evaluate("document.activeElement.textContent"), "worker")
        self.assertEqual(self.browser.said, [])

    def test_search(self):
        """search: rows are filtered, frames marked, and their time is said once"""
        self.open(self.some())
        self.search("BLOCK")
        self.assertEqual(self.texts("#flame button.hit"), ["block"])
        self.assertEqual(self.text("#matched"), "found in 600 ms, 52.0 %")
        self.assertEqual(len(self.texts("#table tbody tr")), 1)
        self.search("/srv/app")
        self.assertEqual(self.text("#matched"), "found in 1.15 s, 100.0 %")
        self.search("")
        self.assertEqual((self.text("#matched"), len(self.texts("#table tbody tr"))), ("", 3))
        self.assertEqual(self.browser.said, [])

    def test_timeline(self):
        """timeline: a row a loop, keys go from stall to stall, and each is named"""
        self.open(self.some())
        self.assertEqual(self.texts("#time .row"), ["server 42 on web1, epoll:5", "worker 43 on web2, epoll:5"])
        self.browser.evaluate("document.querySelector('#time canvas').focus()")
        self.browser.press("ArrowRight")
        self.assertIn(f"block() at /srv/app.py:8, blocked; 2026-11-22T20:15:03.120Z; loopdog show {RUN}-1",
                      self.text("#stall"))
        self.browser.press("ArrowRight")
        self.assertIn("other()", self.text("#stall"))
        self.browser.press("+")
        self.assertIn(" UTC: 300 ms", self.text("#axis"))
        self.browser.press("0")
        self.assertIn(" UTC: 600 ms", self.text("#axis"))
        painted = ("(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].some(v => v > 0))"
                   "(document.querySelector('#time canvas'))")
        self.assertIs(self.browser.evaluate(painted), True)
        self.assertEqual(self.browser.said, [])

    def test_hostile(self):
        """what stands in records is text: a planted script does nothing"""
        frames = [python_frame(EVIL, EVIL), python_frame("main")]
        path = self.records("a.jsonl", process(host=EVIL, program=EVIL), loop(loop=EVIL, program=EVIL), stall(
            1, 500, EVIL, culprit=frames[0], thread=EVIL, program=EVIL, host=EVIL, loop=EVIL, detail={"call": EVIL},
            stacks=[{"count": 1, "complete": True, "frames": frames}]))
        self.open(path)
        self.search("script")
        self.assertEqual(self.browser.evaluate("document.title"), "loopdog: stalls of event loops")
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('img, main script').length"), 0)
        self.assertIn(EVIL, self.texts("#flame button"))
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('script').length"), 2)
        self.assertEqual(self.browser.said, [])

    def test_narrow(self):
        """360 pixels are enough, in light and dark, and the button changes that"""
        for scheme in ("light", "dark"):
            self.open(self.some(), width=360, scheme=scheme)
            self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"), 360)
            left_out = self.browser.evaluate("getComputedStyle(document.querySelector('td small'), '::before').content")
            self.assertIn("blocked in clock_nanosleep, longest 600 ms", left_out)
            ground = "getComputedStyle(document.body).backgroundColor"
            before = self.browser.evaluate(ground)
            self.assertEqual(before == "rgb(255, 255, 255)", scheme == "light")
            self.browser.evaluate("document.getElementById('theme').click()")
            self.assertNotEqual(self.browser.evaluate(ground), before)
            self.assertEqual(self.browser.said, [])

    def test_large(self):
        """10,000 stalls with 300 different stacks: at most 2 MB, and all of them are in it"""
        lines = [stall(i, 100 + i % 400, f"function_{i % 300}", begin=f"2026-11-22T{i // 3600:02}:{i // 60 % 60:02}:"
                       f"{i % 60:02}.000000Z", stacks=[stack(1, *[f"callee_{i % 300}_{j}" for j in range(40)])])
                 for i in range(1, 10001)]
        path = self.open(self.records("a.jsonl", *lines))
        self.assertLess(path.stat().st_size, 2 << 20)
        self.assertEqual(self.text("#total-count"), "10,000stalls")
        self.assertEqual(self.browser.evaluate("D.stalls.length / FIELDS"), 10000)
        self.assertEqual(self.browser.evaluate("nodes[0].total"), sum(line["duration_ns"] for line in lines))
        self.assertEqual(self.browser.said, [])


@unittest.skipUnless(browser.PROGRAM, "chromium is not installed")
@unittest.skipUnless(IMPORTER, "LOOPDOG_SPEEDSCOPE does not name dist/release of npm's package speedscope")
class Consumer(Export):
    """speedscope's importer reads four of the formats: does it find in them what was put in?"""

    def imported(self, page, name, content):
        """The rows of speedscope's table of functions: name -> total and its share."""
        script = self.write(f"{name}.js", f"speedscope.loadFileFromBase64({json.dumps(name)}, "
                                          f"'{base64.b64encode(content).decode()}')")
        page.call("Page.navigate", url="about:blank")
        page.wait_for("location.href === 'about:blank'")
        page.call("Page.navigate", url=(pathlib.Path(IMPORTER) / "index.html").as_uri() +
                  f"#view=sandwich&localProfilePath={script}")
        page.wait_for("document.querySelectorAll('tr').length > 2")
        rows = page.evaluate("[...document.querySelectorAll('tr')].map(r => [...r.cells].map(c => c.textContent))")
        return {row[-1].strip(): row[0] for row in rows if len(row) == 3}

    def test_speedscope(self):
        """speedscope opens speedscope, pprof, folded and chrome, with the totals of the report"""
        path = self.some()
        page = browser.Browser()
        self.addCleanup(page.close)
        for name, file, total in (("speedscope", "a.speedscope.json", "600.00ms"), ("pprof", "a.pb", "600.00ms"),
                                  ("folded", "a.folded.txt", "600,000"), ("chrome", "a.trace.json", "600.00ms")):
            self.export(name, path, "--output", self.folder / file)
            rows = self.imported(page, file, (self.folder / file).read_bytes())
            found = [cell for function, cell in rows.items() if function.startswith("block")]
            self.assertEqual(len(found), 1, rows)
            self.assertTrue(found[0].startswith(total), rows)


if __name__ == "__main__":
    sys.exit(command.main())
