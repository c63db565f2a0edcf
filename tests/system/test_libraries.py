#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_libraries.py - each callback of each loop library, with each of its backends

The victims log their own truth: exactly these stalls, with the planting function as culprit and the callback among the
frames, and nothing else; test_api.py tries the same victims attached by their adapters, which must agree within 1 ms.

Context: system test
"""

import sys

import harness

suite = harness.Suite("libraries")


def add(victim, argument, count):
    def run(place):
        place.run_victim(victim, *argument.split())
        harness.check(len(place.planted) == count, f"the victim planted {len(place.planted)} stalls")
        place.expect(files=None if place.plain else 1)
        if not place.plain:
            place.expect_exact()
    suite.add(f"{victim} {argument}".rstrip(), run)


for backend in ("epoll", "poll", "select"):
    add("loop_libev", backend, 6)
add("loop_libev", "epoll kinds", 4)
for backend in ("epoll", "poll", "select"):
    add("loop_libevent", backend, 5)
add("loop_libevent", "epoll kinds", 2)
for option in ("", "metrics"):
    add("loop_libuv", option, 7)
add("loop_libuv", "kinds", 5)
add("loop_glib", "", 5)
add("loop_glib", "kinds", 3)

if __name__ == "__main__":
    sys.exit(suite.main())
