#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_uvicorn.py - Debian's uvicorn with FastAPI, on asyncio and on uvloop: time.sleep(0.5) in an async route

On asyncio uvicorn imports the application inside the loop: that takes longer than the threshold and counts as start-up.
Python's own frames are another part of loopdog; here the native ones are asked for.

Context: system test
"""

import sys
import time

import clients
import harness
import records
import servers

suite = harness.Suite("uvicorn")


def plant(place, loop):
    server, port = servers.uvicorn(place, loop)
    clients.http_get(port, "/")
    time.sleep(0.3)
    for path, nominal_ms, cause, frames in (("/sleep", 500, "blocked", ("/libc.so.6",)), ("/busy", 400, "cpu", ()),
                                            ("/sleep", 500, "blocked", ("/libc.so.6",))):
        place.planted.append(clients.http_stall(port, path, nominal_ms, cause=cause,
                                                frames=("/python3.11", "Py_BytesMain", *frames)))
        clients.http_get(port, "/")
        time.sleep(0.2)
    for path in ("/await", "/thread"):
        clients.http_stall(port, path, 500)
    server.stop()
    book = place.expect(files=None if place.plain else 1)
    for stall in book.stalls(startup=False):
        harness.check(records.served(stall).startswith(f"tcp 127.0.0.1:{port} <- 127.0.0.1:"), records.served(stall))
    return book


@suite.case("asyncio: time.sleep and computing in async routes; imports count as start-up")
def asyncio(place):
    book = plant(place, "asyncio")
    if not place.plain:
        place.note(f"{len(book.stalls(startup=True))} stalls of the start-up")


@suite.case("uvloop: the same")
def uvloop(place):
    plant(place, "uvloop")


if __name__ == "__main__":
    sys.exit(suite.main())
