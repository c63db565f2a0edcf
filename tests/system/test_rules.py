#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_rules.py - one small program for each rule of what a loop is, and of what a guest may not change

Each case runs a program of tests/victims that does one thing and logs its truth; the program's own comment says what
would be reported without the rule. Also here: what a program sees of its own waits, forks, execs, cancellations and
ends must be as without the agent; there the victim checks itself and its exit code tells.

Context: system test
"""

import json
import os
import signal
import sys
import time

import harness
import records

suite = harness.Suite("rules")
suite.unsanitized = {
    "poll: a wait at another call site is nested": "the sanitizer calls poll() for the program, from one place",
    "errno: every hooked wait returns what it did without, also under capture at 5 ms":
        "the sanitizer looks at wrong pointers before the kernel does"}


def add(title, victim, *arguments, env=None, threshold="100ms", files=1, code=0, clean=True, planted=None, after=None):
    """A victim that runs to its own end and whose truth is all that may be reported.

    planted: how many stalls its truth must have.  after: asks more of the place and its book."""
    def run(place):
        place.run_victim(victim, *arguments, env=env, threshold=threshold, code=code)
        if planted is not None:
            harness.check(len(place.planted) == planted, f"the victim planted {len(place.planted)} stalls")
        book = place.expect(files=None if place.plain else files, clean=clean)
        if after and not place.plain:
            after(place, book)
    suite.add(title, run)


def only(book, kind):
    found = book.all(kind)
    harness.check(len(found) == 1, f"{len(found)} {kind} lines instead of one")
    return found[0]


# ---- nested waits ----

for how in ("epoll", "poll", "select", "pselect"):
    add(f"nested: {how} on another descriptor in a callback is busy time", "rules_nested", how, planted=2)
add("nested: polls with timeout 0 in a callback are one stall", "rules_nested", "zero", planted=2)
add("nested: ten waits of 30 ms in a callback are one stall", "rules_nested", "short", planted=2)

# ---- another instance takes over ----

for how in ("close", "same-number", "dup2", "dup3", "raw-close", "left"):
    add(f"takeover: the first instance's end by {how}", "rules_takeover", how, planted=2)

add("takeover: dup2 and dup3 that fail take nothing over", "rules_takeover", "failed", planted=1)

# ---- re-entrant own waits ----


def has_yields(place, book):
    stall, = book.stalls(startup=False)
    harness.check(stall["yields"] >= 30, f"{stall['yields']} yields counted of 50")


def no_yields(place, book):
    harness.check(all(s["yields"] == 0 for s in book.stalls(startup=False)), "yields were counted")


add("re-entrant: polls of the own instance within a callback are yields of one stall", "rules_reentrant", "yield",
    planted=1, after=has_yields)
add("re-entrant: a nested main loop that sleeps is idle", "rules_reentrant", "sleep", planted=1, after=no_yields)
add("re-entrant: a flat loop that polls is not one long stall", "rules_reentrant", "flat", planted=0)

# ---- start-up, candidates ----


def two_startup(place, book):
    harness.check(len(place.startup_planted) == 2 and len(book.stalls(startup=True)) == 2,
                  f"{len(book.stalls(startup=True))} stalls of the start-up instead of 2")
    harness.check(only(book, "exit")["stalls_startup"] == 2, "the exit line does not count them")


def one_startup(place, book):
    harness.check(len(book.stalls(startup=True)) == 1, "the stall within the grace time has no phase")


def candidate_dropped(place, book):
    if book.files:
        harness.check(only(book, "exit")["candidates_dropped"] >= 1, "the dropped candidate is not counted")


add("start-up: until the loop has slept, stalls have the phase startup", "rules_startup", "polls", planted=1,
    after=two_startup)
add("start-up: LOOPDOG_GRACE", "rules_startup", "grace", env={"LOOPDOG_GRACE": "1s"}, planted=1, after=one_startup)
add("candidate: one wait and then 1 s of work is no stall", "rules_candidate", "once", planted=0, files=None,
    after=candidate_dropped)
add("candidate: held back until it waits there again", "rules_candidate", "twice", planted=1)

# ---- poll and select ----

for how in ("sockets", "select", "listening"):
    add(f"poll: {how} is a loop", "rules_poll", how, planted=1)
for how in ("pipes", "one-socket", "twice"):
    add(f"poll: {how} is none, and there is no file", "rules_poll", how, planted=0, files=0)
add("poll: a wait at another call site is nested", "rules_poll", "other-site", planted=1)
add("poll: a wait for other descriptors is nested", "rules_poll", "other-set", planted=1)
add("serial server: reported with LOOPDOG_LOOPS=all", "rules_poll", "serial", env={"LOOPDOG_LOOPS": "all"}, planted=1)


@suite.case("serial server: not reported otherwise")
def serial(place):
    place.run_victim("rules_poll", "serial")
    place.planted.clear()
    place.expect_nothing()


# ---- executors, left loops ----

add("executor: its idle threads are not stalled, its handlers are", "rules_executor", planted=1)


def outside(place, book):
    """The last second of the main thread is neither busy nor idle."""
    loop = book.all("loop")[-1]
    harness.check(loop["busy_ns"] < 600_000_000, f"busy for {loop['busy_ns'] / 1e6:.0f} ms")
    harness.check(loop["idle_ns"] < 600_000_000, f"idle for {loop['idle_ns'] / 1e6:.0f} ms")


for how in ("join", "cond", "sigwait", "pause", "accept"):
    add(f"left: {how} after the loop's end is no stall", "rules_left", how, planted=1, after=outside)

# A wait's caller that has returned is not enough to say that a loop was left.
for how in ("sleep", "busy", "mutex"):
    add(f"split: a stall by {how} where the waiting function has returned", "rules_split", how, planted=2)

# ---- threads ----


def all_watched(place, book):
    line = only(book, "exit")
    harness.check(line["loops"] >= 5000, f"{line['loops']} loops seen of 5001")
    harness.check(line["loops_unwatched"] == 0, f"{line['loops_unwatched']} loops were not watched")


def has_stack(stall):
    return bool(records.frames_of(stall))


def ended_by_thread(place, book):
    stall, = book.stalls(startup=False)
    harness.check(stall.get("end") == "thread", f"end is {stall.get('end')}")


add("threads: 5,000 loops one after the other use their slots again", "rules_threads", "many", planted=1,
    after=all_watched)
add("threads: a thread that ends within its stall", "rules_threads", "ended", planted=1, after=ended_by_thread)
add("threads: 8 loops stall at the same time", "rules_threads", "parallel", planted=8)
add("threads: 2 MB of thread-local variables", "rules_locals", planted=1)
add("threads: nearly as many thread-local variables as the watchdog's stack has room", "rules_locals_tight", planted=1)
add("threads: 400 loops under a limit of 1,024 descriptors", "rules_threads", "few-files", planted=2)


@suite.case("threads: 40 loops stall at the same time: what was not kept of some is said, and none is missing")
def crowd(place):
    place.run_victim("rules_threads", "crowd")
    if place.plain:
        return
    book = place.read()
    harness.check(not book.complaints, "\n".join(book.complaints))
    stalls = book.stalls(startup=False)
    without = [stall for stall in stalls if not has_stack(stall)]
    harness.check(len(stalls) == 40, f"{len(stalls)} stalls reported of 40")
    harness.check(without, "all stacks were kept: there was no crowd")
    harness.check(only(book, "exit")["stalls_crowded"] == len(without), f"{len(without)} stalls have no stack")
    for stall in without:
        harness.check("too many loops stalled" in stall["detail"].get("reason", ""), records.describe(stall))
        harness.check(stall["samples"] == stall["lost"]["samples"] > 0, records.describe(stall))


add("threads: the first one has ended before the loop begins", "rules_threads", "main-ends", planted=2)


@suite.case("threads: the same as text on stderr")
def main_ends_text(place):
    for kind in ("pipe", "file"):
        reader, writer = os.pipe()
        path = place.folder / "stderr"
        stderr = writer if kind == "pipe" else open(path, "wb")
        program = place.start("rules_threads", [os.path.join(suite.options.victims, "rules_threads"), "main-ends"],
                              env={"LOOPDOG_OUTPUT": ""}, stderr=stderr)
        os.close(writer)
        program.wait(30, 0)
        with os.fdopen(reader, "rb") as pipe:
            text = (pipe.read() if kind == "pipe" else path.read_bytes()).decode()
        for culprit in ("planted_sleep_ms", "planted_busy_ms"):
            harness.check(place.plain or f"ms in {culprit}" in text, f"{kind}: no stall in {culprit}:\n{text}")


# ---- fork, exec ----


def distinct_runs(place, book):
    harness.check(len(book.runs) == len({lines[0]["pid"] for lines in book.runs.values()}), "a run with two processes")


# Children that end by _exit() leave no exit line.
add("fork: parent and child go on, each with its own file", "rules_fork", "between", files=2, planted=2, clean=False,
    after=distinct_runs)
add("fork: in the middle of a stall, which is the parent's", "rules_fork", "within", files=2, planted=2, clean=False,
    after=distinct_runs)
add("fork: a chain of three", "rules_fork", "deep", files=4, planted=4, clean=False, after=distinct_runs)
add("fork: posix_spawn and vfork in the middle of a stall", "rules_fork", "spawn", planted=1)
add("fork: clone without libc", "rules_fork", "raw", files=2, planted=2, clean=False, after=distinct_runs)
# exit() in a child of vfork uses up the destructors of its parent, which then leaves no exit line.
add("fork: children of _Fork, clone and vfork that exit at once", "rules_fork", "exits", planted=1, clean=False)
add("fork: 200 children while threads load and unload libraries", "rules_fork", "threads", files=None, planted=0,
    clean=False)


def exec_reason(place, book):
    reasons = [line["reason"] for line in book.all("exit")]
    harness.check(reasons.count("exec") == 1 and reasons.count("exit") == 1, f"exit lines: {reasons}")


add("exec: the stall is written, and the next program starts afresh", "rules_exec", "self", files=None, planted=2,
    after=exec_reason)
add("exec: one that fails changes nothing", "rules_exec", "fail", planted=1)
add("exec: one that fails late leaves an exit line behind, and the watch goes on", "rules_exec", "late", planted=1,
    after=exec_reason)
add("exec: two that fail late in the middle of a stall leave one record of it", "rules_exec", "within", planted=2,
    after=exec_reason)


@suite.case("exec: 60 in a row under capture at 5 ms: no signal outlives one")
def exec_chain(place):
    place.run_victim("rules_exec", "chain60", threshold="5ms", code=0)
    book = place.read()
    harness.check(not book.complaints, "\n".join(book.complaints))


# ---- ends ----


@suite.case("rights: root that becomes another user after a fork and never loops leaves no file")
def leaves_no_file(place):
    harness.need_root()
    place.records_folder.chmod(0o777)  # where it may still remove what it made as root
    program = place.start("python", [sys.executable, "-c", "import os\nif os.fork() == 0:\n    os.setuid(65534)\n"
                                     "    exit()\nos.wait()"])
    program.wait(30, 0)
    harness.check(not list(place.records_folder.iterdir()), "there is a file")



def ended_by_exit(place, book):
    stall, = book.stalls(startup=False)
    harness.check(stall.get("end") == "exit", f"end is {stall.get('end')}")


add("exit: in the callback of a stall", "rules_exit", "exit", code=3, planted=1, after=ended_by_exit)
add("exit: an ordinary return from main", "rules_exit", "return", planted=1)
add("exit: at once, without a stall", "rules_exit", "quick", code=3, planted=0)


@suite.case("exit: by another thread while the loop is stalled")
def exit_by_other(place):
    begin = time.time()
    place.run_victim("rules_exit", "other", code=3)
    end = time.time()
    # It begins 80 ms after the program and lasts 400 ms; the harness knows neither to the millisecond.
    place.planted.append(records.Planted(end - 0.41, end - 0.01, "blocked", "quiet_sleep_ms", ("on_timer",),
                                         tolerance=0.06))
    harness.check(end - begin > 0.4, "it ended at once")
    book = place.expect(files=None if place.plain else 1)
    if not place.plain:
        ended_by_exit(place, book)


@suite.case("exit: _exit leaves whole lines and what was known")
def underscore_exit(place):
    place.run_victim("rules_exit", "_exit", code=3)
    if not place.plain:
        left_open(place, place.read())


def left_open(place, book):
    """A stall-begin without a stall, in whole lines, written at about the threshold."""
    harness.check(not book.complaints, "\n".join(book.complaints))
    begins = book.all("stall-begin")  # one more where it went on for a second
    harness.check(begins and {begin["id"] for begin in begins} == {1}, f"{len(begins)} begins")
    begin = begins[0]
    harness.check(not book.all("stall") and not book.all("exit"), "the stall has an end")
    harness.check(100e6 <= begin["duration_ns"] < 200e6, f"detected after {begin['duration_ns'] / 1e6:.1f} ms")


for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
    def killed(place, number=number):
        victim = place.start("rules_exit", [os.path.join(suite.options.victims, "rules_exit"), "hang"])
        time.sleep(0.5)
        victim.stop(number, code=-number)
        if not place.plain:
            left_open(place, place.read())
    suite.add(f"killed by {signal.Signals(number).name}: the begin of the stall is on file", killed)


# ---- descriptors, rights ----

def shared(place, how, count):
    """The notice on stderr is right: loopdog's files do show here."""
    program = place.run_victim("rules_shared", how)
    harness.check(len(place.planted) == count, f"the victim planted {len(place.planted)} stalls")
    if place.plain:
        return
    book = place.read()
    joined, complaints = records.join(book.stalls(startup=False), place.planted)
    complaints += book.complaints + book.complaints_about_ends(True)
    said = [line for line in program.output().splitlines() if "loopdog" in line]
    if len(said) != 1 or "no descriptor table of its own" not in said[0]:
        complaints.append(f"it said {said}")
    harness.check(not complaints, "\n".join(complaints))
    suite.count_stacks(joined)


