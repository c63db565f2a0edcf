#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_causes_whom.py - programs that compute, wait for another thread, for memory or for a CPU, or are stopped

Each case plants --runs stalls of one kind (3, in `./dev soak` 20), and each must be given its cause: `unknown`, with
the reason, at most once in 20, a wrong one never. Where another thread is to blame it must be named, with its stack.

Context: system test
"""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import sys

import harness
import records
import slow_files

suite = harness.Suite("causes_whom")
RUNS = suite.options.runs
CGROUP = pathlib.Path("/sys/fs/cgroup/cpu")
DEADLOCK_S = 10
PAGE = 4096


@dataclasses.dataclass
class Other:
    """What must be said of another thread."""
    thread: str = "holder"
    role: str = "lock-owner"
    function: str = "holds_by_sleeping"
    call: str = "clock_nanosleep"


def judge(place, planted, stalls, wanted, check):
    """The causes of the planted stalls, and what else `check` asks of each."""
    wrong, unknown = [], []
    for stall in stalls:
        complaints = []
        if stall["cause"] == "unknown" and stall["detail"].get("reason"):
            unknown.append(f"unknown ({stall['detail']['reason']}) instead of {wanted}: {records.describe(stall)}")
            continue
        if stall["cause"] != wanted:
            complaints.append(f"cause {stall['cause']} instead of {wanted}")
        elif check:
            complaints += check(stall)
        wrong += [type(text)(f"{text}: {records.describe(stall)}; detail {stall.get('detail')}") for text in complaints]
    if wrong:
        raise harness.Failure("\n".join(wrong + unknown), all(isinstance(text, records.Noise) for text in wrong))
    if len(unknown) * 20 > len(planted):
        raise harness.Failure("\n".join(unknown))
    if unknown:
        place.note(unknown[0])


def add(title, mode, wanted, check=None, victim="whom", around=contextlib.nullcontext):
    """`around` makes what the victim needs, and gives the path that it is told."""
    def run(place):
        with around(place) as path:
            arguments = [RUNS, mode, path] if path else [RUNS, mode]
            place.run_victim(victim, *arguments, seconds=60 + 2 * RUNS)
        for truth in place.planted:
            truth.cause = ""  # is judged here
            truth.stack = wanted not in ("suspended", "starved")
        harness.check(len(place.planted) == RUNS, f"the victim planted {len(place.planted)} stalls")
        book = place.expect()
        if not place.plain:
            judge(place, place.planted, book.stalls(startup=False), wanted, check)
    suite.add(title, run, attempts=3)


def others_are(object_, *wanted):
    """The loop waits for `object_`; each further thread has what the one before it waits for."""
    def check(stall):
        detail, others, wrong = stall.get("detail", {}), stall.get("others", []), []
        if detail.get("object") != object_:
            wrong.append(f"object {detail.get('object')!r} instead of {object_!r}")
        if len(others) != len(wanted):
            return wrong + [f"{len(others)} other threads instead of {len(wanted)}: {others}"]
        if wanted and detail.get("owner") != others[0]["tid"]:
            wrong.append(f"waits for {detail.get('owner')}, not for {others[0]['tid']}")
        for other, want in zip(others, wanted):
            functions = [frame.get("function") for frame in other["frames"]]
            if (other.get("thread"), other["role"]) != (want.thread, want.role):
                wrong.append(f"{other['role']} {other.get('thread')} instead of {want.role} {want.thread}")
            if not any(want.function in (name or "") for name in functions):  # C++ names are mangled
                # A thread that computes but is given no CPU does not come to its signal handler in time.
                kind = str if functions or want.call else records.Noise
                wrong.append(kind(f"no {want.function} in the stack of {want.thread}: {functions}"))
            if other.get("call", "") != want.call:
                wrong.append(f"{want.thread} slept in {other.get('call')!r} instead of {want.call!r}")
        return wrong
    return check


# ---- cpu ----

def has_parts(stall):
    names = [share["frame"].get("function") for share in stall.get("profile", [])]
    parts = [name for name in names if name and name.startswith("part_")]
    wrong = [] if len(parts) >= 6 else [f"parts {names}"]
    if sum(share["percent"] for share in stall["profile"]) > 104:
        wrong.append(f"more than everything: {stall['profile']}")
    seen = stall.get("callbacks_seen", 0)
    return wrong + ([] if seen == 1 else [f"{seen} callbacks instead of one"])


def has_callbacks(stall):
    shares = {share["frame"].get("function"): share["percent"] for share in stall.get("profile", [])}
    others = sum(shares.values()) - shares.get("handle_a", 0) - shares.get("handle_b", 0)  # the victim's own log
    wrong = []
    if others > 10 or not shares.get("handle_a", 0) > shares.get("handle_b", 0) > 10:
        wrong.append(f"shares {shares}")  # 7 and 3 of 10
    return wrong + ([] if 3 <= stall.get("callbacks_seen", 0) <= 10 else [f"{stall.get('callbacks_seen')} callbacks"])


def has_one_part(stall):
    detail = stall["detail"]
    wrong = [] if stall["profile"][0]["percent"] >= 90 else [f"profile {stall['profile']}"]
    if "user_ns" in detail and abs(detail["user_ns"] + detail["system_ns"] - stall["cpu_ns"]) > 1:
        wrong.append(f"user and system time do not add up: {detail}")
    return wrong


add("cpu: a busy loop", "busy", "cpu", has_one_part, victim="lacks")
add("cpu: ten calls one after the other in one callback are its parts", "ten_calls", "cpu", has_parts,
    victim="lacks")
add("cpu: ten callbacks in one iteration are told from one long one", "many_callbacks", "cpu", has_callbacks,
    victim="lacks")

# ---- locks ----

SLEEPER, COMPUTER = Other(), Other(function="holds_by_computing", call="")
add("lock: a mutex of a thread that sleeps", "mutex_sleep", "lock", others_are("mutex", SLEEPER))
add("lock: a mutex of a thread that computes", "mutex_busy", "lock", others_are("mutex", COMPUTER))
add("lock: a mutex of a thread that waits for the mutex of another", "mutex_chain", "lock",
    others_are("mutex", Other(function="holds_by_waiting", call="futex"), Other(thread="second")))
add("lock: a recursive mutex", "recursive", "lock", others_are("recursive mutex", SLEEPER))
add("lock: an error-checking mutex", "checking", "lock", others_are("error-checking mutex", SLEEPER))
add("lock: a robust mutex", "robust", "lock", others_are("robust mutex", SLEEPER))
add("lock: a mutex with priority inheritance", "inherits", "lock",
    others_are("mutex with priority inheritance", COMPUTER))
add("lock: a mutex shared between processes", "shared", "lock", others_are("mutex", SLEEPER))
add("lock: a std::mutex", "", "lock", others_are("mutex", Other(thread="whom_std")), victim="whom_std")
add("lock: an rwlock that a writer has, to read", "rwlock_read", "lock", others_are("rwlock, to read", SLEEPER))
add("lock: an rwlock that a writer has, to write", "rwlock_write", "lock", others_are("rwlock, to write", SLEEPER))
add("lock: an rwlock that readers have: nobody is blamed", "rwlock_readers", "lock", lambda stall: (
    [] if stall["detail"].get("object") == "rwlock, to write, held by readers" and not stall.get("others")
    else [f"others {stall.get('others')}"]))
add("lock: a stream of stdio", "stream", "lock", others_are("lock of a stdio stream", SLEEPER))


def begins_of(place, program):
    """The last says that it is a deadlock: the other thread may have come to its lock late."""
    begins = [stall for stall in place.read().all("stall-begin") if stall["pid"] == program.pid]
    return begins if begins and begins[-1]["detail"].get("deadlock") else None


def deadlock(mode, others):
    """It never ends: what is known must stand in the line that is written at its begin. A program each."""
    def run_once(place, number):
        program = place.start(f"whom{number}", [pathlib.Path(suite.options.victims) / "whom", 1, mode])
        if place.plain:
            return
        found = harness.wait_until(lambda: begins_of(place, program), DEADLOCK_S, "a deadlock's stall-begin")[-1]
        program.stop(signal.SIGKILL, code=-signal.SIGKILL)
        detail, chain = found["detail"], found.get("others", [])
        harness.check(found["cause"] == "lock" and detail.get("deadlock"), f"cause {found['cause']}, detail {detail}")
        cycle = [found["tid"], detail["owner"]] + [other["owner"] for other in chain]
        harness.check([other["thread"] for other in chain] == others, f"{chain}")
        harness.check(cycle[0] == cycle[-1], f"no cycle: {cycle}")

    def run(place):
        for number in range(RUNS):
            run_once(place, number)
    return run


suite.add("lock: a deadlock with another thread is told though it never ends", deadlock("deadlock", ["holder"]))
suite.add("lock: a deadlock that comes about after the stall's begin was told", deadlock("late_deadlock", ["holder"]))
suite.add("lock: a thread that locks its own mutex again", deadlock("self_deadlock", []))

# ---- no locks ----

add("blocked: a condition variable is no lock", "condition", "blocked", others_are("condition variable"))
add("blocked: a semaphore is no lock", "semaphore", "blocked", others_are("semaphore"))
add("blocked: pthread_join() names the thread that has to end", "join", "blocked",
    others_are("end of a thread", dataclasses.replace(SLEEPER, role="joined")))
add("blocked: a lock of the program's own making has no known owner", "own_lock", "blocked", others_are(None))

# ---- memory ----


@contextlib.contextmanager
def slow_file(place):
    if not slow_files.can_mount():
        raise harness.Skip("needs root and /dev/fuse")
    with slow_files.SlowFiles(place.folder / "slow", slow="read", delay_ms=150) as slow:
        yield slow.file


def read_pages(stall):
    """Two in each stall. How many are counted between the first sample and the last is up to when these are taken."""
    detail = stall["detail"]
    faults = detail.get("major_faults")
    wrong = [] if faults in (0, 1, 2, 3) else [f"{faults} major faults"]
    if os.geteuid() == 0:  # others may not be permitted to have the kernel note addresses
        wrong += [] if re.fullmatch("/.*/slow/file", detail.get("what", "")) else [f"waited for {detail.get('what')}"]
        wrong += [] if re.fullmatch(r"fuse on slow_files \(\d+:\d+\)", detail.get("device", "")) else ["no device"]
        if detail.get("file_offset", 0) // PAGE // 2 != stall["id"] - 1:  # two pages a stall
            wrong.append(f"offset {detail.get('file_offset')}")
    return wrong + ([] if detail.get("wchan") else ["no wait channel"])


add("page-fault: pages of a mapped file that come slowly", "fault", "page-fault", read_pages, around=slow_file,
    victim="lacks")

# ---- without a CPU ----


def lacked_cpu(stall):
    delay_ns = stall["detail"].get("run_delay_ns", 0)
    return [] if delay_ns > stall["duration_ns"] / 2 else [f"run_delay_ns {delay_ns}"]


def was_throttled(stall):
    """Other work on this machine may take more than the quota does."""
    throttled_ns = stall["detail"].get("throttled_ns", 0)
    return [] if throttled_ns > stall["duration_ns"] / 4 else lacked_cpu(stall)


def lacked_cpu_by(own):
    """The program's other threads, eight of them on its only CPU, used it as much each, or hardly at all."""
    def check(stall):
        others_ns = stall["detail"].get("others_cpu_ns", 0)
        right = others_ns > 3 * stall["cpu_ns"] if own else others_ns < (stall["duration_ns"] - stall["cpu_ns"]) / 5
        return lacked_cpu(stall) + ([] if right else [f"others_cpu_ns {others_ns}"])
    return check


