#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_reader.py - the command reads what a real server's agent has written, while it runs and afterwards

Context: system test
"""

import csv
import io
import json
import subprocess
import sys
import threading
import time

import clients
import harness
import servers

suite = harness.Suite("reader")


def loopdog(*arguments, code=0):
    """What the command writes to stdout."""
    done = subprocess.run([suite.options.loopdog, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          check=False)
    harness.check(done.returncode == code, f"loopdog {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def sleep(place, redis, seconds):
    with clients.Timed() as timed:
        redis.call("DEBUG", "SLEEP", str(seconds))
    place.planted.append(timed.planted(seconds * 1000, cause="blocked", culprit="debugCommand", frames=("main",)))


def check_sums(place, book):
    """Report, tree and exports tell of the same time: that of the records."""
    total_ns = sum(stall["duration_ns"] for stall in book.stalls(startup=False))
    report = json.loads(loopdog("report", "--json", "--tree", place.records_folder))
    group = report["groups"][0]
    harness.check(report["stalls"]["total_ns"] == total_ns and report["stalls"]["count"] == 2, f"{report['stalls']}")
    harness.check(group["culprit"]["function"] == "debugCommand" and group["count"] == 2, f"{group}")
    harness.check(report["tree"][0]["total_ns"] == total_ns, f"{report['tree'][0]} is not {total_ns}")
    loop = report["loops"][0]
    harness.check(loop["p50_ns"] < 10e6 and 0.5e9 < loop["longest_iteration_ns"] < 3e9, f"{loop}")
    rows = list(csv.DictReader(io.StringIO(loopdog("export", "-f", "csv", place.records_folder))))
    lost_ms = sum(float(row["duration_ms"]) for row in rows if not row["phase"])
    harness.check(abs(lost_ms - total_ns / 1e6) < 1e-3, f"{lost_ms} ms in csv, {total_ns} ns in records")
    folded = loopdog("export", "-f", "folded", place.records_folder).splitlines()
    harness.check(all("redis-server;" in line and "debugCommand" in line for line in folded), f"{folded}")
    profile = json.loads(loopdog("export", "-f", "speedscope", place.records_folder))["profiles"][0]
    harness.check(sum(profile["weights"]) == total_ns, f"{profile['weights']}")
    return group


@suite.case("what redis lost, in every table and format; one stall whole; a gate")
def reads(place):
    server, port = servers.redis(place)
    with clients.Redis(port) as redis:
        for seconds in (0.6, 0.3):
            time.sleep(0.2)
            sleep(place, redis, seconds)
    server.stop()
    book = place.expect(files=1)
    if place.plain:
        return
    group = check_sums(place, book)
    text = loopdog("show", group["example_id"], place.records_folder)
    harness.check(f"stall {group['example_id']}\n" in text and "debugCommand" in text and "blocked in" in text, text)
    report = loopdog("report", place.records_folder, "--diff", place.records_folder, "--fail-on", "new,worse,max>3s")
    harness.check("0 new, 0 worse, 1 about the same" in report, report)
    loopdog("report", place.records_folder, "--fail-on", "max>500ms", code=3)


@suite.case("a stall that goes on while its file is read")
def reads_in_progress(place):
    server, port = servers.redis(place)
    with clients.Redis(port) as redis:
        time.sleep(0.2)
        thread = threading.Thread(target=sleep, args=(place, redis, 1.5))
        thread.start()
        if not place.plain:
            harness.wait_until(lambda: any('"stall-begin"' in path.read_text() for path in
                                           place.records_folder.iterdir()), 5, "a stall-begin")
            out = loopdog("report", place.records_folder)
            harness.check("still stalled after" in out and "1 of them never ended" in out, out)
        thread.join()
    server.stop()
    place.expect(files=1)
    if not place.plain:
        harness.check("never ended" not in loopdog("report", place.records_folder), "it has ended")


if __name__ == "__main__":
    sys.exit(suite.main())
