#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_suites.py - other people's tests, with the agent and without

CPython's own tests of what loops are made of, those of two event loops in Python, and GLib's (its main loop, sockets,
subprocesses, D-Bus ...) and libsoup's, which are programs in C, as Debian has them. Each suite is run without the agent
and with it, where every iteration above a millisecond is sampled each millisecond, in every thread that waits; each of
CPython's tests is an iteration. A test
that passes without and fails with is run again: it differs where it fails in three runs of three with and in none of
three without. The others are flaky and named. So with tests that are skipped, or have no result at all, in runs of one
kind only, and with the exit status. A runner that a signal ended with the agent only is a difference at once, and a
suite in which no capture was accepted shows nothing, but for those of which that is known.

`./dev test` runs the suites that take seconds; `./dev suites` all of them, in some twenty minutes.

Context: system test
"""

import collections
import json
import pathlib
import xml.etree.ElementTree

import harness
import records
import servers

suite = harness.Suite("suites")
RUNS = 3
SECONDS = 1200
# In a virtual machine whose host does not answer it waits for ever, without the agent too.
IGNORED = ["--ignore", "*VSOCK*"]
RECORD = harness.HERE / "suites_record.py"
CPYTHON_RUNNER = harness.HERE / "suites_cpython.py"
# Beside the tests: each runner's own end.
RUNNER, KILLED = "exit status 0", "not ended by a signal"

Row = collections.namedtuple("Row", "name framework modules short")
CPYTHON = {"test_epoll": True, "test_select": True, "test_time": True, "test_os": True, "test_fork1": False,
           "test_selectors": False, "test_poll": False, "test_signal": False, "test_threading": False,
           "test_subprocess": False, "test_socket": False, "test_asyncio": False}
TORNADO = ("asyncio", "concurrent", "gen", "httpclient", "httpserver", "ioloop", "iostream", "locks", "netutil",
           "process", "queues", "simple_httpclient", "tcpclient", "tcpserver", "web", "websocket")
TWISTED = ("asyncioreactor", "base", "core", "epollreactor", "fdset", "posixbase", "process", "sigchld", "socket",
           "stdio", "tcp", "threads", "time", "udp", "unix")
GLIB = ("mainloop", "timeout", "unix", "unix-fd", "thread", "thread-pool", "asyncqueue", "cond", "mutex", "rwlock",
        "spawn-singlethread", "spawn-multithreaded", "spawn-test", "socket", "socket-listener", "socket-service",
        "gsubprocess", "task", "unix-streams", "pollable", "cancellable", "testfilemonitor", "io-channel-basic",
        "contexts", "gdbus-connection", "gdbus-peer", "gdbus-server-auth", "gdbus-non-socket", "gdbus-threading",
        "gdbus-proxy", "async-close-output-stream", "async-splice-output-stream", "live-g-file", "proxy-test",
        "sleepy-stream", "signals", "rec-mutex", "once", "private")
SOUP = ("session", "timeout", "websocket", "misc", "continue", "chunk-io", "redirect", "streaming", "coding",
        "unix-socket", "context", "request-body", "logger", "cache")
INSTALLED_TESTS = "/usr/libexec/installed-tests"
ROWS = [Row(f"CPython {name}", "cpython", [name], short) for name, short in CPYTHON.items()] + [
    Row("CPython test_asyncio, its sockets", "cpython", ["test_asyncio", "--match", "*sock_lowlevel*"], True),
    Row("Tornado", "tornado", [f"tornado.test.{name}_test" for name in TORNADO], False),
    Row("Twisted", "twisted", [f"twisted.internet.test.test_{name}" for name in TWISTED] +
        ["twisted.test.test_internet", "twisted.test.test_process"], False),
    Row("GLib", "tap", [f"{INSTALLED_TESTS}/glib/{name}" for name in GLIB], False),
    Row("libsoup", "tap", [f"{INSTALLED_TESTS}/libsoup-3.0/{name}-test" for name in SOUP], False)]


def read_junit(path):
    """{test: outcome} of regrtest's file. A test with subtests has several results: one that failed counts."""
    found = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        if found.get(case.get("name")) != "failed":
            found[case.get("name")] = "failed" if failed else "skipped" if skipped else "passed"
    return found


def read_lines(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["test"]: line["outcome"] for line in lines}