add("starved: more busy threads than CPUs", "starved", "starved", lacked_cpu_by(own=False), victim="lacks")
add("starved: by the program's own threads", "starves_itself", "starved", lacked_cpu_by(own=True), victim="lacks")


@contextlib.contextmanager
def quota():
    """A cgroup of version 1 that gets 20 ms in each 100."""
    group = CGROUP / f"watched-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("20000")
    except OSError as problem:
        raise harness.Skip(f"no cgroup of version 1 with a CPU quota can be made here: {problem}") from None
    try:
        yield group
    finally:
        harness.wait_until(lambda: not (group / "cgroup.procs").read_text(), 10, "the cgroup to be empty")
        group.rmdir()


def throttled(place):
    """What else the victim does is throttled as well, so more may be reported than was planted."""
    victim = pathlib.Path(suite.options.victims) / "lacks"
    with quota() as group:
        program = place.start("lacks", ["/bin/sh", "-c",
                                        f"echo $$ > {group}/cgroup.procs; exec {victim} {RUNS} throttled"])
        program.wait(60 + 2 * RUNS)
    place.read_truth()
    for truth in place.planted:
        truth.cause, truth.stack, truth.culprit = "", False, ""
        truth.tolerance = 0.25  # two periods and more: the way to the next wait is throttled, too
    if place.plain:
        return
    joined, wrong = records.join(place.read().stalls(startup=False), place.planted, exactly=False)
    if wrong:
        raise harness.Failure("\n".join(wrong))
    judge(place, [truth for truth, _ in joined], [stall for _, stall in joined], "starved", was_throttled)
    if any(stall["detail"].get("throttled_ns", 0) > stall["duration_ns"] / 4 for _, stall in joined):
        return
    if all(stall["detail"].get("run_delay_ns", 0) > stall["duration_ns"] / 2 for _, stall in joined):
        raise harness.Skip("other work on this machine left the group less than its quota")
    raise harness.Failure("never throttled", noise=True)


