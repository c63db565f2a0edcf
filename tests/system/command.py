# SPDX-License-Identifier: Apache-2.0
"""command.py - start the `loopdog` command with records made up by the test

Stalls come from fake_agent.c, a preload that plays a script: these tests are about the command. Real servers and the
real agent are tested by the programs beside this one.

Context: tests; Python's standard library only
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

OPTIONS = argparse.Namespace()
PATIENCE_S = 30     # for what takes milliseconds on an idle machine
MS = 1000000
BEGIN = "2026-11-22T20:15:03.120456Z"
RUN = "b1946ac92492d234"


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now():
    return rfc3339(datetime.datetime.now(datetime.timezone.utc))


def record(kind, **fields):
    """A record as a dict; pid "@PID@" is replaced by the fake agent."""
    return {"v": 1, "type": kind, "time": fields.pop("time", BEGIN), "host": "web1", "pid": "@PID@", "run": RUN,
            "program": "server", **fields}


def process(**fields):
    return record("process", **{"ppid": 1, "threshold_ns": 100 * MS, "interval_ns": 10 * MS, "notices": [], **fields})


def python_frame(function, path="/srv/app.py", line=8):
    return {"lang": "python", "function": function, "file": path, "line": line}


def stall(number=1, duration_ms=500, function="block", **fields):
    frames = [python_frame(function)]
    return record(fields.pop("kind", "stall"), **{
        "id": number, "begin": BEGIN, "tid": 1, "thread": "server", "loop": "epoll:5", "threshold_ns": 100 * MS,
        "duration_ns": duration_ms * MS, "cpu_ns": 310022, "late_ns": 0, "yields": 0, "cause": "blocked",
        "detail": {"call": "clock_nanosleep"}, "signature": f"{zlib.crc32(function.encode()) + 1:016x}", "repeats": 0,
        "culprit": frames[0], "samples": 2, "lost": {"samples": 0}, "stacks_dropped": 0,
        "stacks": [{"count": 2, "first_ns": 1, "last_ns": 2, "state": "S", "complete": True, "frames": frames}],
        **fields})


def stall_begin(number=1, **fields):
    return stall(number, kind="stall-begin", **{"duration_ms": 100, "begin": now(), **fields})


def loop(**fields):
    return record("loop", **{"tid": 1, "thread": "server", "loop": "epoll:5", "iterations": 10234, "busy_ns": 123 * MS,
                             "idle_ns": 877 * MS, "outside_ns": 0, "stalls": 1, "stall_ns": 0, "longest_ns": 0,
                             "buckets": [], **fields})


def farewell(**fields):
    return record("exit", **{"reason": "exit", "captures": 100, "lost": {"samples": 0}, **fields})


def text_of(line):
    """A line of a script or a file: a record as JSON, anything else as it is."""
    if isinstance(line, dict):
        return json.dumps(line, separators=(",", ":")).replace('"@PID@"', "@PID@")
    return line


class Case(unittest.TestCase):
    """A test with a folder of its own; what it started is ended with it."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="loopdog-command-"))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()

    def write(self, name, content, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def records(self, name, *lines):
        """A file of records, as an agent with process id 42 would have left it."""
        return self.write(name, "".join(text_of(line).replace("@PID@", "42") + "\n" for line in lines))

    def environment(self, script=(), **variables):
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(self.temporary), "LANG": "C.UTF-8",
                       "LOOPDOG_LIBRARY": OPTIONS.fake_agent, "LSAN_OPTIONS": os.environ.get("LSAN_OPTIONS", ""),
                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        if script:
            path = self.write("script", "".join(text_of(line) + "\n" for line in script))
            environment["FAKE_AGENT"] = str(path)
        environment.update(variables)
        return {name: value for name, value in environment.items() if value is not None}

    def start(self, *arguments, script=(), environment=(), **options):
        """Start loopdog; its output goes to pipes, as text, unless said otherwise."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True,
                   "errors": "replace", **options}
        started = subprocess.Popen([OPTIONS.loopdog, *map(str, arguments)],
                                   env=self.environment(script, **dict(environment)), **options)
        self.addCleanup(self.end, started)
        return started

    @staticmethod
    def end(started):
        if started.poll() is None:
            started.kill()
        started.wait()
        for stream in (started.stdin, started.stdout, started.stderr):
            if stream:
                stream.close()

    def loopdog(self, *arguments, code=0, **options):
        """Run loopdog to its end; what it wrote to stdout and stderr."""
        started = self.start(*arguments, **options)
        out, err = started.communicate(timeout=PATIENCE_S)
        self.assertEqual(started.returncode, code, f"{arguments}\n--- stdout\n{out}\n--- stderr\n{err}")
        return out, err

    def run_command(self, *command, code=0, flags=(), **options):
        return self.loopdog("run", *flags, "--", *command, code=code, **options)

    def wait_until(self, condition, what):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        return self.fail(f"not within {PATIENCE_S} s: {what}")

    def assert_clean(self):
        """No temporary folder was left behind."""
        self.assertEqual(list(self.temporary.iterdir()), [])


def copy_patched(source, target, *replacements):
    """A copy of a program with bytes replaced by others of the same length."""
    content = pathlib.Path(source).read_bytes()
    for old, new in replacements:
        if old not in content or len(old) != len(new):
            raise ValueError(f"{old} is not in {source}, or is not as long as {new}")
        content = content.replace(old, new, 1)
    target = pathlib.Path(target)
    target.write_bytes(content)
    target.chmod(stat.S_IRWXU)
    return target


class TapResult(unittest.TestResult):
    """One line a test, as meson and tests/count.py read it."""

    def tell(self, verdict, test, reason="", details=""):
        title = (test.shortDescription() or test.id()).rstrip(".")
        print(f"{verdict} {self.testsRun} - {title}{reason}")
        for line in details.splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def addSuccess(self, test):
        self.tell("ok", test)

    def addSkip(self, test, reason):
        self.tell("ok", test, f" # SKIP {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell("not ok", test, details=self._exc_info_to_string(err, test))

    addError = addFailure


def main():
    parser = argparse.ArgumentParser(description="system tests of the loopdog command")
    parser.add_argument("--loopdog", required=True, help="the program")
    parser.add_argument("--fake-agent", required=True, help="fake_agent.so")
    parser.add_argument("--static", help="a statically linked program")
    parser.add_argument("--go", help="a program with Go's note in it")
    parser.add_argument("--inlined", help="program_inlined of the unit tests")
    parser.add_argument("--only", default="", help="tests whose name has this in it")
    parser.parse_args(namespace=OPTIONS)
    for name in ("loopdog", "fake_agent", "static", "go", "inlined"):
        if getattr(OPTIONS, name):
            setattr(OPTIONS, name, os.path.abspath(getattr(OPTIONS, name)))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("ended by SIGTERM"))
    tests = [test for suite in unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
             for test in suite if OPTIONS.only in test.id()]
    print(f"1..{len(tests)}")
    result = TapResult()
    for test in tests:
        test.run(result)
    return 0 if result.wasSuccessful() and tests else 1
