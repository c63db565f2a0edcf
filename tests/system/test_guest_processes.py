#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_guest_processes.py - whatever a program does to itself and its children, it goes as without the agent

Every case runs a program with the agent and without (alike.py): its output, its end and its children must be the same,
and what it planted must be on record. Children in every way, descriptors closed, rights given up, seccomp filters.

Context: system test
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import alike
import clients
import harness
import records
import servers
import slow_files

suite = harness.Suite("guest_processes")
NOBODY = 65534
suite.unsanitized = {
    "hardly any memory may be locked any more: it survives what the agent does not get":
        "what the runtime maps counts, too, so that the agent never gets a part of what it needs",
    "a loop that forbids itself to read the TSC is watched by another clock":
        "the runtime reads the TSC by itself, by libc's clock_gettime()",
    **{f"seccomp: {words} forbids one call ({action}): whoever does not make it survives":
       "the runtime makes some of these calls by itself (sigaltstack, gettid, getpid)"
       for words in ("a later filter of all threads", "a filter from before the first wait")
       for action in ("kill", "errno")},
}
FORK_TOOK = "fork took:"  # its median and longest
HANDLER_S = 0.1           # LIMIT_SIGNAL_STARVED_NS: the longest that a capture waits
PATIENCE_S = 2            # twice LIMIT_PATIENCE_NS: for the watchdog's end, and until the kernel counts it no more
NOISE_S = 1               # that the machine may add
LONG = suite.options.long
LEAST_CAPTURES = 100 if LONG else 10  # between forks of another thread


def add(title, victim, *arguments, **how):
    alike.add(suite, title, victim, *arguments, **how)



# ---- children ----


def of_the_first(place):
    """What the program planted itself, and not its children."""
    return [truth for truth in place.planted if truth.pid == place.programs[1].pid]


def shows_captures(place, book):
    """The forks of another thread fell among captures of the loop."""
    taken = sum(stall["samples"] - stall["lost"]["samples"] for stall in book.stalls(startup=False))
    place.note(f"{taken} captures accepted between the forks")
    harness.check(taken >= LEAST_CAPTURES, f"only {taken} captures accepted between the forks")


def fork_times(program):
    """Of what it printed: its median and longest, in seconds."""
    line = next(line for line in program.output().splitlines() if line.startswith(FORK_TOOK))
    return [int(word) / 1e6 for word in line.split() if word.isdigit()]


def forks_went_on(place, book):
    """A fork waits for the watchdog, which may be at a capture whose handler does not run (100 ms): not each time."""
    shows_captures(place, book)
    (median, longest), (median_alone, longest_alone) = map(fork_times, reversed(place.programs))
    place.note(f"fork took {median * 1e3:.1f} ms, at most {longest * 1e3:.1f}; alone {median_alone * 1e3:.1f} and "
               f"{longest_alone * 1e3:.1f}")
    harness.check(median < median_alone + HANDLER_S / 2, f"a fork takes {median} s, and alone {median_alone} s")
    harness.check(longest < longest_alone + PATIENCE_S + NOISE_S,
                  f"the longest fork took {longest} s, and alone {longest_alone} s")


add("fork by another thread while the loop is captured", "guest_children", "forks", "400" if LONG else "40", stalls=1,
    clean=False, env={"LOOPDOG_INTERVAL": "1ms"}, after=forks_went_on, varies=FORK_TOOK)
add(f"a bomb of {1000 if LONG else 200} children, 20 at a time", "guest_children", "bomb", "1000" if LONG else "200",
    stalls=21 if LONG else 5, files=None, clean=False, exactly=False)  # 20 at a time make stalls of their own
add("vfork: what a child does in its parent's memory is not its parent's", "guest_children", "vfork", stalls=2)
add("posix_spawn, system and popen within a stall", "guest_children", "spawn", stalls=4, files=4)
add("daemon(3): both processes are watched", "guest_children", "daemon", stalls=2, files=2, clean=False,
    until="daemon: done")
