#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_harness.py - does the harness notice what it is there to notice?

A system test that can't fail proves nothing. Here records are invented, right ones and wrong ones, and each mistake
must be complained about.

Context: system test without a server
"""

import json
import pathlib
import sys
import tempfile

import records
from records import Planted

RUN = "0123456789abcdef"
COMMON = {"v": 1, "time": "2026-11-22T20:15:05.000000Z", "host": "web1", "pid": 42, "run": RUN, "program": "x"}
FRAMES = [{"lang": "native", "function": "planted_sleep_ms", "module": "/bin/x", "offset": "0x10"},
          {"lang": "native", "function": "on_timer", "module": "/bin/x", "offset": "0x20", "caller": True}]
PROCESS = {**COMMON, "type": "process", "ppid": 1, "threshold_ns": 100, "interval_ns": 10, "notices": []}
STALL = {**COMMON, "type": "stall", "id": 1, "begin": "2026-11-22T20:15:04.000000Z", "tid": 42, "thread": "x",
         "loop": "epoll:5", "threshold_ns": 100000000, "duration_ns": 300000000, "cpu_ns": 0, "late_ns": 0, "yields": 0,
         "cause": "blocked", "repeats": 0, "samples": 3, "lost": {"samples": 0}, "stacks_dropped": 0,
         "culprit": FRAMES[0],
         "stacks": [{"count": 3, "first_ns": 50, "last_ns": 250, "state": "S", "complete": True, "frames": FRAMES}]}
EXIT = {**COMMON, "type": "exit", "reason": "exit", "loops": 1, "stalls": 1, "stalls_startup": 0, "captures": 3,
        "stalls_crowded": 0, "captures_signal": 0, "candidates_dropped": 0, "iterations_lost": 0, "loops_unwatched": 0,
        "records_dropped": 0, "bytes_dropped": 0, "reopened": 0, "watchdog_cpu_ns": 0, "wakeups": 0, "latest_ns": 0,
        "lost": {"samples": 0}}
BEGIN = records.parse_time(STALL["begin"])
TRUTH = Planted(BEGIN, BEGIN + 0.3, "blocked", "planted_sleep_ms", ("on_timer",))

failures = 0
count = 0


def judge(lines, planted=(TRUTH,)):
    """All complaints about a file of these lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "x.jsonl")
        path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
                                  for line in lines))
        path.chmod(0o600)
        book = records.Book.read(pathlib.Path(folder))
        _, complaints = records.join(book.stalls(startup=False), planted)
        return book.complaints + book.complaints_about_ends(True) + complaints


def expect(title, complaints, text):
    """`text` in some complaint; "" for no complaint at all."""
    global failures, count
    count += 1
    right = any(text in c for c in complaints) if text else not complaints
    failures += not right
    print(f"{'ok' if right else 'not ok'} {count} - {title}")
    if not right:
        print(f"# wanted {text!r}, got {complaints}")


def stall(**changes):
    return {**STALL, **changes}


def stack(**changes):
    return stall(stacks=[{**STALL["stacks"][0], **changes}])


