#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_redis.py - Debian's redis-server: a long Lua script, DEBUG SLEEP, and events served within a script

Context: system test
"""

import sys
import time

import clients
import harness
import records
import servers

suite = harness.Suite("redis")

# Counts, because a script has no clock of its own; ARGV[1] comes from calibrate().
BUSY = "local x = 0; for i = 1, tonumber(ARGV[1]) do x = x + i % 7 end; return x"


def calibrate(redis, target_ms):
    """Turns of the script's loop that take about target_ms. Each trial stays far below the threshold; the shortest of
    three counts, because other work on the machine only makes them longer."""
    def trial_ms(count):
        began = time.monotonic()
        redis.call("EVAL", BUSY, 0, count)
        return (time.monotonic() - began) * 1000

    count = 100000
    while True:
        took_ms = min(trial_ms(count) for _ in range(3))
        if took_ms >= 15:
            return int(count * target_ms / took_ms)
        count *= 2


@suite.case("a Lua script that computes for 500 ms")
def lua(place):
    server, port = servers.redis(place)
    with clients.Redis(port) as redis:
        count = calibrate(redis, 500)
        for _ in range(2):
            time.sleep(0.2)
            with clients.Timed() as timed:
                redis.call("EVAL", BUSY, 0, count)
            place.planted.append(timed.planted(timed.seconds * 1000, cause="cpu", frames=("luaCallFunction", "main")))
            harness.check(0.2 < timed.seconds < 3, f"calibration failed: {timed.seconds:.3f} s")
    server.stop()
    place.expect(files=1)


@suite.case("DEBUG SLEEP 0.5")
def debug_sleep(place):
    server, port = servers.redis(place)
    with clients.Redis(port) as redis:
        for _ in range(2):
            time.sleep(0.2)
            with clients.Timed() as timed:
                redis.call("DEBUG", "SLEEP", "0.5")
            place.planted.append(timed.planted(500, cause="blocked", culprit="debugCommand", frames=("call", "main")))
    server.stop()
    for stall in place.expect(files=1).stalls(startup=False):
        harness.check(records.served(stall).startswith(f"tcp 127.0.0.1:{port} <- 127.0.0.1:"), records.served(stall))


@suite.case("a script within which redis serves others: one stall, with yields")
def yields(place):
    server, port = servers.redis(place, "--busy-reply-threshold", "100")
    with clients.Redis(port) as redis, clients.Redis(port) as other:
        count = calibrate(redis, 600)
        time.sleep(0.2)
        with clients.Timed() as timed:
            redis.send("EVAL", BUSY, 0, count)
            time.sleep(0.25)
            said = other.refusal("GET", "x")
            harness.check(said.startswith("BUSY"), f"redis was not busy while the script ran: {said}")
            redis.answer()
        place.planted.append(timed.planted(timed.seconds * 1000, cause="cpu", frames=("luaCallFunction", "main")))
        harness.check(0.3 < timed.seconds < 3, f"calibration failed: {timed.seconds:.3f} s")
    server.stop()
    book = place.expect(files=1)
    if not place.plain:
        harness.check(book.stalls(startup=False)[0]["yields"] > 0, "no yields were counted")


if __name__ == "__main__":
    sys.exit(suite.main())
