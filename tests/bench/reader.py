# SPDX-License-Identifier: Apache-2.0
"""reader.py - how fast `loopdog report` gets to its first table, beside `jq -c .` and a Python script

All three read the same file in turns, in one run. The script does the least that could be called a report: it adds up
the time lost of each culprit. The file is warm in the page cache, and what is compared is the best of the rounds.

Context: the bench; Python's standard library only
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from measure import MET, MISSED, Figure

STACK_FRAMES, SIGNATURES = 40, 50
SCRIPT = """
import json, sys
lost = {}
for line in open(sys.argv[1]):
    record = json.loads(line)
    if record["type"] == "stall":
        name = record["culprit"]["function"]
        count, total = lost.get(name, (0, 0))
        lost[name] = count + 1, total + record["duration_ns"]
for name, (count, total) in sorted(lost.items(), key=lambda item: -item[1][1]):
    print(total, count, name)
"""


def write_stalls(path, count):
    """Stalls of 40 frames, of 50 signatures and many lengths."""
    with open(path, "w", encoding="utf-8") as file:
        for number in range(1, count + 1):
            kind = number % SIGNATURES
            frames = [{"lang": "python", "function": f"function_{kind}_{depth}", "line": depth + 1,
                       "file": f"/usr/lib/python3/dist-packages/framework/module_{depth}.py"}
                      for depth in range(STACK_FRAMES)]
            file.write(json.dumps({
                "v": 1, "type": "stall", "time": "2026-11-22T20:15:03.620700Z", "host": "web1", "pid": 42,
                "run": "b1946ac92492d234", "program": "server", "id": number, "begin": "2026-11-22T20:15:03.120456Z",
                "tid": 42, "thread": "server", "loop": "epoll:5", "threshold_ns": 100000000,
                "duration_ns": 100000000 + number * 7919 % 400000007, "cpu_ns": 310022, "late_ns": 0, "yields": 0,
                "cause": "cpu", "signature": f"{kind + 1:016x}", "repeats": 0, "culprit": frames[0], "samples": 9,
                "lost": {"samples": 0}, "stacks_dropped": 0,
                "stacks": [{"count": 9, "first_ns": 1, "last_ns": 2, "state": "R", "complete": True,
                            "frames": frames}]}, separators=(",", ":")) + "\n")


def seconds(command):
    """Wall clock of a program's whole run."""
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def peak_mb(command):
    """The most memory that a program had."""
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", script, *command], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def compare(options, folder, count, rounds):
    path = pathlib.Path(folder) / f"{count}.jsonl"
    write_stalls(path, count)
    programs = {"loopdog": [str(options.build / "tools" / "loopdog"), "report", str(path)],
                "python": [sys.executable, "-c", SCRIPT, str(path)]}
    if shutil.which("jq"):
        programs["jq"] = ["jq", "-c", ".", str(path)]
    best = {}
    for _ in range(rounds):
        for name, command in programs.items():
            best[name] = min(best.get(name, 1e9), seconds(command))
    measured = ", ".join(f"{name} {took:.2f} s" for name, took in best.items())
    ratios = {name: best[name] / best["loopdog"] for name in best if name != "loopdog"}
    measured += "; " + ", ".join(f"{ratio:.1f} times as fast as {name}" for name, ratio in ratios.items())
    good = ratios["python"] >= 2 and ratios.get("jq", 10) >= 10
    peak = peak_mb(programs["loopdog"])
    yield Figure(f"report of {count:,} stalls of {STACK_FRAMES} frames", measured, "10 x jq, 2 x python",
                 MET if good else MISSED,
                 [f"{path.stat().st_size / 1e6:.0f} MB; at most {peak:.0f} MB of memory"], {"seconds": best})
    path.unlink()


def run(options):
    with tempfile.TemporaryDirectory(prefix="loopdog-bench-") as folder:
        for count, rounds in ((1000, 5), (10000 if options.quick else 100000, 1 if options.quick else 2)):
            yield from compare(options, folder, count, rounds)
