#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_time.py - time in which nobody could work is no stall: stops, debuggers, paused machines, clocks that are set

Where a process is stopped in the middle of a stall is the matter of test_causes_whom.py; here are servers that do
nothing wrong and are stopped at any moment, and what a debugger sees of loopdog. No test may pause its machine or set
its clocks: victims/time_steps.c makes its own clocks step.

Context: system test
"""

import json
import os
import pathlib
import random
import signal
import sys
import time

import clients
import harness
import records
import servers

suite = harness.Suite("time")
for _title in ("the date is set, forward and back, while idle and in the middle of a stall",
               "a machine that stood still, with clocks that did and clocks that jumped"):
    suite.unsanitized[f"clocks: {_title}"] = "the victim has a dlsym() of its own, which the runtime calls too early"
VICTIMS = pathlib.Path(suite.options.victims)
STOPS = 200 if suite.options.long else 8
PAUSE_S = 1.2               # shorter ones can't be told from a lack of CPU (docs/limits.md)
DEEP_SLEEP_S = 1.3          # the watchdog sleeps without end after a second of idleness
COMPUTE_NS = 300_000_000
COMPUTE = """
local x, now = 0, redis.call('time')
local begin = now[1] * 1000000 + now[2]
repeat
    for i = 1, 1000 do x = x + i end
    now = redis.call('time')
until now[1] * 1000000 + now[2] - begin > 301000
return x
"""



def stopped(program, seconds):
    program.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    program.process.send_signal(signal.SIGCONT)


def counted(book):
    """Stalls that count: neither suspended ones nor those of the start-up."""
    return [stall for stall in book.stalls(startup=False) if stall["cause"] != "suspended"]


def expect_counted(place, *planted):
    """Of what counts, exactly these. A suspended one may be on file beside them: its end says that it is none."""
    book = place.read()
    _, complaints = records.join(counted(book), planted, noise_thresholds=harness.NOISE_THRESHOLDS)
    complaints += book.complaints + book.complaints_about_ends(True)
    if complaints:
        raise harness.Failure("\n".join(complaints), all(isinstance(c, records.Noise) for c in complaints))
    return book


# ---- stopped by a signal ----


@suite.case("stopped: a server that idles, and one whose watchdog sleeps", attempts=3)
def stopped_idle(place):
    server, port = servers.redis(place)
    with clients.Redis(port) as client:
        for idle_s in (0.1, DEEP_SLEEP_S):
            client.call("PING")
            time.sleep(idle_s)
            stopped(server, 0.4)
            harness.check(client.call("PING") == b"PONG", "no answer after the stop")
        with clients.Timed() as timed:
            client.call("DEBUG", "SLEEP", 0.3)
    server.stop()
    if not place.plain:
        expect_counted(place, timed.planted(300, cause="blocked", tolerance=0.3))


@suite.case("stopped: under load, at any moment", attempts=3)
def stopped_under_load(place):
    server, port = servers.redis(place)
    draw = random.Random(3)
    with clients.Redis(port) as client:
        for _ in range(STOPS):
            end = time.monotonic() + draw.uniform(0.02, 0.1)
            while time.monotonic() < end:
                for number in range(50):
                    client.send("SET", "key", number)
                for number in range(50):
                    harness.check(client.answer() == b"OK", "a wrong answer")
            for number in range(50):
                client.send("SET", "key", number)
            stopped(server, 0.15)  # with work before it
            for number in range(50):
                harness.check(client.answer() == b"OK", "a wrong answer")
    server.stop()
    if not place.plain:
        book = expect_counted(place)
        place.note(f"{STOPS} stops, {len(book.stalls(startup=False))} of them on file as suspended")


@suite.case("stopped: in the middle of a stall, whose rest counts", attempts=3)
def stopped_in_a_stall(place):
    server, port = servers.redis(place)
    with clients.Redis(port) as client, clients.Timed() as timed:
        client.send("DEBUG", "SLEEP", 1.0)
        time.sleep(0.25)
        stopped(server, 0.4)
        client.answer()
    server.stop()
    if place.plain:
        return
    # The kernel may count the sleep's rest from the end of the stop.
    book = expect_counted(place, timed.planted(1000, late_ms=900, cause="blocked", tolerance=0.3))
    suspended_ns = counted(book)[0].get("suspended_ns", 0)
    if suspended_ns == 0:  # now and then it meets the watchdog in the middle of a sample (docs/limits.md)
        raise harness.Failure("the stop was not seen", noise=True)
    harness.check(300e6 < suspended_ns < 600e6, f"suspended for {suspended_ns / 1e6:.0f} ms instead of 400")


# ---- stopped by a freezer, as `docker pause` does ----


class Freezer:
    """A cgroup with one program in it."""

    def __init__(self, program):
        old = pathlib.Path("/sys/fs/cgroup/freezer")
        self.group = (old if old.is_dir() else old.parent) / f"watched-{os.getpid()}"
        self.control, self.words = ("freezer.state", ("THAWED", "FROZEN")) if old.is_dir() else ("cgroup.freeze", "01")
        try:
            self.group.mkdir()
            (self.group / "cgroup.procs").write_text(str(program.pid))
            self.set(False)
        except OSError as problem:
            raise harness.Skip(f"no cgroup with a freezer can be made here: {problem}") from None

    def set(self, frozen):
        (self.group / self.control).write_text(self.words[frozen])

    def freeze(self, seconds):
        self.set(True)
        time.sleep(seconds)
        self.set(False)

    def close(self):
        """Once the program has ended."""
        self.set(False)
        harness.wait_until(lambda: not (self.group / "cgroup.procs").read_text(), 10, "the cgroup to be empty")
        self.group.rmdir()


@suite.case("freezer: a container that is paused while its server idles, and while it computes", attempts=3)
def frozen(place):
    server, port = servers.redis(place)
    freezer = Freezer(server)
    try:
        with clients.Redis(port) as client:
            client.call("PING")
            time.sleep(0.3)  # the watchdog has begun, and the server idles
            freezer.freeze(PAUSE_S)
            client.call("PING")
            client.send("EVAL", COMPUTE, 0)
            time.sleep(0.07)  # between the first sample, at half of the threshold, and the second
            freezer.freeze(PAUSE_S)
            client.answer()
    finally:
        server.stop()
        freezer.close()
    if place.plain:
        return
    book = place.read()
    long = [stall for stall in book.stalls(startup=False) if stall["duration_ns"] > PAUSE_S * 1e9]
    harness.check(len(long) == 1, f"not one, of the script: {[records.describe(stall) for stall in long]}")
    suspended_ns = long[0].get("suspended_ns", 0)
    if suspended_ns < 0.8 * PAUSE_S * 1e9:  # none: it met the watchdog in the middle of a sample (docs/limits.md)
        raise harness.Failure(f"suspended for {suspended_ns} ns: {records.describe(long[0])}", noise=suspended_ns == 0)


# ---- debuggers ----


def traced(place, server, hold_ms, follow_ms):
    """The tracer's own account, as (threads, signals). It begins at once and is not waited for."""
    return place.start("tracer", [VICTIMS / "time_tracer", server.pid, hold_ms, follow_ms], preload=False)


