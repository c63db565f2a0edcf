#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_guest_threads.py - whatever threads, stacks and signals a program has, it goes as without the agent

Every case runs a program with the agent and without (alike.py): its output and its end must be the same, and what it
planted must be on record, with a stack or with the reason why there is none.

Context: system test
"""

import contextlib
import sys
import time

import alike
import harness
import records

suite = harness.Suite("guest_threads")
LONG = suite.options.long
OWN_FILES = 20  # of a watchdog with one loop; there are 10
suite.unsanitized = {
    "the alternate stack of a thread without a loop, which holds a lock":
        "the runtime's clock_gettime() has no room on the stack of the program's own handler",
    **{f"a coroutine on a guarded stack of {size} bytes":
       "the runtime gives each thread an alternate stack, and so there are stacks of all stalls"
       for size in (2560, 4096, 8192)},
    "an alternate stack with no room for a second frame":
        "the handler's own frames are larger in a library that ASan built than the room that it makes sure of",
}


def add(title, victim, *arguments, **how):
    alike.add(suite, title, victim, *arguments, **how)


class OwnFiles:
    """The watchdog's descriptors, listed from outside all the time while a program of threads runs."""

    def __init__(self):
        self.seen = []

    def __call__(self, program):
        self.seen = []
        while program.running() and not program.place.plain:
            with contextlib.suppress(OSError):  # not yet, or no longer
                self.seen.append(harness.watchdog_files(program.pid))
            time.sleep(0.01)

    def judge(self, place):
        """The last ones are those of a single loop's stall, when all the threads are over."""
        harness.check(len(self.seen) > 10, f"the watchdog's descriptors were seen {len(self.seen)} times")
        place.note(f"descriptors of the watchdog's: {self.seen[0]} at first, {max(self.seen)} at most, "
                   f"{self.seen[-1]} at the end")
        harness.check(self.seen[-1] <= OWN_FILES, f"{self.seen[-1]} descriptors of the watchdog's are left")


own_files = OwnFiles()


def all_watched(place, book):
    own_files.judge(place)
    line, = book.all("exit")
    harness.check(line["loops"] >= (5000 if LONG else 1000) and line["loops_unwatched"] == 0,
                  f"{line['loops']} loops, {line['loops_unwatched']} of them not watched")


def some_unwatched(place, book):
    line, = book.all("exit")
    harness.check(line["loops_unwatched"] >= 100, f"only {line['loops_unwatched']} loops found no slot")


def ends(how):
    """The records are complete, and the last of the stalls ended so (None: by its next wait)."""
    def after(place, book):
        harness.check(len(book.all("exit")) == 1, f"{len(book.all('exit'))} exit records")
        end = book.stalls(startup=False)[-1].get("end")
        harness.check(end == how, f"the last stall ended by {end} instead of {how}")
    return after


def reasons(word):
    """Each stall without a stack says why, and one that was looked at often enough with this word."""
    def after(place, book):
        stalls = [s for s in book.stalls(startup=False) if not records.frames_of(s)]
        harness.check(stalls, "no stall is without a stack")
        harness.check(all(s["lost"].get("reasons") for s in stalls), "one has no reason")
        said = " ".join(reason for s in stalls for reason in s["lost"]["reasons"])
        seen = max(s["samples"] for s in stalls)
        harness.check(word in said or seen < 5, f"no word of why: {said}")
    return after


# ---- threads ----

add(f"{5000 if LONG else 1000} threads, 50 at a time, each a loop", "guest_threads", "many", "5000" if LONG else "1000",
    stalls=1, after=all_watched, meanwhile=own_files)
add("more loops than slots", "guest_threads", "crowded", stalls=3, recorded=lambda place: place.planted[:2],
    after=some_unwatched)
for how, count in (("cancelled", 4), ("exits", 3)):  # that a thread has ended is seen at the next sample
    add(f"in the middle of a stall: {how}", "guest_threads", how, stalls=count, tolerance=0.1)
add("in the middle of a stall: jumps", "guest_threads", "jumps", stalls=4)
add("thrown out of a callback in the middle of a stall", "guest_throw", stalls=4)
for how, count, by in (("last-returns", 2, None), ("main-leaves", 1, None), ("worker-ends-last", 1, None),
                       ("last-is-cancelled", 1, "thread")):
    add(f"the process ends with its last thread: {how}", "guest_threads", how, stalls=count, after=ends(by),
        tolerance=0.1 if by else None)
add("the smallest stacks that a thread may have", "guest_threads", "tiny", stalls=4)

# ---- stacks ----

add("a handler that stalls on an alternate stack", "guest_stacks", "alternate", stalls=4)
add("an alternate stack with no room for a second frame", "guest_stacks", "smallest", stalls=2,
    blind=("on_smallest", "on_busy"), after=reasons(""))  # nor is there room for our own handler's work
add("an alternate stack with no room for any frame", "guest_stacks", "old", stalls=2, blind=("on_busy",),
    after=reasons("alternate signal stack"))
add("the same set in a child of fork() that has not waited yet", "guest_stacks", "forked", stalls=2, blind=("on_busy",),
    after=reasons("alternate signal stack"))
add("the alternate stack of a thread without a loop, which holds a lock", "guest_stacks", "owner", stalls=1,
    env={"LD_BIND_NOW": "1"})
add("coroutines by swapcontext", "guest_stacks", "contexts", stalls=4)
for size in (2560, 4096, 8192):  # signals are only sent where a coroutine has more
    add(f"a coroutine on a guarded stack of {size} bytes", "guest_stacks", "small", str(size), stalls=4,
        env={"LD_BIND_NOW": "1"}, blind=("run_on_little_stack",), after=reasons("coroutine"))
add("the same of 4096 bytes with an alternate stack", "guest_stacks", "small", "4096", "alternate", stalls=4,
    env={"LD_BIND_NOW": "1"})
add("the same without any signal", "guest_stacks", "small", "4096", stalls=4,
    env={"LD_BIND_NOW": "1", "LOOPDOG_SIGNAL": "none"}, blind=("run_on_little_stack",),
    after=reasons("LOOPDOG_SIGNAL=none"))
add("coroutines that switch all the time, captured at 1 ms", "guest_stacks", "torn", stalls=1,
    env={"LOOPDOG_INTERVAL": "1ms"})

# ---- signals ----

for how, count, word in (("sigwait", 5, "blocks loopdog's signal"), ("signalfd", 5, "blocks loopdog's signal"),
                         ("blocked", 2, "blocks loopdog's signal")):
    add(f"every signal is blocked: {how}", "guest_signals", how, stalls=count, blind=("on_busy", "on_kill"),
        after=reasons(word))
add("a program with handlers for every real-time signal", "guest_signals", "handled", stalls=3,
    blind=("on_busy", "on_send"), said=("uses or blocks every real-time signal",), after=reasons("no real-time signal"))
add("the same from when it is watched", "guest_signals", "handled-late", stalls=5, blind=("on_busy", "on_send"),
    after=reasons("changed the action"))
add("all actions set to the default in the middle of a stall", "guest_signals", "reset", stalls=5)
add(f"the same {100000 if LONG else 2000} times by another thread", "guest_signals", "reset-often",
    "100000" if LONG else "2000", stalls=1, env={"LOOPDOG_INTERVAL": "1ms"})
add("a message queue notifies it: among the numbers that the kernel copies", "guest_signals", "notified", "3", stalls=2,
    said=("no descriptor table of its own (the program has a message queue)",))
add("a message queue notifies it: above them", "guest_signals", "notified", "64", stalls=2)

if __name__ == "__main__":
    sys.exit(suite.main())
