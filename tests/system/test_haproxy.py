#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_haproxy.py - haproxy as Debian configures it: chroot, user and group haproxy, and a Lua service that computes

In each of its ways to run: in the foreground, as a daemon, and as Debian's unit starts it (-Ws: a master that starts
itself again and a worker). The worker has no /proc, can't load a library and may not write any more when it waits for
the first time.

Context: system test
"""

import os
import pathlib
import signal
import sys
import time

import clients
import harness
import servers

suite = harness.Suite("haproxy")

def plant(place, port):
    for path in ("/busy", "/action"):
        time.sleep(0.3)
        clients.http_get(port, "/")
        place.planted.append(clients.http_stall(port, path, 400, slack_ms=1500, cause="cpu",
                                                frames=("run_poll_loop", "/usr/sbin/haproxy")))
        clients.http_get(port, "/")


def worker_is_confined(pid):
    """The test proves something only if the worker really gave up its rights. It listens a little earlier."""
    def has_user():
        return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0]) != 0
    harness.wait_until(has_user, 5, f"worker {pid} not running as root")
    harness.check(os.readlink(f"/proc/{pid}/root") == "/var/lib/haproxy", "the worker is not in its chroot")


@suite.case("in the foreground")
def foreground(place):
    argv, port = servers.haproxy_arguments(place, "-db")
    server = place.start("haproxy", argv, port=port)
    worker_is_confined(server.pid)
    plant(place, port)
    server.stop(signal.SIGUSR1, code=None)
    place.expect(files=None if place.plain else 1)


@suite.case("as a daemon")
def daemon(place):
    argv, port = servers.haproxy_arguments(place, daemon=True)
    server = place.start("haproxy", argv)
    server.wait(10)
    harness.wait_until(lambda: harness.port_open(port), 10, "haproxy ready")
    pid = int((place.folder / "pid").read_text())
    worker_is_confined(pid)
    plant(place, port)
    os.kill(pid, signal.SIGUSR1)
    harness.wait_until(lambda: pid not in harness.children_of(os.getpid()), 10, "haproxy's end")
    place.expect(files=None if place.plain else 1)


@suite.case("as Debian's unit: master and worker")
def master_worker(place):
    argv, port = servers.haproxy_arguments(place, "-Ws", daemon=True)
    server = place.start("haproxy", argv, port=port)
    workers = harness.wait_until(lambda: harness.children_of(server.pid), 10, "haproxy's worker")
    worker_is_confined(workers[0])
    plant(place, port)
    for planted in place.planted:
        planted.pid = workers[0]
    server.stop(signal.SIGTERM, code=None)
    place.expect()


if __name__ == "__main__":
    sys.exit(suite.main())