for how, count in (("watched", 1), ("reuse", 2), ("forks", 1)):
    suite.add(f"shared descriptor table: {how}", lambda place, how=how, count=count: shared(place, how, count))


@suite.case("shared descriptor table: not where close_range() can make one")
def own_by_close_range(place):
    """As in a container that forbids unshare()."""
    victim = os.path.join(suite.options.victims, "rules_shared")
    program = place.start("rules_shared", [victim, "seen"])
    program.wait(30, 0)


def rights(place, how, count):
    harness.need_root()
    place.write("truth", "", 0o666)
    place.run_victim("rules_rights", how)
    harness.check(len(place.planted) == count, f"the victim planted {len(place.planted)} stalls")
    if how == "chroot":
        # The child's: it has no files there whose symbols it could read.
        for planted in (p for p in place.planted if p.where == "on_busy"):
            planted.culprit, planted.frames = "", ()
    place.expect(clean=False)


for how, count in (("seteuid", 4), ("chroot", 4), ("threads", 3)):
    suite.add(f"rights: {how} when the loop is already watched, then a fork",
              lambda place, how=how, count=count: rights(place, how, count))

# ---- seccomp filters ----


def under_filter(place, action, when, call, why, signal_only):
    """It survives both stalls, they are on file, and each has its stack or the reason why not."""
    place.run_victim("rules_seccomp", action, when, call)
    if place.plain:
        return
    book = place.read()
    harness.check(not book.complaints, "\n".join(book.complaints))
    stalls = book.stalls(startup=False)
    harness.check(len(stalls) == 2, f"{len(stalls)} stalls instead of 2")
    harness.check(all(abs(s["duration_ns"] - 300e6) < 30e6 for s in stalls), "not of 300 ms")
    for stall, callback in zip(stalls, ("on_sleep", "on_busy")):
        has_stack = any(f.get("function") == callback for f in records.frames_of(stall))
        expects_stack = why is None or (signal_only and callback == "on_sleep")
        harness.check(has_stack == expects_stack, f"{'a' if has_stack else 'no'} stack of {callback}")
        said = json.dumps(stall)
        harness.check(expects_stack or why in said, f"{callback}: no word of why there is no stack in {said[:600]}")