def account_of(tracer):
    tracer.wait(30)
    words = tracer.output().split()
    harness.check(words[0::2] == ["threads", "signals"], f"the tracer says {tracer.output()!r}")
    return int(words[1]), int(words[3])


@suite.case("debugger: stops all threads of a server that idles", attempts=3)
def held(place):
    server, port = servers.redis(place)
    with clients.Redis(port) as client:
        client.call("PING")
        threads, _ = account_of(traced(place, server, 500, 0))
        harness.check(client.call("PING") == b"PONG", "no answer after the debugger")
    server.stop()
    harness.check(threads >= 4, f"{threads} threads")
    if not place.plain:
        expect_counted(place)


def computes(port):
    """For COMPUTE_NS by the server's own clock, whatever CPU it gets."""
    with clients.Redis(port) as client:
        client.call("EVAL", COMPUTE, 0)


def long_stalls(place, count):
    """Those of computes(): nothing else takes nearly as long."""
    found = [stall for stall in counted(place.read()) if stall["duration_ns"] >= COMPUTE_NS]
    harness.check(len(found) == count, f"{[records.describe(stall) for stall in found]} instead of {count} stalls")
    return found


@suite.case("debugger: a thread that computes under its eyes is sent no signal, which would stop it there", attempts=3)
def followed(place):
    server, port = servers.redis(place, env={"LOOPDOG_INTERVAL": "5ms"})
    computes(port)
    tracer = traced(place, server, 0, 1000)
    status = pathlib.Path(f"/proc/{server.pid}/status")
    harness.wait_until(lambda: f"TracerPid:\t{tracer.pid}" in status.read_text(), 10, "the tracer")
    computes(port)
    _, signals = account_of(tracer)
    server.stop()
    harness.check(signals == 0, f"{signals} real-time signals")
    if place.plain:
        return
    before, during = long_stalls(place, 2)
    harness.check(records.frames_of(before), "no stack without a debugger")
    harness.check("debugger" in json.dumps(during["lost"]), f"no word of the debugger: {during['lost']}")


