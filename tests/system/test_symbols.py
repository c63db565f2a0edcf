#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_symbols.py - names and lines of records from another machine: --sysroot, --debug-dir, --debuginfod

The program is program_inlined of the unit tests, which says at which of its addresses which line stands.

Context: system test
"""

import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading

import command
from command import OPTIONS, RUN, Case, process, stall

BUILD_ID = "0123abcd"
MODULE = "/opt/app/server"


class Symbols(Case):

    def setUp(self):
        super().setUp()
        said = subprocess.run([OPTIONS.inlined], capture_output=True, text=True, check=True).stdout
        self.offset, self.line = re.search(r"(0x\w+) (\d+) innermost", said).groups()

    def record(self, module=MODULE, build_id=BUILD_ID):
        frame = {"lang": "native", "function": "outer", "module": str(module), "build_id": build_id,
                 "offset": self.offset, "caller": True}
        return self.records("a.jsonl", stall(culprit=frame, stacks=[{"count": 2, "complete": True, "frames": [frame]}]))

    def check(self, *flags, found=True, says="", **options):
        """Whether report, show and export find the lines; what is said where they do not."""
        out, err = self.loopdog("report", "--json", *flags, self.folder / "a.jsonl", **options)
        group = json.loads(out)["groups"][0]
        expected = ("innermost", int(self.line)) if found else ("outer", None)
        self.assertEqual((group["culprit"]["function"], group["culprit"].get("line")), expected, err)
        self.assertEqual("innermost [inlined]" in self.loopdog("show", *flags, "1", self.folder / "a.jsonl",
                                                               **options)[0], found)
        self.assertEqual("innermost" in self.loopdog("export", "-f", "folded", *flags, self.folder / "a.jsonl",
                                                     **options)[0], found)
        self.assertIn(says, err)
        self.assertEqual(err == "", found, err)

    def place(self, path):
        """The program at another path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(OPTIONS.inlined, path)
        return path

    def split(self, debug):
        """The program without debug information, and that in a file of its own."""
        program = self.place(self.folder / "stripped")
        debug.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
        subprocess.run(["objcopy", "--strip-debug", program], check=True)
        return program

    def test_sysroot(self):
        """--sysroot: the other machine's files, if they are the build that ran"""
        self.record()
        self.check(found=False, says=f"{MODULE}: No such file")
        self.place(self.folder / "root" / MODULE[1:])
        self.check("--sysroot", self.folder / "root")
        self.record(build_id="ffff")
        self.check("--sysroot", self.folder / "root", found=False, says=MODULE)

    def test_mismatch(self):
        """another build at the record's path is not believed, and both build-ids are said"""
        self.record(self.place(self.folder / "server"), "ffff0000")
        self.check(found=False, says="it is not the build that ran (build-id 0123abcd, the record says ffff0000)")

    def test_debug_dir(self):
        """--debug-dir: by build-id, with the program and without it"""
        debug = self.folder / "debug" / ".build-id" / "01" / "23abcd.debug"
        program = self.split(debug)
        self.record(program)
        out, err = self.loopdog("report", "--json", self.folder / "a.jsonl")
        self.assertNotIn("innermost", out)
        self.check("--debug-dir", self.folder / "none", "--debug-dir", self.folder / "debug")
        self.record()
        self.check("--debug-dir", self.folder / "debug")
        shutil.move(self.folder / "debug", self.folder / "root" / "usr" / "lib" / "debug")
        self.check("--sysroot", self.folder / "root")
        self.check(found=False, says="No such file")

    def test_debug_link(self):
        """a debug file beside the program, by its debug link"""
        debug = self.folder / ".debug" / "stripped.debug"
        program = self.split(debug)
        subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", program], check=True)
        self.record(program)
        self.check()

    def jit_records(self, name, run=RUN, **fields):
        """A stall in code that was made at run time, below a function of no name."""
        frames = [{"lang": "jit", "offset": "0x1008"}, {"lang": "jit", "offset": "0x2010", "caller": True}]
        one = stall(1, 500, cause="cpu", detail={}, signature="1111111111111111", culprit=frames[0], stacks=[
            {"count": 2, "first_ns": 1, "last_ns": 2, "state": "R", "complete": True, "frames": frames}], **fields)
        return self.records(name, {**process(), "run": run}, {**one, "run": run})

    def test_perf_map(self):
        """a perf map beside the records, by run or by process id, names what was compiled at run time"""
        path = self.jit_records("one/a.jsonl")
        self.assertIn("0x1008", self.loopdog("report", path)[0])
        text = "1000 10 Builtin:Add\n2000 10 JS:*total /srv/shop.js:7:3\n"
        self.write("one/perf-42.map", text)
        for arguments in (["report", path], ["report", self.folder / "one"], ["report", "--tree", path]):
            out = self.loopdog(*arguments)[0]
            self.assertIn("total", out)
            self.assertIn("/srv/shop.js:7", out)
        out = self.loopdog("show", "1", path)[0]
        self.assertIn("in total() at /srv/shop.js:7, busy on the CPU", out)
        self.assertIn("Builtin:Add", out)
        self.assertIn("total", self.loopdog("export", "-f", "folded", path)[0])
        self.write(f"one/{RUN}.perf-map", text.replace("total", "sum"))
        self.assertIn("sum()", self.loopdog("report", path)[0])
        for arguments in ("one", "one/a.jsonl"):
            frame = self.loopdog("top", "--json", "-n", "1", self.folder / arguments)[0]
            self.assertEqual(json.loads(frame)["culprits"][0]["culprit"]["function"], "sum")
        other = self.jit_records("two/a.jsonl", "00000000000000aa")
        self.assertNotIn("/srv/shop.js", self.loopdog("report", other)[0])

    def made(self):
        """Three stalls at the same depth, and so of one signature: one in busyParse and two in busyRender."""
        node = {"lang": "native", "function": "main", "module": "/none/node", "offset": "0x100", "caller": True}
        shares = [{"samples": 1, "percent": 50, "frame": {**node, "function": part}} for part in ("one", "other")]
        return [stall(number, ms, cause="cpu", detail={}, signature="2222222222222222", culprit=node, profile=shares,
                      host=socket.gethostname(), stacks=[
                          {"count": 2, "first_ns": 1, "last_ns": 2, "state": "R", "complete": True,
                           "frames": [{"lang": "jit", "offset": offset}, node]}])
                for number, ms, offset in ((1, 401, "0x1010"), (2, 150, "0x2010"), (3, 150, "0x2010"))]

    def check_made(self, text):
        """Each function has its own time in the table."""
        for function, count, lost in (("busyParse", 1, "401 ms"), ("busyRender", 2, "300 ms")):
            rows = [line for line in text.splitlines() if function in line and lost in line]
            self.assertTrue(any(re.search(rf" {count} ", row) for row in rows), text)

    def test_perf_map_two_functions(self):
        """two functions made at run time are two culprits, though they are at the same depth: of one signature"""
        names = "1000 100 JS:*busyParse /srv/shop.js:3:1\n2000 100 JS:*busyRender /srv/shop.js:9:1\n"
        path = self.records("both/a.jsonl", process(), *self.made())
        first = self.records("both/first.jsonl", process(), self.made()[0])
        self.assertIn("parts: ", self.loopdog("show", "1", path)[0])
        self.write("both/perf-42.map", names)
        self.check_made(self.loopdog("report", path)[0])
        self.check_made(self.loopdog("top", "--batch", "-n", "1", path)[0])
        out = self.loopdog("report", "--diff", first, "--fail-on", "new", path, code=3)[0]
        self.assertRegex(out, r"new.*busyRender")
        self.assertIn("2222222222222222", self.loopdog("report", "--by", "stack", path)[0])
        out = self.loopdog("report", "--culprit", "busyRender", path)[0]
        self.assertIn("busyRender", out)
        self.assertNotIn("busyParse", out)
        self.assertNotIn("parts: ", self.loopdog("show", "1", path)[0])
        write = f"printf '{names}' > /tmp/perf-$$.map; echo $$".replace("\n", "\\n")
        pid, err = self.loopdog("run", "--", "sh", "-c", f"{write}; sleep 1",
                                environment={"FAKE_PROGRAM": "sh"}, script=["sleep 300", process(), *self.made()])
        pathlib.Path(f"/tmp/perf-{pid.strip()}.map").unlink()
        self.check_made(err)

    def test_perf_map_of_another(self):
        """another user's map in /tmp is neither kept nor used, which is said"""
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        out = self.folder / "out"
        out.mkdir()
        write = "echo '1000 10 JS:~total /srv/shop.js:7:3' > /tmp/perf-$$.map; chown 65534 /tmp/perf-$$.map; echo $$"
        pid, err = self.loopdog("run", "-o", f"{out}/", "--", "sh", "-c", write, script=[process()],
                                environment={"FAKE_PROGRAM": "sh"})
        pathlib.Path(f"/tmp/perf-{pid.strip()}.map").unlink()
        self.assertIn("belongs to another user and is not used: copy it beside the records", err)
        self.assertFalse((out / f"{RUN}.perf-map").exists())

    def test_perf_map_saved(self):
        """run -o keeps the map that a process wrote beside its records"""
        out = self.folder / "out"
        out.mkdir()
        write = "echo '1000 10 JS:~total /srv/shop.js:7:3' > /tmp/perf-$$.map; echo $$"
        pid = self.loopdog("run", "-o", f"{out}/", "--", "sh", "-c", write, script=[process()])[0].strip()
        pathlib.Path(f"/tmp/perf-{pid}.map").unlink()
        self.assertEqual((out / f"{RUN}.perf-map").read_text(), "1000 10 JS:~total /srv/shop.js:7:3\n")
        self.assertIn("no stalls", self.loopdog("report", out)[0])

    def test_debuginfod(self):
        """--debuginfod: only when asked for"""
        asked = []
        program = pathlib.Path(OPTIONS.inlined).read_bytes()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                there = self.path in (f"/buildid/{BUILD_ID}/executable", f"/buildid/{BUILD_ID}/debuginfo")
                self.send_response(200 if there else 404)
                self.send_header("Content-Length", str(len(program) if there else 0))
                self.end_headers()
                self.wfile.write(program if there else b"")

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        variables = {"DEBUGINFOD_URLS": f"http://127.0.0.1:{server.server_port}", "HOME": str(self.temporary),
                     "DEBUGINFOD_CACHE_PATH": str(self.temporary / "cache")}
        self.record()
        self.check(found=False, says="No such file", environment=variables)
        self.assertEqual(asked, [])
        self.check("--debuginfod", environment=variables)
        self.assertIn(f"/buildid/{BUILD_ID}/executable", asked)
        _, err = self.loopdog("report", "--debuginfod", self.folder / "a.jsonl", code=2)
        self.assertIn("DEBUGINFOD_URLS does not name a server", err)


if __name__ == "__main__":
    sys.exit(command.main())