FILTERED, FILTERED_THREAD = "a seccomp filter forbids", "a seccomp filter of its own"
for action in ("kill", "errno"):
    for call, why, signal_only in [("process_vm_readv", FILTERED, False), ("rt_tgsigqueueinfo", FILTERED, True),
                                   ("tgkill", None, False), ("pidfd_getfd", None, False),
                                   ("membarrier", None, False)]:
        def before(place, arguments=(action, "before", call, why, signal_only)):
            under_filter(place, *arguments)
        suite.add(f"seccomp: {action} {call}, a filter from before the first wait", before)
    for call in ("process_vm_readv", "rt_tgsigqueueinfo", "tgkill", "pidfd_getfd", "openat", "fork"):
        def after(place, arguments=(action, "after", call, FILTERED_THREAD, True)):
            under_filter(place, *arguments)
        suite.add(f"seccomp: {action} {call}, a later filter of the loop's thread", after)

        def for_all(place, arguments=(action, "all", call, FILTERED, False)):
            under_filter(place, *arguments)
        suite.add(f"seccomp: {action} {call}, a later filter of all threads", for_all)


@suite.case("seccomp: a program that forbids itself children before its first wait survives, unwatched")
def no_children(place):
    for action in ("kill", "errno"):
        place.run_victim("rules_seccomp", action, "before", "fork")
        harness.check(place.plain or not place.read().files, "there is a file")