suite.add("starved: a cgroup with a CPU quota", throttled, attempts=3)

# ---- stopped ----


def was_stopped(stall):
    """A stop in the middle of a sample is not seen (docs/limits.md), and samples take long where CPUs are short."""
    ns = stall.get("suspended_ns", 0)
    if stall["cause"] == "cpu" and stall["detail"].get("run_delay_ns", 0) > stall["duration_ns"] / 3:
        return []
    return [] if 140e6 < ns <= stall["duration_ns"] else [f"suspended_ns {ns}"]


add("suspended: SIGSTOP is recorded and no stall", "stopped", "suspended", was_stopped, victim="lacks")
add("suspended: of a stall that also computes the rest counts", "stopped_work", "cpu", was_stopped, victim="lacks")
add("suspended: a debugger that stops one thread", "traced", "suspended", was_stopped, victim="lacks")

HOUR_NS = 3600 * 10**9


def slept(place):
    """Whoever sees the machine sleep (CLOCK_BOOTTIME goes ahead) does so in the middle of a stall."""
    victims, lock, sign = pathlib.Path(suite.options.victims), place.folder / "lock", place.folder / "sleep"
    with open(lock, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        program = place.start("victim", [victims / "causes_blocked", "flock", lock], stdin=subprocess.PIPE, env={
            "LD_PRELOAD": f"{suite.options.library} {victims / 'fake_sleep.so'}", "FAKE_SLEEP": str(sign)})
        program.process.stdin.write(b"s\n")
        program.process.stdin.flush()
        if not place.plain:
            harness.wait_until(lambda: place.read().all("stall-begin"), 10, "the stall")
            sign.touch()
            harness.wait_until(lambda: place.read().all("stall"), 10, "the record of the sleep")
    program.process.stdin.close()
    program.wait(10)
    if place.plain:
        return
    suspended, blocked = sorted(place.read().all("stall"), key=lambda stall: stall["cause"], reverse=True)
    harness.check((suspended["cause"], blocked["cause"]) == ("suspended", "blocked"), f"{suspended}\n{blocked}")
    harness.check(suspended["detail"].get("reason") == "the machine slept", f"{suspended['detail']}")
    harness.check(abs(suspended["suspended_ns"] - HOUR_NS) < 1e9 and suspended["duration_ns"] > HOUR_NS,
                  f"{suspended}")
    harness.check(blocked["duration_ns"] < HOUR_NS / 2 and not blocked.get("suspended_ns"), f"{blocked}")
    end = place.book.all("exit")[0]
    harness.check((end["stalls"], end["stalls_suspended"]) == (1, 1), f"{end}")
    harness.check(not place.book.complaints, "\n".join(place.book.complaints))


suite.add("suspended: a machine that slept in the middle of a stall", slept)

if __name__ == "__main__":
    sys.exit(suite.main())
