# SPDX-License-Identifier: Apache-2.0
"""cost.py - what the agent costs its host: the hot path, pauses, wake-ups, memory, a thousand loops

Context: bench; Python's standard library only
"""

import contextlib
import pathlib
import subprocess
import sys
import time

import machine
from machine import Broken
from measure import EQUAL_SIDES_MAY_DIFFER, NOT_RESOLVED, Figure, at_most, interval, median, percentile, \
    spread, summary

THRESHOLD_MS = 100


def say(text):
    print(f"bench: {text}", file=sys.stderr)


@contextlib.contextmanager
def place():
    """A temporary folder with one for records in it."""
    with machine.folder() as name:
        folder = pathlib.Path(name)
        (folder / "records").mkdir()
        yield folder


# ---- the hot path ----

OWN = ("epoll", "epoll-empty", "poll", "select")  # own waits: they read the clock
CASES = {
    "epoll": "hooked epoll_wait, own, an event ready",
    "epoll-empty": "hooked epoll_wait, own, nothing ready",
    "epoll-nested": "hooked epoll_wait, nested",
    "poll": "hooked poll, own",
    "poll-nested": "hooked poll, nested",
    "poll-no-loop": "hooked poll in a thread without a loop",
    "select": "hooked select, own",
    "select-nested": "hooked select, nested",
    "select-no-loop": "hooked select in a thread without a loop",
    "close": "hooked close",
}
LIMIT_NS = {"tsc": 35, "clock_gettime": 70}
INTERVAL_NS = 10  # of the median; wider, and the machine was too noisy


def iterations(folder):
    """What the agent counted: the last record of each loop."""
    loops = {(line["tid"], line["loop"]): line["iterations"]
             for line in machine.read_records(folder) if line["type"] == "loop"}
    return sum(loops.values())


def run_case(options, case, library, clock, blocks, calls):
    """[(plain, hooked, plain again)], ns a call. Whether the agent took the calls for what they are is checked by what
    it counted."""
    with place() as folder:
        extra = {"BENCH_CLOCK": "clock_gettime"} if clock == "clock_gettime" else {}
        environment = machine.environment(library, folder / "records", **extra)
        process = machine.Process([options.program("hotpath"), case, blocks, calls], environment,
                                  cpu=machine.server_cpu(), folder=folder)
        process.wait(300)
        counted, made = iterations(folder / "records"), blocks * calls
        if case in ("epoll", "poll", "select") and counted < made:
            raise Broken(f"{case}: the agent counted {counted} iterations of {made}: these are not its own waits")
        if case not in OWN and counted > made / 10:
            raise Broken(f"{case}: the agent took these waits for a loop's own: {counted} iterations")
        return [tuple(float(ns) for ns in line.split()) for line in process.output().splitlines()]


def judge_case(case, clock, turns):
    added = [hook - (plain + again) / 2 for plain, hook, again in turns]
    equal = [again - plain for plain, _, again in turns]
    plain_ns = median([plain for plain, _, _ in turns])
    low, high = interval(added)
    limit = LIMIT_NS[clock]
    resolved = abs(median(equal)) <= plain_ns * EQUAL_SIDES_MAY_DIFFER and high - low <= INTERVAL_NS
    name = f"{CASES[case]}, {clock}" if case in OWN else CASES[case]
    return Figure(name, f"{median(added):+.1f} ns [{low:+.1f}, {high:+.1f}], A/A {median(equal):+.1f} ns, plain call "
                  f"{plain_ns:.0f} ns", f"at most {limit} ns",
                  at_most(median(added), limit) if resolved else NOT_RESOLVED,
                  data={"added_ns": summary(added), "equal_ns": summary(equal), "plain_ns": plain_ns})


def run_hotpath(options):
    blocks, calls = (1000, 500) if options.quick else (5000, 500)
    uses_tsc = machine.describe()["clocksource"] == "tsc"
    for case in CASES:
        for clock in ("tsc", "clock_gettime"):
            library = options.library if clock == "tsc" else options.switched_library
            if clock == "tsc" and not uses_tsc and case in OWN:
                yield Figure(f"{CASES[case]}, tsc", "-", "", NOT_RESOLVED, ["the clock source here is not the TSC"])
                continue
            if clock == "clock_gettime" and case not in OWN:
                continue  # no clock is read there
            say(f"{CASES[case]}, {clock}")
            yield judge_case(case, clock, run_case(options, case, library, clock, blocks, calls))


# ---- the API ----

API_CASES = {
    "wait": "loopdog_wait_begin, loopdog_wait_end",
    "callback": "loopdog_callback_begin, loopdog_callback_end",
    "label": "loopdog_label, set and taken away",
    "section": "loopdog_section_begin, loopdog_section_end",
    "pause": "loopdog_pause, loopdog_resume",
}
API_LIMIT_NS = {"on": 50, "off": 20}