add("children of clone that share this and that", "guest_children", "clones", stalls=7, files=6, clean=False)
add("exec in every way, past the hooks too", "guest_children", "execs", stalls=6, files=6, blind=("on_execs",))
add("the same with LOOPDOG_FOLLOW=0: only the first process is watched", "guest_children", "execs", stalls=6, files=1,
    env={"LOOPDOG_FOLLOW": "0"}, recorded=of_the_first, blind=("on_execs",))

HANG_FORKS = 8
HANGS_S = 60


@suite.case("records on a disk that hangs: forks wait for one second in all, and the loop never")
def hanging_disk(place):
    harness.need_root()
    if not slow_files.can_mount():
        raise harness.Skip("no /dev/fuse")
    victim = pathlib.Path(suite.options.victims) / "guest_children"
    with slow_files.SlowFiles(place.folder / "slow", "write", HANGS_S * 1000) as disk:
        try:
            program = place.start("watched", [victim, "hangs", str(HANG_FORKS)], threshold="100ms",
                                  env={"LOOPDOG_OUTPUT": str(disk.file)})
            harness.wait_until(lambda: "hangs: done" in program.output(), HANGS_S / 2, "it goes on")
        finally:
            disk.process.kill()  # which ends the write: exit waits for it in the kernel
            subprocess.run(["umount", "-l", str(disk.folder)], check=False)
        program.wait(20)
    took = {what: int(ms) / 1000 for what, ms in re.findall(r"(turns|forks): (\d+) ms", program.output())}
    place.note(f"while a write hangs: {took}")
    harness.check(took["turns"] < HANGS_S / 6, f"5 turns of 20 ms took {took['turns']} s")
    harness.check(took["forks"] < HANG_FORKS / 2, f"{HANG_FORKS} forks took {took['forks']} s")
    harness.check(place.plain or took["forks"] > 0.9, "no write hung")


# ---- descriptors and limits ----

add("closefrom of everything", "guest_rights", "closed", stalls=3)
add("close_range of everything, the standard descriptors too", "guest_rights", "close-range", stalls=3)
add("RLIMIT_NOFILE lowered before the first wait", "guest_rights", "limit", "12", "early", stalls=2)
add("RLIMIT_NOFILE lowered to one more descriptor than are open", "guest_rights", "limit", "1", "late", stalls=3,
    blind=("on_sleep", "on_busy"))

# ---- rights ----

add("another user for good, without groups and capabilities", "guest_rights", "drop", stalls=3, root=True)


@suite.case("another user by plain system calls: it survives what it then asks libc for", attempts=3)
def raw_drop(place):
    """Its file is root's by then, and can't be opened by the next watchdog; else it was made late enough."""
    harness.need_root()
    result = alike.victim(place, "guest_rights", "raw-drop")
    lost = bool(result.said)
    alike.judge(place, result, stalls=3, clean=False, said=("cannot write",) if lost else (),
                recorded=lambda place: place.planted[:1] if lost else place.planted)


add("another user that has kept capabilities, and then another group", "guest_rights", "keeps", stalls=3, root=True)
add("chroot into an empty folder, then another user", "guest_rights", "chroot", stalls=3, root=True,
    blind=("on_busy", "on_sleep"))
add("not dumpable, as root", "guest_rights", "dumpable", stalls=3, root=True)
add("not dumpable, as an ordinary user", "guest_rights", "dumpable", stalls=3, root=True, user=NOBODY)
add("no thread of root's uses a privilege", "guest_rights", "no-privilege", stalls=2)
add("an ordinary user needs none", "guest_rights", "no-privilege", stalls=2, root=True, user=NOBODY)

# ---- namespaces ----

