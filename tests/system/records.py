# SPDX-License-Identifier: Apache-2.0
"""records.py - read, check and join record files

The reader's counterpart in the tests, written on its own from docs/records.md so that a mistake shared by writer and
reader shows. A Book is all files of one folder: each line must parse, follow docs/record.schema.json and make sense;
each run (one process) must begin with `process` and, where it ended cleanly, end with `exit`. join() compares stalls
with what was planted, one to one.

Context: tests; Python's standard library only
"""

import dataclasses
import datetime
import json
import math
import os
import pathlib
import re
import stat

import schema

TOLERANCE_S = 0.020
STARVED_SHARE = 0.75    # below it a computing thread shared its CPU with others
LINE_BYTES = 256 * 1024
_SCHEMA = schema.Schema(json.loads(
    (pathlib.Path(__file__).resolve().parents[2] / "docs" / "record.schema.json").read_text()))


class Noise(str):
    """A complaint that a machine without CPU to spare explains: the case is tried again."""


@dataclasses.dataclass
class Planted:
    """A stall that a test made happen."""
    begin: float                # seconds since 1970
    end: float
    cause: str = ""             # "": no claim; "a|b": either
    culprit: str = ""           # function to be blamed; "": no claim
    frames: tuple = ()          # each must be the function, or part of the module's path, of a frame in some stack
    where: str = ""
    pid: int = 0                # 0: no claim
    tid: int = 0
    stack: bool = True          # counts in the share of complete stacks
    cpu_share: float = -1       # of its duration on the CPU, by the victim's own clock; -1: not known
    tolerance: float = TOLERANCE_S

    @classmethod
    def from_truth(cls, line):
        where = line["where"]
        frames = (where,) if where not in ("", "startup") else ()
        begin, duration = line["begin_real_ns"] / 1e9, (line["end_ns"] - line["begin_ns"]) / 1e9
        return cls(begin, begin + duration, line["cause"], line["culprit"], frames, where, line["pid"], line["tid"],
                   cpu_share=line["cpu_ns"] / 1e9 / duration)

    def __str__(self):
        begin = datetime.datetime.fromtimestamp(self.begin, datetime.timezone.utc)
        share = f", {100 * self.cpu_share:.0f} % of it on the CPU" if self.cpu_share >= 0 else ""
        return (f"planted {(self.end - self.begin) * 1000:.1f} ms from {begin:%H:%M:%S.%f} {self.cause} "
                f"{self.culprit} {self.where}").rstrip() + share


def parse_time(text):
    """RFC 3339 in UTC with microseconds, exactly, to seconds since 1970."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text):
        raise ValueError(f"not a time of the form 2026-11-22T20:15:03.620700Z: {text!r}")
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


def begin_of(stall):
    return parse_time(stall["begin"])


def end_of(stall):
    return begin_of(stall) + stall["duration_ns"] / 1e9


def describe(stall):
    culprit = (stall.get("culprit") or {}).get("function")
    return (f"stall #{stall['id']} of pid {stall['pid']}, thread {stall['tid']}: {stall['duration_ns'] / 1e6:.1f} ms "
            f"from {stall['begin']}, {stall['cause']}, {stall['loop']}, culprit {culprit}")


def has_complete_stack(stall):
    return any(stack.get("complete") and stack.get("frames") for stack in stall.get("stacks", []))


def frames_of(stall):
    return [frame for stack in stall.get("stacks", []) for frame in stack.get("frames", [])]


def served(stall):
    """What the one descriptor is whose event the stall began by; what is wrong otherwise."""
    ready = stall.get("ready", [])
    return ready[0].get("what", "not known") if len(ready) == 1 else f"{len(ready)} events: {ready}"


def _numbers(value):
    """All numbers within a record."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, (list, type({}.values()))):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def _no_constant(text):
    raise ValueError(f"{text} is no JSON")


