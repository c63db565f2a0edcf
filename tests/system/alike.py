# SPDX-License-Identifier: Apache-2.0
"""alike.py - run a program with the agent and without, and compare all that it can be seen to do

Both run at the same time, each in a folder of its own, which makes a case no longer than one of them. What they print
and how they end must be the same; the programs of tests/victims print what they see themselves, and how their children
end (see.h). Lines of the agent's own, which it may write where something keeps it from its work, are told apart by
their beginning and are the case's to judge.

Context: system tests
"""

import dataclasses
import os
import pathlib

import harness

MARK = "loopdog: "
RUNTIME_WARNS = "WARNING: ASan doesn't fully support makecontext/swapcontext"  # of a sanitizer's runtime, once
PLANTED_S = 0.2     # what the victims plant asleep
LATE_NS = 30e6      # of a stall's detection: the watchdog itself got no CPU, whatever it then could not see
HARDLY_RAN = 0.5    # of a stall on the CPU: there may be no moment at which it could have answered a signal


@dataclasses.dataclass
class Alike:
    """What a pair of runs came to."""
    said: list      # the agent's own lines
    output: list    # the program's, the same in both


def _folders(place):
    for kind in ("plain", "watched"):
        folder = place.folder / kind
        folder.mkdir(exist_ok=True)
        folder.chmod(0o1777)
        yield folder


def _truth(path):
    """The log must be there for a program that becomes another user."""
    path.touch()
    path.chmod(0o666)
    return str(path)


def _text(program, folder, own, varies=None):
    """Its output, without what differs by where it ran. `own`: the lines that begin as the agent's are counted in."""
    text = program.output().replace(str(folder), "FOLDER").replace(f"pid={program.pid}", "pid=PID")
    lines = [line for line in text.splitlines() if line.startswith(MARK) == own and RUNTIME_WARNS not in line]
    return [varies if varies and line.startswith(varies) else line for line in lines]


def run(place, argv, *, env=None, threshold="100ms", code=0, seconds=60, preload="{}", user=None, until=None,
        varies=None, meanwhile=None, **how):
    """Run `argv` twice at the same time and compare.

    preload: the list of libraries, in which {} stands for the agent, which is left out of the plain run.  until: a line
    that the output must have before all is over (of a daemon, whose first process ends at once).  varies: how a line
    begins whose rest is different each time.  meanwhile: looks at the watched program from outside while it runs."""
    plain_folder, watched_folder = _folders(place)
    environment = dict(env or {})
    others = " ".join(preload.replace("{}", " ").split())
    plain = place.start("plain", argv, preload=others, cwd=plain_folder, user=user,
                        env={**environment, "VICTIM_TRUTH": _truth(plain_folder / "truth")}, **how)
    watched = place.start("watched", argv, preload=preload, cwd=watched_folder, threshold=threshold, user=user,
                          env={**environment, "VICTIM_TRUTH": _truth(place.folder / "truth")}, **how)
    if meanwhile:
        meanwhile(watched)
    ends = [program.wait(seconds, None) for program in (plain, watched)]
    for program in (plain, watched):
        if until:
            harness.wait_until(lambda p=program: until in p.output().splitlines(), seconds, f"{program.name}: {until}")
    place.read_truth()
    jail = watched_folder / "jail" / "truth"
    if jail.exists():
        place.read_truth(jail)
    _compare(plain, watched, ends, (plain_folder, watched_folder), code, varies)
    return Alike(_text(watched, watched_folder, True), _text(watched, watched_folder, False))


def _compare(plain, watched, ends, folders, code, varies):
    lines = [_text(program, folder, False, varies) for program, folder in zip((plain, watched), folders)]
    harness.check(not _text(plain, folders[0], True), "the plain run has lines of the agent's")
    harness.check(ends[0] == code, f"even without the agent it ends with {ends[0]} instead of {code}")
    harness.check(ends[0] == ends[1], f"it ends with {ends[1]} instead of {ends[0]}")
    different = [f"{mark} {line}" for mark, mine, other in (("-", *lines), ("+", *reversed(lines)))
                 for line in mine if line not in other]
    harness.check(lines[0] == lines[1], "its output differs:\n" + "\n".join(different or ["the order of its lines"]))


def victim(place, name, *arguments, **how):
    """The same with a program of tests/victims."""
    path = pathlib.Path(place.suite.options.victims) / name
    if not path.exists():
        raise harness.Skip(f"{name} was not built: a library or compiler that it needs is missing")
    if how.get("user") is not None and os.geteuid() == 0:
        path = harness.readable_copy(path)
    return run(place, [path, *arguments], **how)


def judge(place, result, *, stalls, files=1, clean=True, exactly=True, said=(), blind=(), tolerance=None, recorded=None,
          after=None):
    """The truth, `stalls` in number, is all that is recorded; not `exactly`: is recorded.

    said: words, one for each line that the agent may write.  blind: callbacks of whose stalls no stack or no symbols
    can be had.  tolerance: of lengths, in seconds.  recorded: which of the planted stalls are, of a place.  after: asks
    more of the place and its book."""
    harness.check(len(place.planted) == stalls, f"{len(place.planted)} stalls were planted instead of {stalls}")
    if place.plain:
        return
    for truth in place.planted:
        if truth.where in blind or 0 <= truth.cpu_share < HARDLY_RAN and truth.cause == "cpu":
            truth.cause, truth.culprit, truth.frames, truth.stack = "", "", (), False
        if truth.cause == "blocked" and truth.end - truth.begin > 1.1 * PLANTED_S:
            truth.cause = "blocked|starved|unknown"  # it could have gone on, but got no CPU
        truth.tolerance = tolerance or truth.tolerance
    if recorded:
        place.planted = recorded(place)
    harness.check(len(result.said) == len(said) and all(word in line for word, line in zip(said, result.said)),
                  f"the agent said {result.said}")
    book = place.read()
    try:
        place.judge(book, clean=clean, files=files, exactly=exactly)
        if after:
            after(place, book)
    except harness.Failure as failure:
        failure.noise = failure.noise or any(stall.get("late_ns", 0) > LATE_NS for stall in book.all("stall"))
        raise


JUDGED = {"stalls", "files", "clean", "exactly", "said", "blind", "tolerance", "recorded", "after"}


def add(suite, title, name, *arguments, root=False, **how):
    """A case: a program of tests/victims that is alike. Its keywords are those of judge() and of run()."""
    def case(place):
        if root:
            harness.need_root()
        result = victim(place, name, *arguments, **{key: value for key, value in how.items() if key not in JUDGED})
        judge(place, result, **{key: value for key, value in how.items() if key in JUDGED})
    suite.add(title, case, attempts=3)
