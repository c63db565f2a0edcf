#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_nginx.py - Debian's nginx with two workers: perl handlers that sleep and that compute

As Debian starts it: a master as root, workers as www-data. Each worker is a loop of its own with a file of its own, the
master (it waits for signals) is none and has none.

Context: system test
"""

import signal
import sys
import time

import clients
import harness
import servers

suite = harness.Suite("nginx")
FRAMES = ("/ngx_http_perl_module.so", "ngx_process_events_and_timers", "main")


def plant(place, path, **claims):
    server, port = servers.nginx(place)
    clients.http_get(port, "/")
    for _ in range(3):
        time.sleep(0.2)
        place.planted.append(clients.http_stall(port, path, 400, **claims))
        clients.http_get(port, "/")
    workers = harness.children_of(server.pid)
    harness.check(len(workers) == 2, f"{len(workers)} workers")
    server.stop(signal.SIGQUIT)
    book = place.expect()
    if not place.plain:
        strangers = {line["pid"] for line in book.all("process")} - set(workers)
        harness.check(not strangers, f"records of processes that are no workers: {strangers}")


@suite.case("a perl handler that sleeps 400 ms, two workers")
def sleeps(place):
    plant(place, "/sleep", cause="blocked", frames=FRAMES)


@suite.case("a perl handler that computes for 400 ms, two workers")
def computes(place):
    plant(place, "/busy", cause="cpu", frames=FRAMES)


if __name__ == "__main__":
    sys.exit(suite.main())