@suite.case("seccomp: where no file can be opened, stderr says so")
def no_file(place):
    for action in ("kill", "errno"):
        program = place.run_victim("rules_seccomp", action, "before", "openat")
        if not place.plain:
            harness.check("loopdog: cannot write" in program.output(), "nothing is said")
            harness.check(not place.read().files, "there is a file")


@suite.case("seccomp: stalls as text, under a filter without pidfd_getfd and process_vm_readv")
def filtered_text(place):
    for call in ("pidfd_getfd", "process_vm_readv"):
        reader, writer = os.pipe()
        victim = os.path.join(suite.options.victims, "rules_seccomp")
        program = place.start("rules_seccomp", [victim, "kill", "before", call], env={"LOOPDOG_OUTPUT": ""},
                              stderr=writer)
        os.close(writer)
        program.wait(30, 0)
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read().decode()
        if not place.plain:
            harness.check(text.count("loopdog: stall") == 2, f"not two stalls in:\n{text}")
            harness.check(call == "pidfd_getfd" or FILTERED in text, f"no word of the filter in:\n{text}")


# ---- what the program sees ----


def stalls_of_main(place):
    """At 5 ms the machine's own noise may be a stall too: only the planted one is asked for."""
    book = place.read()
    harness.check(not book.complaints, "\n".join(book.complaints))
    _, complaints = records.join(book.stalls(startup=False), place.planted, exactly=False)
    harness.check(not complaints, "\n".join(complaints))


@suite.case("errno: every hooked wait returns what it did without, also under capture at 5 ms")
def errno(place):
    place.run_victim("rules_errno", threshold="5ms")
    harness.check(len(place.planted) == 1, "the victim did not plant its stall")
    if not place.plain:
        place.planted[0].stack = False
        stalls_of_main(place)


add("wild pointers to limits and time-outs: the kernel's EFAULT", "rules_wild", "pointers", files=0)
add("a limit of processes makes a thread only where it forbids all", "rules_wild", "limit", files=0)
add("cancel: in every hooked wait, clean-up handlers and slots", "rules_cancel", planted=9)
for how in ("handler", "callback", "exit-in-handler", "exit-in-callback"):
    add(f"unwinding: {how}", "rules_unwind", how, planted=1)
add("longjmp: out of a callback", "rules_jump", "callback", planted=1)
add("longjmp: out of a wait, past the hook", "rules_jump", "wait", planted=1)
add("signal handler that polls, in the wait and in a callback", "rules_jump", "handler", planted=1)
add("signal handler that polls before there is a loop", "rules_jump", "first", planted=1)

if __name__ == "__main__":
    sys.exit(suite.main())