def run(place, row, watched, number):
    """One run of a suite: {test: outcome}, and how the runner ended as one more test."""
    name = f"{'with' if watched else 'without'}-{number}"
    report = place.folder / f"{name}.report"
    folder = place.folder / name
    folder.mkdir()
    argv = ([servers.PYTHON, CPYTHON_RUNNER, "-q", "--junit-xml", report, *IGNORED] if row.framework == "cpython" else
            [servers.PYTHON, RECORD, report, row.framework])
    program = place.start(name, argv + row.modules, threshold="1ms", preload=watched, cwd=folder,
                          env={"LOOPDOG_INTERVAL": "1ms", "LOOPDOG_LOOPS": "all", "PYTHONDONTWRITEBYTECODE": "1",
                               "TMPDIR": str(folder)})
    status = program.wait(SECONDS, code=None)
    harness.check(report.exists(), f"{name} left no results: {program.output()[-2000:]}")
    found = (read_junit if row.framework == "cpython" else read_lines)(report)
    harness.check(len(found) > 1, f"{name}: {len(found)} results")
    return found | {RUNNER: "failed" if status else "passed", KILLED: "failed" if status < 0 else "passed"}


def failures(results):
    return collections.Counter(test for found in results for test, outcome in found.items() if outcome == "failed")


def missing(without, watched):
    """Tests that have a result in one run only."""
    return {test for test in set(without) ^ set(watched)}


def skipped_in_one(without, watched):
    """Tests that are skipped in one run only."""
    return {test for test in set(without) | set(watched)
            if (without.get(test) == "skipped") != (watched.get(test) == "skipped")}


def always(which, without, watched):
    """The tests that `which` names of each pair of runs."""
    return set.intersection(*(which(a, b) for a, b in zip(without, watched)))


def compare(place, row):
    without, watched = [run(place, row, False, 1)], [run(place, row, True, 1)]
    passed_only_without = {test for test, outcome in without[0].items()
                           if outcome != "failed" and watched[0].get(test) == "failed"}
    odd = passed_only_without | missing(without[0], watched[0]) | skipped_in_one(without[0], watched[0])
    for number in range(2, RUNS + 1 if odd else 2):
        without.append(run(place, row, False, number))
        watched.append(run(place, row, True, number))
    fails_without, fails_with = failures(without), failures(watched)
    differs = {test for test in fails_with if fails_with[test] == RUNS and fails_without[test] == 0}
    differs |= always(missing, without, watched) | always(skipped_in_one, without, watched)
    if fails_with[KILLED] and not fails_without[KILLED]:
        differs.add(KILLED)
    flaky = (set(fails_with) | set(fails_without)) - differs
    tell(place, row, without[0], flaky, fails_without, fails_with)
    for test in sorted(odd - differs - flaky):
        place.note(f"skipped or without a result in one of the first runs only: {test}")
    harness.check(not differs, "differ with the agent: " + ", ".join(sorted(differs)))


def tell(place, row, found, flaky, fails_without, fails_with):
    outcomes = collections.Counter(outcome for test, outcome in found.items() if test not in (RUNNER, KILLED))
    place.note(f"{outcomes.total()} tests, {outcomes['passed']} passed and {outcomes['skipped']} skipped without the "
               "agent")
    for test in sorted(flaky):
        place.note(f"failed {fails_without[test]} times without and {fails_with[test]} with: {test}")
    if not place.plain:
        book = records.Book.read(place.records_folder)
        ends, begun = book.all("exit"), {line["run"] for line in book.all("process")}
        accepted = sum(line["captures"] - line["lost"]["samples"] for line in ends)
        # One that forked and did not wait again has no exit record (docs/limits.md).
        left = begun - {line["run"] for line in ends}
        accepted += sum(line["samples"] - line["lost"]["samples"] for line in book.all("stall") if line["run"] in left)
        place.note(f"{len(begun)} processes, {accepted} captures accepted")
        harness.check(accepted > 0, "no capture was accepted: this shows nothing")


def need(row):
    if row.framework == "cpython":
        servers.need_modules("test.regrtest")
    elif row.framework != "tap":
        servers.need_modules(row.framework)
    elif not pathlib.Path(row.modules[0]).exists():
        raise harness.Skip(f"{row.modules[0]} is not there: its package of installed tests is missing")


def add(row):
    @suite.case(f"{row.name}: no test differs")
    def row_case(place):
        need(row)
        compare(place, row)


if __name__ == "__main__":
    for chosen in ROWS:
        if chosen.short or suite.options.long:
            add(chosen)
    raise SystemExit(suite.main())
