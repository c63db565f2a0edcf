# SPDX-License-Identifier: Apache-2.0
"""blame.py - what the report of a stall in Python must say, to the line

A watched program marks the line that is to be blamed by a comment at its end, `# name`; a statement that goes to and
fro between several lines bears it on each of them. Most programs say themselves what they have planted
(tests/system/python/truth.py); servers are measured from outside.

Context: tests; Python's standard library only
"""

import dataclasses
import functools
import json
import pathlib
import re
import subprocess

import harness
import records

PROGRAMS = pathlib.Path(__file__).resolve().parent / "python"


@functools.lru_cache(maxsize=None)
def lines_of(path, mark):
    """The numbers of the lines that end with the comment `# mark`."""
    found = [number for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1)
             if re.search(r"#\s*" + re.escape(mark) + r"\s*$", line)]
    harness.check(found, f"no line of {path} is marked # {mark}")
    return found


@dataclasses.dataclass
class Blamed(records.Planted):
    """A stall whose culprit is a line of Python. Its times are taken by Python within the callback, which may wait for
    a CPU before and after."""
    tolerance: float = 0.1
    file: str = ""              # of the culprit; "": no claim
    mark: str = ""              # of its line
    called: str = None          # None: no claim; "": nothing must be named; "a|b": either
    task: str = None            # the same
    coroutine: str = None
    chain: tuple = ()           # functions, innermost first; each must stand somewhere outside of the one before
    holder: str = ""            # Python function of the thread that held the GIL; "": none may be named; None: any
    holder_mark: str = ""       # of its line, in `file`
    python: bool = True         # there are Python frames


def expect(place, **how):
    """As place.expect(), and then each report says what its Blamed claims."""
    book = place.expect(**how)
    if place.plain:
        return book
    wrong = []
    for truth, stall in zip(sorted(place.planted, key=lambda p: p.begin), book.stalls(startup=False)):
        if isinstance(truth, Blamed):
            kind = records.Noise if records.watchdog_starved(stall) else str
            wrong += [kind(f"{text}: {truth}; {records.describe(stall)}") for text in complaints(truth, stall)]
    if wrong:
        raise harness.Failure("\n".join(wrong), all(isinstance(text, records.Noise) for text in wrong))
    return book


def complaints(truth, stall):
    detail, wrong = stall.get("detail", {}), []
    for field in ("called", "task", "coroutine"):
        claimed, said = getattr(truth, field), detail.get(field, "")
        if claimed is not None and said not in claimed.split("|"):
            wrong.append(f"{field} {said!r} instead of {claimed!r}")
    if truth.file:
        wrong += _wrong_place(stall.get("culprit") or {}, truth.file, truth.mark)
    frames = (stall.get("stacks") or [{}])[0].get("frames", [])
    if truth.python != any(frame["lang"] == "python" for frame in records.frames_of(stall)):
        wrong.append("no Python frames" if truth.python else "Python frames")
    if stall.get("script_losses"):
        wrong.append(f"{stall['script_losses']} samples without Python frames: {stall.get('script_loss')}")
    names = iter(frame.get("function") for frame in frames)
    if not all(any(name == wanted for name in names) for wanted in truth.chain):
        wrong.append(f"not {' <- '.join(truth.chain)}, but {[frame.get('function') for frame in frames]}")
    return wrong + _wrong_holder(truth, stall)


def _wrong_place(frame, file, mark):
    wrong = []
    if frame.get("file") != str(file):
        wrong.append(f"file {frame.get('file')} instead of {file}")
    if mark and frame.get("line") not in lines_of(file, mark):
        wrong.append(f"line {frame.get('line')} instead of {lines_of(file, mark)}")
    return wrong


def _wrong_holder(truth, stall):
    holders = [other for other in stall.get("others", []) if other["role"] == "gil-holder"]
    if truth.holder is None:
        return []
    if not truth.holder:
        return [f"others: {stall['others']}"] if holders else []
    if len(holders) != 1 or len(stall["others"]) != 1:
        return [f"{len(holders)} holders of the GIL in {stall.get('others')}"]
    mine = [frame for frame in holders[0]["frames"] if frame.get("function") == truth.holder]
    if not mine:
        return [f"the holder's stack has no {truth.holder}: {[f.get('function') for f in holders[0]['frames']]}"]
    wrong = _wrong_place(mine[0], truth.file or mine[0]["file"], truth.holder_mark)
    return wrong + ([] if holders[0]["tid"] != stall["tid"] else ["the holder is the loop's own thread"])


def read_truth(program):
    """What a watched program says on stdout that it planted, each line a dict, by the order of their begin."""
    said = []
    for line in program.output().splitlines():
        harness.check(line.startswith("{"), f"{program.name} says: {line}")
        said.append(json.loads(line))
    return said


def planted(said, **claims):
    """A Blamed from one line of a program's truth."""
    return Blamed(said["begin"], said["begin"] + said["seconds"], where=said["name"],
                  cpu_share=said["cpu"] / said["seconds"], **claims)


# ---- what people read ----


def command(place, *arguments, env=None):
    """Run loopdog to its end; what it wrote to stdout and stderr."""
    path = pathlib.Path(place.suite.options.loopdog)
    if not path.exists():
        raise harness.Skip(f"no command at {path}")
    ended = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False,
                           env={"PATH": "/usr/bin:/bin", "TMPDIR": str(place.folder),
                                "LOOPDOG_LIBRARY": place.suite.options.library, **(env or {})})
    harness.check(ended.returncode == 0, f"loopdog {arguments[0]} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout, ended.stderr


def check_words(text, *words):
    """Each of them stands in the text, however much space is between words."""
    flat = " ".join(text.split())
    missing = [word for word in words if " ".join(word.split()) not in flat]
    harness.check(not missing, f"missing {missing} in:\n{text}")