@suite.case("debugger: gdb goes on to the end without a stop", attempts=3)
def gdb(place):
    debugger = harness.need("gdb")
    server, port = servers.redis(place, env={"LOOPDOG_INTERVAL": "5ms"})
    session = place.start("gdb", [debugger, "-q", "-nx", "-batch", "-p", server.pid,
                                  "-ex", "handle SIGTERM nostop noprint pass", "-ex", "echo goes on\\n",
                                  "-ex", "continue"], preload=False, ready=lambda: "goes on" in session_text(place),
                          seconds=60)
    computes(port)
    server.stop()
    session.wait(30, code=None)
    said = session.output()
    harness.check("exited normally" in said and "received signal" not in said, f"gdb says:\n{said}")
    if not place.plain:
        long_stalls(place, 1)


def session_text(place):
    return (place.folder / "gdb.output").read_text(errors="replace")


# ---- clocks ----


def step_clocks(place, *modes):
    """All at the same time: they sleep nearly always."""
    programs = [(mode, place.start("-".join(mode), [VICTIMS / "time_steps", *mode])) for mode in modes]
    for _, program in programs:
        program.wait(30, code=1)
    place.read_truth()
    harness.check(len(place.planted) == len(modes), f"the victims planted {len(place.planted)} stalls")
    return {mode: program.pid for mode, program in programs}


def stalls_of(book, pid):
    return [stall for stall in counted(book) if stall["pid"] == pid]


HOUR_S = 3600


@suite.case("clocks: the date is set, forward and back, while idle and in the middle of a stall", attempts=3)
def date(place):
    pids = step_clocks(place, *(("date", when, str(sign * HOUR_S)) for when in ("idle", "stall") for sign in (1, -1)))
    now = time.time()
    if place.plain:
        return
    book = place.read()
    complaints = [c for c in book.complaints if "times go backwards" not in c]  # they do where the clock did
    for (_, when, step), pid in pids.items():
        planted = [truth for truth in place.planted if truth.pid == pid]
        found = stalls_of(book, pid)
        if when == "stall":  # whose begin is told by the clock of its end
            if not found or abs(found[0]["duration_ns"] / 1e6 - 300) > 30:
                complaints.append(f"{when} {step}: the stall of the step is not the first, of 300 ms")
            elif not 0 < now + int(step) - records.begin_of(found[0]) < 30:
                complaints.append(f"{when} {step}: begin {found[0]['begin']}")
        _, more = records.join(found[1:] if when == "stall" else found, planted,
                                    noise_thresholds=harness.NOISE_THRESHOLDS)
        complaints += more
    if complaints:
        raise harness.Failure("\n".join(complaints), all(isinstance(c, records.Noise) for c in complaints))


@suite.case("clocks: a machine that stood still, with clocks that did and clocks that jumped", attempts=3)
def machine(place):
    pids = step_clocks(place, *((which, when, "20") for which in ("machine", "paused") for when in ("idle", "stall")))
    if place.plain:
        return
    complaints = []
    for mode, pid in pids.items():
        planted = [truth for truth in place.planted if truth.pid == pid]
        found = stalls_of(place.read(), pid)
        if len(found) != 1 or abs(found[0]["duration_ns"] / 1e6 - 300) > 30 or found[0]["cause"] != "blocked":
            complaints.append(f"{mode}: {[records.describe(stall) for stall in found]} instead of {planted[0]}")
    book = place.read()
    paused = [s for s in book.stalls(startup=False) if s["cause"] == "suspended" and s["duration_ns"] > 19e9]
    if {stall["pid"] for stall in paused} != {pid for mode, pid in pids.items() if mode[0] == "paused"}:
        complaints.append(f"on file as suspended: {[records.describe(stall) for stall in paused]}")
    harness.check(not complaints, "\n".join(complaints + book.complaints_about_ends(True)))


if __name__ == "__main__":
    sys.exit(suite.main())