def run_api(options):
    """Each call above an empty function, with the detector on and off."""
    blocks, calls = (1000, 500) if options.quick else (5000, 500)
    for case, name in API_CASES.items():
        for state, limit in API_LIMIT_NS.items():
            say(f"{name}, {state}")
            with place() as folder:
                extra = {"LOOPDOG_THRESHOLD": "0"} if state == "off" else {}
                environment = {**machine.environment(), "LOOPDOG_OUTPUT": str(folder / "records"), **extra}
                process = machine.Process([options.program("api"), case, blocks, calls], environment,
                                          cpu=machine.server_cpu(), folder=folder)
                process.wait(300)
                counted = iterations(folder / "records")
                if (counted == 0) != (state == "off"):
                    raise Broken(f"{case}, {state}: the agent counted {counted} iterations")
                turns = [tuple(float(ns) for ns in line.split()) for line in process.output().splitlines()]
            added = [api - (plain + again) / 2 for plain, api, again in turns]
            low, high = interval(added)
            yield Figure(f"{name}, {state}", f"{median(added):+.1f} ns a call [{low:+.1f}, {high:+.1f}]",
                         f"at most {limit} ns", at_most(median(added), limit) if high - low <= INTERVAL_NS
                         else NOT_RESOLVED, data={"added_ns": summary(added)})


# ---- the pause of a running thread ----

PAUSE_LIMIT_US, STACK_KB = 30, 32
PAUSE_MAY_LOSE = 0.05  # of the time of a thread alone on its CPU; more, and others were there


def spin(options, stalls, library=None, interval_ms=0):
    """(gaps in us without a signal, gaps with one, seconds spun, captures by signal that the agent tells of). With an
    interval, the signals are the program's own and do nothing."""
    with place() as folder:
        environment = machine.environment(library, folder / "records", LOOPDOG_THRESHOLD="20ms", LOOPDOG_INTERVAL="3ms")
        with open(folder / "spun", "wb") as spun:
            argv = [options.program("pause"), str(STACK_KB), str(stalls), "300"]
            done = subprocess.run(argv + ([str(interval_ms)] if interval_ms else []), env=environment,
                                  stdout=subprocess.PIPE, stderr=spun, timeout=300, check=False)
        if done.returncode:
            raise Broken(f"pause ended with {done.returncode}: {(folder / 'spun').read_text()}")
        gaps = [line.split() for line in done.stdout.decode().splitlines()]
        told = [line["captures_signal"] for line in machine.read_records(folder / "records") if line["type"] == "exit"]
        return ([int(ns) / 1000 for ns, handled in gaps if handled == "0"],
                [int(ns) / 1000 for ns, handled in gaps if handled == "1"],
                int((folder / "spun").read_text()) / 1e9, told[0] if told else 0)


def share_lost(plain, seconds):
    """Of the time of a thread that spins, from its gaps without the agent."""
    return sum(plain) / (seconds * 1e6)


def run_pause(options):
    stalls = 4 if options.quick else 15
    say(f"pauses of a running thread, {stalls} stalls of 300 ms")
    plain, empty, plain_s, _ = spin(options, stalls, interval_ms=3)
    others, captured, _, told = spin(options, stalls, library=options.library)
    if not empty:
        raise Broken("the program saw none of its own signals")
    if not captured or not 0.9 <= len(captured) / max(told, 1) <= 1.1:
        raise Broken(f"the thread saw {len(captured)} captures, the agent tells of {told}")
    lost = share_lost(plain, plain_s)
    verdict = at_most(median(captured), PAUSE_LIMIT_US) if lost <= PAUSE_MAY_LOSE else NOT_RESOLVED
    text = (f"median {median(captured):.1f}, p90 {percentile(captured, 0.9):.1f}, "
            f"p99 {percentile(captured, 0.99):.1f}, max {max(captured):.1f} us")
    return [Figure(f"pause of a running thread, {STACK_KB} KB of stack", text, f"median at most {PAUSE_LIMIT_US} us",
                   verdict,
                   [f"{len(captured)} captures; a signal whose handler does nothing: {spread(empty, 'us', 1)}; other "
                    f"gaps without the agent: {len(plain) / plain_s:.0f} a second, {spread(plain or [0], 'us', 1)}, "
                    f"{lost * 100:.1f} % of the time"],
                   {"captured_us": summary(captured), "empty_us": summary(empty), "other_us": summary(others),
                    "plain_us": summary(plain)})]


# ---- Python frames ----

PYTHON_LIBRARY, PYTHON_FRAMES, PYTHON_LIMIT_US = "libpython3.11.so.1.0", 50, 100
PYTHON_WAYS = {"plain": "called directly", "c": "called through C"}


