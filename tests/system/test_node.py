#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_node.py - an HTTP server of node: a busy route, execSync, and a route that only awaits

execSync runs a loop of its own inside the callback (libuv on another epoll instance): a nested wait, so busy time.

Context: system test
"""

import sys
import time

import clients
import harness
import servers

suite = harness.Suite("node")


def plant(place, path, **claims):
    server, port = servers.node(place)
    clients.http_get(port, "/")
    clients.http_get(port, "/await")
    time.sleep(0.5)
    for _ in range(2):
        time.sleep(0.2)
        place.planted.append(clients.http_stall(port, path, 500, frames=("uv_run", "__libc_start_main"), **claims))
        clients.http_get(port, "/")
    server.stop()
    return place.expect(files=None if place.plain else 1)


@suite.case("a route that computes for 500 ms")
def busy(place):
    plant(place, "/busy", cause="cpu")


@suite.case("a route that calls execSync('sleep 0.5'), with children that inherit the preload")
def exec_sync(place):
    plant(place, "/exec", cause="blocked")


@suite.case("a route that awaits 500 ms is no stall")
def awaits(place):
    server, port = servers.node(place)
    for _ in range(2):
        clients.http_stall(port, "/await", 500)
    server.stop()
    place.expect_nothing(files=None if place.plain else 1)


if __name__ == "__main__":
    sys.exit(suite.main())
