#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_causes_blocked.py - loops that block in one system call each: the call, what it waits for, and who has it

One row a case. The victim (tests/victims/causes_blocked.c) blocks for 250 ms at each order that the test gives it; what
it waits for (locks, a silent server, a slow file system) the test itself has, so that it knows the truth. --runs gives
so many orders to each.

Context: system test
"""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import time

import harness
import slow_files

suite = harness.Suite("causes_blocked")
SECONDS = 0.25
UNKNOWN_SHARE = 20  # one stall in so many may be of unknown cause; a wrong one never
LEAST_SAMPLES = 4   # of a stall that is judged: with less, the watchdog had no CPU
OWN_NAME = pathlib.Path("/proc/self/comm").read_text().strip()


@dataclasses.dataclass
class Case:
    """Strings are patterns; `head` must be found in what people read, `wchan` in the channel's name."""
    call: str
    culprit: str
    head: str
    what: str = ""
    address: str = ""
    wchan: str = ""
    timeout_ms: int = 0
    waits_for: tuple = ()       # patterns of what
    roles: dict = dataclasses.field(default_factory=dict)  # of each holder that must be there: the names it may have
    device: str = ""
    prepare: str = ""           # what the test does, below


LOCKS = {
    "flock": lambda file: fcntl.flock(file, fcntl.LOCK_EX),
    "fcntl": lambda file: fcntl.lockf(file, fcntl.LOCK_EX),
    # struct flock of x86-64: the lock belongs to what was opened and to no process
    "ofd": lambda file: fcntl.fcntl(file, fcntl.F_OFD_SETLK,
                                    struct.pack("hhxxxxqqixxxx", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)),
}
TCP = r"tcp 127\.0\.0\.1:\d+"
CASES = {
    "nanosleep": Case("clock_nanosleep", "block_nanosleep", "blocked in clock_nanosleep   ", timeout_ms=250,
                      wchan="nanosleep"),
    "until": Case("clock_nanosleep", "block_until", "blocked in clock_nanosleep   ", wchan="nanosleep"),
    "fifo": Case("read", "read_answer", r"blocked in read of /\S+/file, fd \d+, other end held by ", what="/.*/file",
                 wchan="pipe", roles={"other-end": ("sh", "sleep")}, prepare="fifo"),
    "pipe": Case("read", "read_answer", r"blocked in read of pipe:\[\d+\], fd \d+, other end held by ",
                 what=r"pipe:\[\d+\]", wchan="pipe", roles={"other-end": ("sh", "sleep")}),
    "write": Case("write", "block_write", r"blocked in write of pipe:\[\d+\], fd \d+, other end held by ",
                  what=r"pipe:\[\d+\]", wchan="pipe", roles={"other-end": ("sh", "sleep", "cat")}),
    "connect": Case("connect", "block_connect", r"blocked in connect to 127\.0\.0\.1:\d+ \(fd \d+\)   ",
                    what=TCP + r" \(SYN_SENT\)", address=r"127\.0\.0\.1:\d+"),
    "recv": Case("recvfrom", "block_recv", "blocked in recvfrom on tcp ", what=f"{TCP} (<->|->|<-) {TCP[4:]}"),
    "unix": Case("recvfrom", "block_unix", "blocked in recvfrom on unix ", prepare="unix",
                 what=rf"unix /.*/file, peer {re.escape(OWN_NAME)} \({os.getpid()}\)"),
    "accept": Case("accept", "block_accept", "blocked in accept on tcp ", what=TCP + r" \(LISTEN\)"),
    "poll": Case("poll", "block_poll", "blocked in poll on 2 descriptors", timeout_ms=250,
                 waits_for=(r"pipe:\[\d+\]", r"pipe:\[\d+\]")),
    "select": Case("pselect6|select", "block_select", r"on pipe:\[\d+\], fd \d+", timeout_ms=250,
                   waits_for=(r"pipe:\[\d+\]",)),
    "epoll": Case("epoll_wait", "block_epoll", r"blocked in epoll_wait on pipe:\[\d+\], fd \d+", timeout_ms=250,
                  what="epoll", waits_for=(r"pipe:\[\d+\]",)),
    "flock": Case("flock", "block_flock", rf"blocked in flock on /\S+/file, fd \d+, held by \S+ \({os.getpid()}\)",
                  what="/.*/file", roles={"lock-holder": (OWN_NAME,)}, prepare="flock"),
    "fcntl": Case("fcntl", "block_fcntl", rf"blocked in fcntl on /\S+/file, fd \d+, held by \S+ \({os.getpid()}\)",
                  what="/.*/file", roles={"lock-holder": (OWN_NAME,)}, prepare="fcntl"),
    "ofd": Case("fcntl", "block_ofd", r"blocked in fcntl on /\S+/file, fd \d+, held by an open file description",
                what="/.*/file", roles={"lock-holder": ("?",)}, prepare="ofd"),
    "eventfd": Case("read", "block_eventfd", r"blocked in read of eventfd, count 0, fd \d+   ",
                    what="eventfd, count 0"),
    "timerfd": Case("read", "block_timerfd", r"blocked in read of timerfd, fires in [\d.]+ ms, fd \d+   ",
                    what=r"timerfd, fires in [\d.]+ ms"),
    "wait": Case("wait4", "block_wait", r"blocked in wait4 for sleep \(\d+\)", roles={"child": ("sh", "sleep")}),
    "sendfile": Case("sendfile", "block_sendfile", "blocked in sendfile on unix", what="unix.*"),
    "read": Case("read", "block_read", r"blocked in read of /\S+/file, fd \d+", what="/.*/file", prepare="slow:read",
                 device=r"fuse on slow_files \(\d+:\d+\)"),
    "fsync": Case("fsync", "block_fsync", r"blocked in fsync of /\S+/file, fd \d+", what="/.*/file",
                  prepare="slow:fsync", device=r"fuse on slow_files \(\d+:\d+\)"),
    "open": Case("openat|open", "block_open", r"blocked in open\S* of /\S+/file", what="/.*/file",
                 prepare="slow:open"),
}