def run_python_way(options, way, captures):
    """Medians in us, from python.c's lines."""
    done = subprocess.run([options.program("python"), PYTHON_LIBRARY, way, str(PYTHON_FRAMES), str(captures)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    if done.returncode == 3:
        raise machine.Unable(f"no {PYTHON_LIBRARY} here")
    lines = [[int(word) for word in line.split()] for line in done.stdout.decode().splitlines()]
    if done.returncode or len(lines) < captures / 2:
        raise Broken(f"python ended with {done.returncode} after {len(lines)} captures: {done.stderr.decode()}")
    if {line[6] for line in lines} != {PYTHON_FRAMES}:
        raise Broken(f"captures with {sorted({line[6] for line in lines})} frames, not {PYTHON_FRAMES}")
    prepare, read, merge, copy, native = ([line[i] / 1000 for line in lines] for i in range(5))
    watchdog = [sum(parts) for parts in zip(prepare, read, merge)]
    return watchdog, copy, native, median([line[5] for line in lines]) / 1024


def run_python(options):
    captures = 300 if options.quick else 2000
    say(f"pauses of a running thread by the capture of {STACK_KB} KB of native stack")
    plain, _, plain_s, _ = spin(options, 2, interval_ms=3)
    calm = share_lost(plain, plain_s) <= PAUSE_MAY_LOSE
    pause = median(spin(options, 4, library=options.library)[1])
    for way, name in PYTHON_WAYS.items():
        say(f"capture of Python frames {name}, {captures} times")
        watchdog, copy, native, stack_kb = run_python_way(options, way, captures)
        whole = [own + handler for own, handler in zip(watchdog, copy)]
        data = {"watchdog_us": summary(watchdog), "copy_us": summary(copy), "native_us": summary(native)}
        yield Figure(f"capture of {PYTHON_FRAMES} Python frames {name}",
                     f"median {median(whole):.1f} us, of it the watchdog {median(watchdog):.1f}; "
                     f"p99 {percentile(whole, 0.99):.1f}", f"median at most {PYTHON_LIMIT_US} us",
                     at_most(median(whole), PYTHON_LIMIT_US), data=data)
        yield Figure(f"copy of {PYTHON_FRAMES} Python frames in the handler, {name}",
                     f"median {median(copy):.1f} us; a native capture ({STACK_KB} KB) stops it for {pause:.1f}, "
                     f"reading this one's stack ({stack_kb:.0f} KB) takes {median(native):.1f}",
                     "no longer than a native capture", at_most(median(copy), pause) if calm else NOT_RESOLVED)


# ---- evidence ----

EVIDENCE_CASES = "sleep", "recv", "connect", "poll", "epoll", "pipe", "file", "flock", "fault", "all"
EVIDENCE_LIMIT_US = 200


def run_evidence_case(options, case, descriptors, samples):
    """Times in us of a stall's first sample and of its second, and how many descriptors there were."""
    done = subprocess.run([options.program("evidence"), case, str(descriptors), str(samples)], stdout=subprocess.PIPE,
                          timeout=300, check=False)
    lines = [[int(word) for word in line.split()] for line in done.stdout.decode().splitlines()]
    if done.returncode or len(lines) != samples:
        raise Broken(f"evidence {case} ended with {done.returncode} after {len(lines)} samples")
    return [line[0] / 1000 for line in lines], [line[1] / 1000 for line in lines], lines[0][2]


def run_evidence(options):
    samples = 50 if options.quick else 300
    cases = [(case, 1000) for case in EVIDENCE_CASES] + [("ready", 1000), ("ready", 100000)]
    for case, wanted in cases:
        say(f"evidence of {case} with {wanted} descriptors, {samples} times")
        first, second, descriptors = run_evidence_case(options, case, wanted, samples)
        yield Figure(f"evidence of a stall, {case}, {descriptors} descriptors",
                     f"first sample median {median(first):.0f} us, p99 {percentile(first, 0.99):.0f}; "
                     f"second {median(second):.0f}, p99 {percentile(second, 0.99):.0f}",
                     f"median at most {EVIDENCE_LIMIT_US} us", at_most(max(median(first), median(second)),
                                                                      EVIDENCE_LIMIT_US),
                     data={"first_us": summary(first), "second_us": summary(second)})


# ---- wake-ups ----

@contextlib.contextmanager
def running_loops(options, library, *arguments):
    """loops.c, running and ready, with the agent or without; ended in good order. Gives its process and the folder of
    its records."""
    with place() as folder:
        process = machine.Process([options.program("loops"), *arguments],
                                  machine.environment(library, folder / "records"), folder=folder,
                                  stdin=subprocess.PIPE)
        machine.wait_until(lambda: "ready" in process.output() or process.popen.poll() is not None, 60, "loops")
        process.check_running()
        yield process, folder / "records"
        process.close_input()


def count_switches(pid, seconds):
    """(voluntary, involuntary) of the watchdog meanwhile."""
    tid = machine.watchdog(pid)
    before = machine.switches(pid, tid)
    time.sleep(seconds)
    return tuple(after - then for after, then in zip(machine.switches(pid, tid), before))


def judge_busy(options, name, seconds, arguments):
    allowed = seconds * 1000 / THRESHOLD_MS * 2
    say(f"wake-ups, {name}")
    with running_loops(options, options.library, *arguments) as (process, _):
        time.sleep(0.5)  # the agent's clock is calibrated meanwhile
        voluntary, involuntary = count_switches(process.pid, seconds)
    return Figure(f"wake-ups of the watchdog, {name}",
                  f"{voluntary} in {seconds} s, {voluntary / allowed * 2:.2f} a threshold", "at most 2 a threshold",
                  at_most(voluntary, allowed + 1),
                  [f"{involuntary} times it was taken off its CPU by another"] if involuntary else [],
                  {"voluntary": voluntary, "involuntary": involuntary})


def run_wakeups(options):
    seconds = 5
    say("wake-ups, idle")
    with running_loops(options, options.library, "-r", "0") as (process, _):
        time.sleep(1.2)  # 1 s, and the watchdog's next look
        idle = count_switches(process.pid, seconds)
    yield Figure("wake-ups of the watchdog, idle since 1 s", f"{sum(idle)} in {seconds} s", "none",
                 at_most(sum(idle), 0), data={"voluntary": idle[0], "involuntary": idle[1]})
    yield judge_busy(options, "loop of 1,000 turns a second", seconds, ["-r", "1000"])
    yield judge_busy(options, "loop that polls without sleeping", seconds, ["-z"])


# ---- memory ----

MEMORY_KB, LOOP_KB, MANY, CROWD = 3 * 1024, 4, 1000, 32
# Name and arguments of each state that a server is measured in; the crowd: as many stalls as the agent can follow.
STATES = {
    "one": ["-n", "1", "-s", "20"],
    "many": ["-n", str(MANY + 1), "-s", "20"],
    "crowd": ["-n", str(CROWD), "-s", "5", "-a"],
}


def dirty_kb(options, library, arguments):
    """Private dirty memory when all loops have turned and stalled."""
    with running_loops(options, library, *arguments) as (process, _):
        time.sleep(1)
        return machine.private_dirty_kb(process.pid)


def run_memory(options):
    times = 2 if options.quick else 5
    measured = {state: {"agent": [], "plain": []} for state in STATES}
    for number in range(times):
        say(f"memory, {number + 1} of {times}")
        for state, arguments in STATES.items():
            measured[state]["plain"].append(dirty_kb(options, None, arguments))
            measured[state]["agent"].append(dirty_kb(options, options.library, arguments))
    added_kb = {state: median(kb["agent"]) - median(kb["plain"]) for state, kb in measured.items()}
    loop_kb = (added_kb["many"] - added_kb["one"]) / MANY
    yield Figure("private dirty memory, one loop, after 20 stalls", f"{added_kb['one'] / 1024:.2f} MB", "at most 3 MB",
                 at_most(added_kb["one"], MEMORY_KB), data={"private_dirty_kb": measured})
    yield Figure(f"  {CROWD} loops that stall at the same time", f"{added_kb['crowd'] / 1024:.2f} MB", "at most 3 MB",
                 at_most(added_kb["crowd"], MEMORY_KB))
    yield Figure(f"  each further loop of {MANY:,}", f"{loop_kb:.2f} KB", "at most 4 KB", at_most(loop_kb, LOOP_KB))


# ---- a thousand loops ----

def run_loops(options):
    seconds = 5 if options.quick else 15
    say(f"{MANY:,} loops of 10 turns a second")
    with running_loops(options, options.library, "-n", str(MANY)) as (process, records):
        time.sleep(1)
        tid = machine.watchdog(process.pid)
        begin, before_ns, whole_ns = time.monotonic(), machine.cpu_ns(process.pid, tid), machine.cpu_ns(process.pid)
        time.sleep(seconds)
        passed_ns = (time.monotonic() - begin) * 1e9
        share = (machine.cpu_ns(process.pid, tid) - before_ns) / passed_ns
        whole = (machine.cpu_ns(process.pid) - whole_ns) / passed_ns
        process.close_input()
        seen = sum(line["loops"] for line in machine.read_records(records) if line["type"] == "exit")
    if seen != MANY:
        raise Broken(f"the agent saw {seen} loops of {MANY}")
    yield Figure(f"{MANY:,} loops of 10 turns a second: its watchdog's CPU", f"{share * 100:.2f} % of a core",
                 "at most 1 %", at_most(share, 0.01), [f"the whole process: {whole * 100:.1f} %"],
                 {"watchdog_share": share, "process_share": whole})
