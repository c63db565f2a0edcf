#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_haproxy.py - haproxy as Debian configures it: chroot, user and group haproxy, and a Lua service that computes

In each of its ways to run: in the foreground, as a daemon, and as Debian's unit starts it (-Ws: a master that starts
itself again and a worker). The worker has no /proc, can't load a library, may not write and may not start a thread any
more when it waits for the first time. Its threads but the first block all signals: while such a thread computes nobody
can see its stack, and the record must say so.

Context: system test
"""

import os
import pathlib
import signal
import sys
import time

import clients
import harness
import records
import servers

suite = harness.Suite("haproxy")


def plant(place, port):
    for path in ("/busy", "/action"):
        time.sleep(0.3)
        clients.http_get(port, "/")
        # Lua's clock is the CPU time of all threads: a starved worker takes longer, a busy watchdog makes it shorter.
        place.planted.append(clients.http_stall(port, path, 400, early_ms=100, late_ms=1500, cause="cpu",
                                                frames=("run_poll_loop", "/usr/sbin/haproxy")))
        clients.http_get(port, "/")


def worker_is_confined(pid):
    """The test proves something only if the worker really gave up its rights. It listens a little earlier."""
    def has_user():
        return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0]) != 0
    harness.wait_until(has_user, 5, f"worker {pid} not running as root")
    harness.check(os.readlink(f"/proc/{pid}/root") == "/var/lib/haproxy", "the worker is not in its chroot")


def expect(place, files=None):
    """A stall in a thread that blocks all signals has no stack; then it must say why, and is not in the share."""
    hidden = 0
    for stall in [] if place.plain else place.read().stalls(startup=False):
        if stall["tid"] == stall["pid"]:
            continue
        hidden += 1
        reasons = list(stall["lost"].get("reasons", {}))
        harness.check(any("block" in text and "signal" in text for text in reasons), f"no word about why: {reasons}")
        for planted in place.planted:
            if planted.begin - 0.02 < records.begin_of(stall) < planted.end:
                planted.stack, planted.frames = False, ()
    place.note(f"{hidden} of {len(place.planted)} stalls were in threads that block all signals")
    place.expect(files=None if place.plain else files)


@suite.case("in the foreground, one thread")
def foreground(place):
    argv, port = servers.haproxy_arguments(place, "-db", more="nbthread 1")
    server = place.start("haproxy", argv, port=port)
    worker_is_confined(server.pid)
    plant(place, port)
    server.stop(signal.SIGUSR1, code=None)
    place.expect(files=None if place.plain else 1)


@suite.case("as a daemon")
def daemon(place):
    argv, port = servers.haproxy_arguments(place, more="daemon")
    server = place.start("haproxy", argv)
    server.wait(10)
    harness.wait_until(lambda: harness.port_open(port), 10, "haproxy ready")
    pid = int((place.folder / "pid").read_text())
    worker_is_confined(pid)
    plant(place, port)
    os.kill(pid, signal.SIGUSR1)
    harness.wait_until(lambda: pid not in harness.children_of(os.getpid()), 10, "haproxy's end")
    expect(place, files=1)


@suite.case("as Debian's unit: master and worker")
def master_worker(place):
    argv, port = servers.haproxy_arguments(place, "-Ws", more="daemon")
    server = place.start("haproxy", argv, port=port)
    workers = harness.wait_until(lambda: harness.children_of(server.pid), 10, "haproxy's worker")
    worker_is_confined(workers[0])
    plant(place, port)
    for planted in place.planted:
        planted.pid = workers[0]
    server.stop(signal.SIGUSR1, code=None)  # SIGTERM would kill the worker by its default action
    expect(place)


if __name__ == "__main__":
    sys.exit(suite.main())