def _no_duplicates(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError(f"a field twice in {[key for key, _ in pairs]}")
    return dict(pairs)


def parse_line(line):
    """One line as a record; ValueError says what is wrong with it."""
    if len(line) + 1 > LINE_BYTES:
        raise ValueError(f"{len(line) + 1} bytes")
    record = json.loads(line.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    wrong = _SCHEMA.complaints(record)
    if wrong:
        raise ValueError("; ".join(wrong[:5]))
    for number in _numbers(record):
        if number > 2 ** 53 or not isinstance(number, int):
            raise ValueError(f"the number {number}")
    if record["type"] in ("stall", "stall-begin"):
        _check_stall(record)
    return record


def _check_stall(stall):
    """What the schema can't say."""
    if "begin" not in stall or "loop" not in stall:
        raise ValueError("a stall without its begin or its loop")
    if stall["type"] == "stall" and stall["duration_ns"] < stall["threshold_ns"]:
        raise ValueError("shorter than the threshold")
    if parse_time(stall["time"]) < begin_of(stall):
        raise ValueError("written before it began")
    if stall["lost"]["samples"] != sum(stall["lost"].get("reasons", {}).values()):
        raise ValueError(f"lost samples that don't add up: {stall['lost']}")
    if not stall.get("stacks") and not stall.get("stacks_omitted") and stall["type"] == "stall":
        if stall["samples"] > 0 and stall["lost"]["samples"] == 0 and not stall["stacks_dropped"]:
            raise ValueError("samples were taken, but there is neither a stack nor a reason")
    for stack in stall.get("stacks", []):
        _check_stack(stall, stack)


def _check_stack(stall, stack):
    if stack["count"] < 1 or not stack["first_ns"] <= stack["last_ns"]:
        raise ValueError(f"a stack with count {stack['count']}, {stack['first_ns']} to {stack['last_ns']} ns")
    if stall["type"] == "stall" and stack["last_ns"] > stall["duration_ns"]:
        raise ValueError(f"a sample {stack['last_ns']} ns into a stall of {stall['duration_ns']} ns")
    if bool(stack.get("frames")) == bool(stack.get("missing")):
        raise ValueError("a stack needs either frames or the reason why there are none")
    if any(frame["lang"] == "native" and "offset" not in frame for frame in stack.get("frames", [])):
        raise ValueError("a native frame without an offset")


class Book:
    """All record files of a folder."""

    def __init__(self):
        self.files, self.runs, self.complaints = {}, {}, []

    @classmethod
    def read(cls, folder):
        book = cls()
        for path in sorted(folder.iterdir()):
            book._read_file(path)
        for run, lines in book.runs.items():
            book._check_run(run, lines)
        return book

    def _fill_in_repeats(self, lines, complain):
        """A repeat is written without its stacks: they stand in an earlier record of the same signature."""
        known = {}
        for line in (line for line in lines if line["type"] == "stall" and "signature" in line):
            if line.get("stacks_omitted"):
                if line["signature"] not in known:
                    complain(f"stall #{line['id']} leaves out its stacks, but no earlier one has them")
                line["stacks"] = known.get(line["signature"], [])
            elif line.get("stacks"):
                known[line["signature"]] = line["stacks"]

    def _read_file(self, path):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode != 0o600:
            self.complaints.append(f"{path.name}: mode {mode:o} instead of 600")
        content = path.read_bytes()
        self.files[path.name] = content
        # An empty one is left by a process that was killed, or called _exit(), between making it and the first record.
        if content and not content.endswith(b"\n"):
            self.complaints.append(f"{path.name}: the last line is not whole")
        for number, line in enumerate(content.splitlines(), 1):
            try:
                record = parse_line(line)
            except (ValueError, KeyError, TypeError) as problem:
                self.complaints.append(f"{path.name}:{number}: {problem!r}: {line[:300]!r}")
                continue
            self.runs.setdefault(record["run"], []).append(record)

    def _check_run(self, run, lines):
        """What must hold of all lines of one process together."""
        def complain(text):
            self.complaints.append(f"run {run} (pid {lines[0]['pid']}): {text}")
        if lines[0]["type"] != "process":
            complain(f"the first line is {lines[0]['type']}")
        if len({(line["pid"], line.get("host")) for line in lines}) != 1:
            complain("more than one pid or host")
        if sum(line["type"] == "process" for line in lines) > 1:
            complain("more than one process line")
        times = [line["time"] for line in lines]
        if times != sorted(times):
            complain("the lines' times go backwards")
        for kind, most in ("stall", 1), ("stall-begin", 3):  # at its begin, after a second, as a deadlock
            ids = [line["id"] for line in lines if line["type"] == kind]
            if any(ids.count(number) > most for number in ids):
                complain(f"{kind} with the same id too often: {ids}")
        self._check_counts(lines, complain)
        self._fill_in_repeats(lines, complain)

    @staticmethod
    def _check_counts(lines, complain):
        # An exec that failed leaves its exit line behind, and the process goes on.
        ends = [n for n, line in enumerate(lines)
                if line["type"] == "exit" and (line["reason"] == "exit" or n == len(lines) - 1)]
        if ends and ends != [len(lines) - 1]:
            complain(f"exit on line {ends[0] + 1} of {len(lines)}")
        begun = {line["id"] for line in lines if line["type"] == "stall-begin"}
        ended = {line["id"] for line in lines if line["type"] == "stall"}
        none = {line["id"] for line in lines
                if line["type"] == "stall" and (line.get("end") == "left" or line["cause"] == "suspended")}
        if ends and begun - ended:
            complain(f"stalls without an end though the process ended cleanly: {sorted(begun - ended)}")
        if ends and lines[-1]["stalls"] != len(ended - none):
            complain(f"the exit line counts {lines[-1]['stalls']} stalls, the file has {len(ended - none)}")

    def complaints_about_ends(self, clean):
        """Processes whose last line is not `exit`, where they ended cleanly."""
        return [f"run {run} (pid {lines[0]['pid']}): the last line is {lines[-1]['type']}, not exit"
                for run, lines in self.runs.items() if clean and lines[-1]["type"] != "exit"]

    def all(self, kind):
        return [line for lines in self.runs.values() for line in lines if line["type"] == kind]

    def stalls(self, startup):
        """Ended stalls by their begin."""
        return sorted((s for s in self.all("stall") if (s.get("phase") == "startup") == startup), key=begin_of)


def join(stalls, planted, exactly=True, noise_thresholds=0):
    """Match stalls and planted ones that overlap. Returns the pairs (planted, stall or None) and the complaints.

    noise_thresholds: what nobody planted is Noise if it is no longer than so many thresholds: a starved machine can
    make it. What is longer is a false report, however often a later attempt is clean."""
    complaints, pairs, left = [], [], list(stalls)
    for truth in planted:
        mine = [s for s in left if begin_of(s) < truth.end and end_of(s) > truth.begin
                and truth.pid in (0, s["pid"]) and truth.tid in (0, s["tid"])
                and min(end_of(s), truth.end) - max(begin_of(s), truth.begin) > (truth.end - truth.begin) / 2]
        if len(mine) != 1:
            complaints.append(f"{len(mine)} reports instead of 1 of {truth}")
        for stall in mine:
            left.remove(stall)
        pairs.append((truth, mine[0] if len(mine) == 1 else None))
        if len(mine) == 1:
            complaints += _compare(truth, mine[0])
    if exactly:
        complaints += [
            (Noise if stall["duration_ns"] <= noise_thresholds * stall["threshold_ns"] else str)(
                f"reported but not planted: {describe(stall)}") for stall in left]
    return pairs, complaints


def typical_error_s(stalls, planted):
    """How far the stalls' durations are from those planted, in the middle of all: a machine that takes the CPU away
    between the victim's clock and its next wait does that to few of them."""
    pairs, _ = join(stalls, planted, exactly=False)
    errors = sorted(abs(stall["duration_ns"] / 1e9 - (truth.end - truth.begin)) for truth, stall in pairs if stall)
    return errors[len(errors) // 2] if errors else math.inf


def _compare(truth, stall):
    seen = _compare_samples(truth, stall)
    if watchdog_starved(stall):
        seen = [Noise(text) for text in seen]
    return [type(text)(f"{text}: {truth}; {describe(stall)}") for text in _compare_times(truth, stall) + seen]


def _compare_times(truth, stall):
    wrong = []
    differs = stall["duration_ns"] / 1e9 - (truth.end - truth.begin)
    if abs(differs) > truth.tolerance:
        wrong.append(f"the duration differs by {differs * 1000:+.1f} ms")
    if abs(begin_of(stall) - truth.begin) > truth.tolerance:
        wrong.append(f"the begin differs by {(begin_of(stall) - truth.begin) * 1000:+.1f} ms")
    return wrong


def _compare_samples(truth, stall):
    wrong = []
    if truth.cause and stall["cause"] not in truth.cause.split("|"):
        text = f"cause {stall['cause']} instead of {truth.cause}"
        if truth.cause != "cpu" or not _called_starved(stall):
            wrong.append(text)
        elif truth.cpu_share < 0:
            wrong.append(Noise(text))
        elif truth.cpu_share >= STARVED_SHARE:
            wrong.append(text + ", though it had the CPU")
    culprit = (stall.get("culprit") or {}).get("function")
    if truth.culprit and culprit != truth.culprit:
        wrong.append(f"culprit {culprit} instead of {truth.culprit}")
    seen = frames_of(stall)
    for name in truth.frames:
        if not any(name == f.get("function") or ("/" in name and name in (f.get("module") or "")) for f in seen):
            wrong.append(f"no frame {name}")
    if truth.stack and not has_complete_stack(stall):
        wrong.append("no complete stack")
    return wrong


def watchdog_starved(stall):
    """Does the record say that the watchdog had no CPU for a good part of the stall? It has hardly seen it then."""
    return 4 * stall.get("detail", {}).get("watchdog_delay_ns", 0) > stall["duration_ns"]


def _called_starved(stall):
    """Does the record say that it would have computed, but did not get the CPU? That is right where the victim's own
    clock says so too, and can't be told where there is no such clock."""
    return (stall["cause"] == "starved"
            or stall["cause"] == "unknown" and any(
                words in stall.get("detail", {}).get("reason", "")
                for words in ("little of the CPU", "seen only once")))