add("namespaces: users, as root", "guest_namespaces", "user", stalls=3, root=True)
add("namespaces: users, as an ordinary user", "guest_namespaces", "user", stalls=3, root=True, user=NOBODY)
add("namespaces: mounts, another root, and users", "guest_namespaces", "sandbox", stalls=3, root=True)
add("namespaces: entered by their descriptors", "guest_namespaces", "enter", stalls=4, root=True)
add("namespaces: all that unshare() knows", "guest_namespaces", "kinds", stalls=3, root=True)
add("namespaces: of pids, for a child", "guest_namespaces", "pids", stalls=3, files=2, clean=False, root=True,
    blind=("on_busy",))

# ---- locked memory ----

for which in ("current", "future"):
    add(f"memory is locked before the first wait ({which}), by a user who may lock 16 MB", "guest_rights", "lock-early",
        which, stalls=2, root=True)
add("memory is locked when the loop is watched", "guest_rights", "lock-late", stalls=4, root=True)


@suite.case("hardly any memory may be locked any more: it survives what the agent does not get", attempts=3)
def squeezed(place):
    """With each further 100 KB one table more finds room."""
    harness.need_root()
    result = alike.victim(place, "guest_rights", "squeeze", threshold="30ms", env={"LOOPDOG_GRACE": "0"})
    if place.plain:
        return
    stalls = place.read().stalls(startup=False)
    harness.check(not place.book.complaints, "\n".join(place.book.complaints))
    seen = [len(records.frames_of(stall)) > 0 for stall in stalls]
    place.note(f"{sum(seen)} stalls with a stack, {len(seen) - sum(seen)} without; it said {sorted(set(result.said))}")
    harness.check(any(seen) and not all(seen), "memory was never missing, or always")
    harness.check(any("no memory" in line for line in result.said), "nothing was said of the memory that was missing")


# ---- the filters of a unit as Debian ships it ----

REDIS_UNIT = pathlib.Path("/lib/systemd/system/redis-server.service")
BUSY = "local x = 0; for i = 1, 3e7 do x = x + i % 7 end; return x"  # some 300 ms
TALK = [("PING",), ("SET", "key", "value"), ("DEBUG", "SLEEP", "0.3"), ("GET", "key"), ("EVAL", BUSY, 0), ("DBSIZE",)]


def talk(port):
    with clients.Redis(port) as redis:
        return [redis.call(*words) for words in TALK]


@suite.case("redis-server under the filters and as the user of its own unit", attempts=3)
def redis_unit(place):
    """Its filters end the process for each system call that is not allowed (unit_filter.py)."""
    harness.need("systemd-analyze")
    if not REDIS_UNIT.exists():
        raise harness.Skip(f"{REDIS_UNIT} is not installed")
    before = [servers.PYTHON, "-I", harness.HERE / "unit_filter.py", REDIS_UNIT, "--"]
    forbidden = [servers.PYTHON, "-c", "import os; os.sched_setaffinity(0, {0})"]
    probe = place.start("probe", [*before, *forbidden], preload=False)
    probe.wait(20, -signal.SIGSYS)
    answers = []
    for preload in (False, True):
        server, port = servers.redis(place, before=before, preload=preload)
        answers.append(talk(port))
        server.stop()
    harness.check(answers[0] == answers[1], f"it answers {answers[1]} instead of {answers[0]}")
    if place.plain:
        return
    stalls = place.read().stalls(startup=False)
    harness.check(not place.book.complaints, "\n".join(place.book.complaints))
    for cause in ("blocked", "cpu|starved"):
        stall = max((s for s in stalls if s["cause"] in cause.split("|")), key=lambda s: s["duration_ns"], default=None)
        harness.check(stall, f"no stall that was {cause}: {[records.describe(s) for s in stalls]}")
        harness.check(records.has_complete_stack(stall) or stall["lost"]["samples"], f"no stack, no reason: {stall}")
        place.note(f"{stall['cause']}: {len(records.frames_of(stall))} frames, lost {stall['lost']}")
    place.note(f"it said: {place.book.all('process')[0]['notices']}")


# ---- one system call after the other forbidden ----