@contextlib.contextmanager
def prepared(place, how):
    """(the victim's file, what to do around an order)"""
    path = place.folder / "file"
    kind, _, slow = how.partition(":")
    if kind == "slow":
        if not slow_files.can_mount():
            raise harness.Skip("needs root and /dev/fuse")
        with slow_files.SlowFiles(place.folder / "slow", slow, delay_ms=int(SECONDS * 1000)) as files:
            yield files.file, contextlib.nullcontext
        return
    if kind == "fifo":
        os.mkfifo(path)
    elif kind in LOCKS:
        path.touch()
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "unix":
            server.bind(str(path))
            server.listen(200)
        yield path, lambda: locked(path, kind)


@contextlib.contextmanager
def locked(path, kind):
    """Hold the lock from before the order until the stall has lasted its time."""
    if kind not in LOCKS:
        yield
        return
    with open(path, "r+") as file:
        LOCKS[kind](file)
        yield
        time.sleep(SECONDS)


def give_orders(place, name, path, around):
    binary = pathlib.Path(suite.options.victims) / "causes_blocked"
    victim = place.start("victim", [binary, name, path], env={"LOOPDOG_FOLLOW": "0"}, stdin=subprocess.PIPE)
    harness.wait_until(lambda: "ready" in victim.output(), 10, "the victim")
    for run in range(1, suite.options.runs + 1):
        with around():
            victim.process.stdin.write(b"s\n")
            victim.process.stdin.flush()
        harness.wait_until(lambda: victim.output().count("done") >= run, 20, "the victim's answer")
    victim.process.stdin.close()
    victim.wait(10)
    place.read_truth()


def complaints_about(case, stall):
    """What of the evidence is not as it was planted."""
    detail = stall.get("detail", {})
    yield from (f"{field} {detail.get(field)!r} does not match {pattern!r}"
                for field, pattern in [("call", case.call), ("what", case.what), ("address", case.address),
                                       ("device", case.device)]
                if pattern and not re.fullmatch(pattern, detail.get(field, "")))
    if not case.what and not case.waits_for and ("what" in detail or "fd" in detail):
        yield f"a descriptor where there is none: {detail}"
    if case.wchan not in detail.get("wchan", ""):
        yield f"wait channel {detail.get('wchan')}"
    if detail.get("timeout_ns", 0) != case.timeout_ms * 1000000:
        yield f"timeout_ns {detail.get('timeout_ns')} instead of {case.timeout_ms} ms"
    yield from complaints_about_lists(case, detail)
    ready = stall.get("ready", [])
    if len(ready) != 1 or not ready[0].get("what", "").startswith("unix") or ready[0].get("events") != "in":
        yield f"it served one byte on a socketpair, not {ready}"


def complaints_about_lists(case, detail):
    waited = [entry.get("what", "") for entry in detail.get("waits_for", [])]
    if len(waited) != len(case.waits_for) or not all(map(re.fullmatch, case.waits_for, waited)):
        yield f"waits for {waited} instead of {case.waits_for}"
    for holder in detail.get("held_by", []):
        if holder["name"] not in case.roles.get(holder["role"], ()):
            yield f"held by {holder}"
    if case.roles and not detail.get("held_by"):
        yield "nobody holds it"


def judge(place, case):
    if place.plain:
        return
    for planted in place.planted:
        planted.cause, planted.culprit = "blocked|unknown", ""
    book = place.expect(*place.planted)
    stalls = book.stalls(startup=False)
    unknown = [s for s in stalls if s["cause"] == "unknown"]
    seen = [s for s in stalls if s["cause"] == "blocked" and s["samples"] >= LEAST_SAMPLES]
    place.note(f"{len(stalls) - len(unknown) - len(seen)} stalls were looked at too seldom to judge the evidence")
    wrong = [f"#{s['id']}: {text}: {s.get('detail')}" for s in seen for text in complaints_about(case, s)]
    wrong += [f"#{s['id']}: culprit {s['culprit']}" for s in stalls if s["cause"] == "blocked"
              and s.get("culprit", {}).get("function") != case.culprit]
    harness.check(not wrong, "\n".join(wrong))
    if len(unknown) * UNKNOWN_SHARE > len(stalls):
        raise harness.Failure(f"{len(unknown)} of {len(stalls)} of unknown cause: "
                              f"{[s.get('detail') for s in unknown]}", noise=True)
    text = subprocess.run([suite.options.loopdog, "report", "--color=never", place.records_folder], text=True,
                          capture_output=True, check=True).stdout
    harness.check(re.search(case.head, text), f"no {case.head!r} in what people read:\n{text}")
    place.note(f"{len(stalls)} stalls, {len(unknown)} of unknown cause")


def add(name, case):
    @suite.case(f"{name}: {case.call.split('|')[0]}", attempts=3)
    def blocked(place):
        with prepared(place, case.prepare) as (path, around):
            give_orders(place, name, path, around)
        judge(place, case)


for row in CASES.items():
    add(*row)


if __name__ == "__main__":
    sys.exit(suite.main())