EMPTY_STACK = {"count": 1, "first_ns": 1, "last_ns": 2}
STARVED = stall(cause="unknown", detail={"reason": "it could run but got little of the CPU: other work took it"})
CASES = [
    ("right records", [PROCESS, STALL, EXIT], (TRUTH,), ""),
    ("a stall that was not planted", [PROCESS, STALL, EXIT], (), "not planted"),
    ("a planted stall without a report", [PROCESS, {**EXIT, "stalls": 0}], (TRUTH,), "0 reports instead of 1"),
    ("two reports of one stall", [PROCESS, STALL, stall(id=2), {**EXIT, "stalls": 2}], (TRUTH,), "2 reports"),
    ("the same id twice", [PROCESS, STALL, STALL, {**EXIT, "stalls": 1}], (TRUTH,), "same id too often"),
    ("a duration off by 30 ms", [PROCESS, stall(duration_ns=330000000), EXIT], (TRUTH,), "duration differs by +30"),
    ("a begin off by 30 ms", [PROCESS, stall(begin="2026-11-22T20:15:04.030000Z"), EXIT], (TRUTH,), "begin differs"),
    ("another cause", [PROCESS, stall(cause="cpu"), EXIT], (TRUTH,), "cause cpu instead"),
    ("starved, as the victim's clock says", [PROCESS, STARVED, EXIT],
     (Planted(BEGIN, BEGIN + 0.3, "cpu", cpu_share=0.4),), ""),
    ("starved, but the victim had the CPU", [PROCESS, STARVED, EXIT],
     (Planted(BEGIN, BEGIN + 0.3, "cpu", cpu_share=0.9),), "though it had the CPU"),
    ("another culprit", [PROCESS, stall(culprit=FRAMES[1]), EXIT], (TRUTH,), "culprit on_timer"),
    ("a named frame is missing", [PROCESS, stack(frames=FRAMES[:1]), EXIT], (TRUTH,), "no frame on_timer"),
    ("an incomplete stack", [PROCESS, stack(complete=False), EXIT], (TRUTH,), "no complete stack"),
    ("another thread's stall", [PROCESS, stall(tid=43), EXIT],
     (Planted(BEGIN, BEGIN + 0.3, tid=42),), "0 reports instead of 1"),
    ("a cut line", [PROCESS, STALL, json.dumps(EXIT).encode()[:-20]], (TRUTH,), "not whole"),
    ("a line that is no JSON", [PROCESS, STALL, b"{nonsense}\n", EXIT], (TRUTH,), "x.jsonl:3"),
    ("invalid UTF-8", [PROCESS, STALL, b'{"v":"\xff"}\n', EXIT], (TRUTH,), "x.jsonl:3"),
    ("no exit line", [PROCESS, STALL], (TRUTH,), "the last line is stall, not exit"),
    ("exit is not the last line", [PROCESS, STALL, EXIT, {**EXIT}], (TRUTH,), "exit on line"),
    ("an exec that failed", [PROCESS, {**EXIT, "reason": "exec", "stalls": 0}, STALL, EXIT], (TRUTH,), ""),
    ("a wrong count after an exec that failed", [PROCESS, {**EXIT, "reason": "exec"}, STALL, {**EXIT, "stalls": 0}],
     (TRUTH,), "counts 0 stalls"),
    ("no process line", [STALL, EXIT], (TRUTH,), "the first line is stall"),
    ("a wrong count in exit", [PROCESS, STALL, {**EXIT, "stalls": 5}], (TRUTH,), "counts 5 stalls"),
    ("a stall that was none", [PROCESS, STALL, stall(id=2, end="left"), EXIT], (TRUTH,), "2 reports"),
    ("what was no stall is not in the count", [PROCESS, STALL, stall(id=2, end="left"), {**EXIT, "stalls": 2}], (),
     "counts 2 stalls, the file has 1"),
    ("a begun stall without its end", [PROCESS, {**STALL, "type": "stall-begin", "id": 9}, STALL, EXIT], (TRUTH,),
     "without an end"),
    ("an undocumented field", [PROCESS, stall(colour="red"), EXIT], (TRUTH,), "/colour: a field that the schema"),
    ("a field is missing", [PROCESS, {k: v for k, v in STALL.items() if k != "tid"}, EXIT], (), "no field tid"),
    ("a field of another type", [PROCESS, stall(tid="42"), EXIT], (), "'42' is no integer"),
    ("an unknown cause", [PROCESS, stall(cause="magic"), EXIT], (), "none of"),
    ("a time without its zone", [PROCESS, stall(begin="2026-11-22T20:15:04.000000"), EXIT], (), "does not match"),
    ("a number that is no integer", [PROCESS, stall(cpu_ns=1.5), EXIT], (), "is no integer"),
    ("a number above 2^53", [PROCESS, stall(cpu_ns=2 ** 60), EXIT], (), "the number"),
    ("a stack with neither frames nor reason", [PROCESS, stall(stacks=[EMPTY_STACK]), EXIT], (),
     "either frames or the reason"),
    ("a sample after the end", [PROCESS, stack(last_ns=400000000), EXIT], (), "into a stall of"),
    ("a start-up stall is not among the others", [PROCESS, stall(phase="startup"), EXIT], (TRUTH,),
     "0 reports instead of 1"),
]

# The watchdog had no CPU for a third of the stall: only what it has to see with its own eyes is then noise.
BLIND = {"watchdog_delay_ns": 100000000}
FINAL_CASES = [
    ("another culprit, but the watchdog was starved", stall(culprit=FRAMES[1], detail=BLIND), ""),
    ("another culprit, and the watchdog was not starved for long",
     stall(culprit=FRAMES[1], detail={"watchdog_delay_ns": 50000000}), "culprit on_timer"),
    ("a duration off by 30 ms, though the watchdog was starved", stall(duration_ns=330000000, detail=BLIND),
     "duration differs by +30"),
]

if __name__ == "__main__":
    print(f"1..{len(CASES) + len(FINAL_CASES)}")
    for case_title, case_lines, case_planted, case_text in CASES:
        expect(case_title, judge(case_lines, case_planted), case_text)
    for case_title, case_stall, case_text in FINAL_CASES:
        final = [c for c in judge([PROCESS, case_stall, EXIT]) if not isinstance(c, records.Noise)]
        expect(case_title, final, case_text)
    sys.exit(1 if failures else 0)