# What the agent once made where it was forbidden. Long: every number, but for what libc makes for every thread, what no
# thread does without, and the question whether there is a filter (docs/limits.md).
MADE = {
    "all": [9, 17, 39, 98, 131, 186, 228],
    "before": [72, 110, 131, 186, 217, 228, 262],
    "own": [14, 39, 131, 186],
}
UNAVOIDED = {
    "all": [1, 14, 28, 60, 157, 202],
    "before": [0, 1, 3, 9, 10, 11, 13, 14, 15, 28, 39, 60, 157, 202, 273, 334, 435],
    "own": [231],  # exit_group: without it the program itself does not end
}


def sweep(place, action, when):
    numbers = [number for number in range(450) if number not in UNAVOIDED[when]] if LONG else MADE[when]
    ends = alike.victim(place, "guest_filter", action, when, *numbers, threshold="20ms", seconds=300).output
    ends = [end.split(": ")[1] for end in ends]
    place.note(f"{len(ends)} calls, {ends.count('exit 0')} of which a program can do without")


for when, words in (("all", "a later filter of all threads"), ("before", "a filter from before the first wait"),
                    ("own", "a filter of another loop's thread")):
    for action in ("kill", "errno"):
        suite.add(f"seccomp: {words} forbids one call ({action}): whoever does not make it survives",
                  lambda place, action=action, when=when: sweep(place, action, when), attempts=3)


@suite.case("a loop that forbids itself to read the TSC is watched by another clock", attempts=3)
def no_tsc(place):
    result = alike.victim(place, "guest_filter", "tsc")
    harness.check(result.output == ["alive"], f"it printed {result.output}")
    if not place.plain:
        slept = [stall for stall in place.read().stalls(startup=False) if stall["cause"] == "blocked"]
        harness.check(len(slept) == 1 and 0.19e9 < slept[0]["duration_ns"] < 0.4e9, f"not one stall of 200 ms: {slept}")


# ---- CPython's own opinion of forks ----


PYENV = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv") / "versions"


def pythons():
    """Debian's, and those that warn of a fork with threads, from PATH or pyenv; None: there is none."""
    yield "Debian's python3", servers.PYTHON
    for version in ("3.12", "3.13"):
        found = shutil.which(f"python{version}", path="/usr/bin:/usr/local/bin")
        yield f"CPython {version}", found or next(iter(sorted(PYENV.glob(f"{version}.*/bin/python3"))), None)


FORKS = """
import asyncio, os, subprocess, sys, threading, time, warnings
warnings.simplefilter("always")

def fork(code):
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)

async def main():
    for code in range(3):
        await asyncio.sleep(0.02)
        fork(code)
        await asyncio.sleep(0.02)
    time.sleep(0.2)
    await asyncio.sleep(0.02)
    fork(3)
    print(subprocess.run(["/bin/echo", "hello"], capture_output=True).stdout, threading.active_count())

asyncio.run(main())
thread = threading.Thread(target=time.sleep, args=(0.2,))
thread.start()
fork(4)
thread.join()
"""


def forks(place, name, python):
    if python is None:
        raise harness.Skip(f"no {name} in /usr/bin, /usr/local/bin or {PYENV}")
    result = alike.run(place, [python, place.write("forks.py", FORKS)], env={"PYTHONDONTWRITEBYTECODE": "1"})
    harness.check(result.output.count("child 0") == 1, f"it printed {result.output}")
    warned = sum("multi-threaded" in line for line in result.output)
    place.note(f"warnings, with and without: {warned}")  # of the program's own thread, from 3.12 on
    if place.plain:
        return
    harness.check(not result.said, f"the agent said {result.said}")
    slept = [s for s in place.read().stalls(startup=False) if s["detail"].get("called") == "time.sleep"]
    harness.check(len(slept) == 1, f"{len(slept)} stalls by time.sleep instead of 1")


for name, python in pythons():
    suite.add(f"{name} forks from a loop: no warning because of us",
              lambda place, name=name, python=python: forks(place, name, python), attempts=3)

if __name__ == "__main__":
    sys.exit(suite.main())
