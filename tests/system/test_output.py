#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_output.py - wherever records go and whatever becomes of that place, the server does not notice

Disks that are full or read-only, files that are rotated under us, names that somebody else has planted, a stderr that
nobody reads. In each case the victim must do what it does without the agent, in the same time and with the same exit
code, and loopdog says at most one line. tests/unit/test_sink.c and test_sink_stderr.c ask the same of single writes.

Context: system test
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import sys
import termios
import time

import clients
import harness
import records
import servers

suite = harness.Suite("output")
VICTIM = pathlib.Path(suite.options.victims) / "planted"
STALL_MS, THRESHOLD_MS, STALLS = 120, 60, 4
ARGUMENTS = ["-t", THRESHOLD_MS, "-n", STALLS, "-g", 10, STALL_MS / THRESHOLD_MS]
SECONDS = 30
NOBODY = 65534


def start(place, output, argv=None, name="planted", **how):
    return place.start(name, argv or [VICTIM, *ARGUMENTS], threshold=f"{THRESHOLD_MS}ms",
                       env={"LOOPDOG_OUTPUT": str(output)}, **how)


def read_truth(place):
    place.read_truth()
    for truth in place.planted:
        truth.frames, truth.cause, truth.culprit, truth.stack = (), "", "", False  # test_planted.py asks for these


def end_well(place, *programs, stalls=STALLS):
    """They did all they had to, and no callback took longer than it should: nobody made them wait."""
    for program in programs:
        program.wait(SECONDS)
    read_truth(place)
    harness.check(len(place.planted) == stalls * len(programs), f"{len(place.planted)} stalls planted")
    late = [str(truth) for truth in place.planted if truth.end - truth.begin > (STALL_MS + 1000) / 1000]
    harness.check(not late, f"it had to wait: {late}")


def said(text):
    return [line for line in text.splitlines() if "loopdog" in line]


def says_once(place, program, words):
    if place.plain:
        return
    lines = said(program.output())
    harness.check(len(lines) == 1 and words in lines[0], f"not one line with {words!r}: {lines}")


def finds_all(place, book, planted=None):
    """Each planted stall is on file once. The machine's noise may be there, too."""
    _, complaints = records.join(book.stalls(startup=False), planted or place.planted, exactly=False)
    harness.check(not complaints, "\n".join(complaints))


# ---- disks ----


def on_disk(place, options, before=":", program=None):
    """A shell command that mounts a small disk in a mount namespace of its own, runs the victim, and takes its records
    out. The folder to write to is the same for those within; harness.wait_until() looks through disk_of()."""
    harness.need_root()
    disk = place.folder / "disk"
    disk.mkdir()
    words = " ".join(str(word) for word in program or [VICTIM, *ARGUMENTS])
    script = (f"mount -t tmpfs -o mode=755,{options} watched {disk} && {{ {before}; }} || exit 77\n"
              f"{words}; code=$?; unset LD_PRELOAD\ncp {disk}/loopdog.* {place.folder} 2>/dev/null; exit $code")
    return [harness.need("unshare"), "-m", "/bin/sh", "-c", script], disk


def has_mounts(place):
    probe = place.start("probe", [harness.need("unshare"), "-m", "mount", "-t", "tmpfs", "none", place.records_folder],
                        preload=False)
    if probe.wait(SECONDS, code=None) != 0:
        raise harness.Skip(f"no disk can be mounted here: {probe.output().strip()}")


def victim_pid(program):
    """The victim below the shell, once it is there."""
    def find():
        for pid in harness.children_of(program.pid):
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == VICTIM.name:
                    return pid
        return None
    return harness.wait_until(find, SECONDS, "the victim")


def whole_lines(path):
    """(records, lines that are none): a full disk cuts a line."""
    found, torn = [], []
    for line in path.read_text(errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            torn.append(line)
    return found, torn


@suite.case("disk: full from the beginning, and with room again in the middle")
def disk_full(place):
    harness.need_root()
    has_mounts(place)
    argv, disk = on_disk(place, "size=600k", before=f"head -c 596K /dev/zero >{place.folder}/disk/filler",
                         program=[VICTIM, "-t", THRESHOLD_MS, "-n", 4 * STALLS, "-g", 10, STALL_MS / THRESHOLD_MS])
    program = start(place, disk, argv)
    pid = victim_pid(program)
    if not place.plain:
        harness.wait_until(lambda: "could not be written" in program.output(), SECONDS, "a full disk")
    (pathlib.Path(f"/proc/{pid}/root") / str(disk).lstrip("/") / "filler").unlink()
    freed = time.time()
    end_well(place, program, stalls=4 * STALLS)
    says_once(place, program, "could not be written: the disk is full (error 28)")
    if place.plain:
        return
    found, torn = whole_lines(next(place.folder.glob("loopdog.planted.*")))
    end = found[-1]
    harness.check(all(line.startswith('{"v":1'[:len(line)]) for line in torn) and len(torn) <= 4,
                  f"lines that are none, and not cut ones either: {torn}")
    harness.check(end["type"] == "exit" and end["records_dropped"] > 0, f"the last line is {end}")
    harness.check(end["stalls"] >= 4 * STALLS, f"{end['stalls']} stalls counted")
    stalls = [line for line in found if line["type"] == "stall"]
    after = [truth for truth in place.planted if truth.begin > freed + 0.1]
    _, complaints = records.join(stalls, after, exactly=False)
    harness.check(after and not complaints, f"after there was room again: {len(after)} planted, {complaints}")


@suite.case("disk: read-only")
def disk_read_only(place):
    harness.need_root()
    has_mounts(place)
    argv, disk = on_disk(place, "size=64k", before=f"mount -o remount,ro {place.folder}/disk")
    program = start(place, disk, argv)
    end_well(place, program)
    says_once(place, program, ": the file system is read-only (error 30)")


@suite.case("disk: a device that is always full, a folder that is none, one that may not be entered")
def no_place(place):
    place.write("plain", "")
    closed = place.folder / "closed"
    closed.mkdir(mode=0o700)
    place.write("truth", "", 0o666)
    rows = [("/dev/full", ": the disk is full (error 28)", None),
            (place.folder / "missing" / "x", ": its folder does not exist (error 2)", None),
            (place.folder / "plain" / "x", ": a part of its path is no folder (error 20)", None)]
    if os.geteuid() == 0:
        rows.append((closed / "x", ": its user may not write there (error 13)", NOBODY))
    programs = [(start(place, output, name=words, user=user), words) for output, words, user in rows]
    end_well(place, *(program for program, _ in programs))
    for program, words in programs:
        says_once(place, program, words)


# ---- rotation ----


@suite.case("rotation: a file that is renamed, and one that is copied and emptied")
def rotation(place):
    output = place.records_folder / "all.jsonl"
    server, port = servers.redis(place, env={"LOOPDOG_OUTPUT": str(output)})
    with clients.Redis(port) as client:
        for turn in range(3):
            with clients.Timed() as timed:
                client.call("DEBUG", "SLEEP", 0.2)
            place.planted.append(timed.planted(200, cause="blocked", tolerance=0.3))
            if place.plain:
                continue
            harness.wait_until(lambda: output.exists() and output.read_text().count('"type":"stall",') == 1, 10,
                               "the stall's record")
            rotated = place.records_folder / f"all.jsonl.{turn + 1}"
            if turn == 0:
                output.rename(rotated)
            elif turn == 1:
                rotated.write_bytes(output.read_bytes())
                rotated.chmod(0o600)
                os.truncate(output, 0)
    server.stop()
    if place.plain:
        return
    paths = sorted(place.records_folder.iterdir())
    harness.check(len(paths) == 3, f"files {paths}")
    found = []
    for path in paths:
        lines, torn = whole_lines(path)
        harness.check(not torn and lines[0]["type"] == "process", f"{path.name} begins with {lines[0]['type']}, {torn}")
        found += lines
    stalls = [line for line in found if line["type"] == "stall" and line.get("phase") != "startup"]
    _, complaints = records.join(stalls, place.planted, exactly=False)
    harness.check(not complaints, "\n".join(complaints))
    ends = [line for line in found if line["type"] == "exit"]
    harness.check(len(ends) == 1 and ends[0]["reopened"] == 2, f"exit lines {ends}")


# ---- what somebody else has put there ----

def planted_by(place, make, name="loopdog.planted.$$.jsonl"):
    """A shell that plants something under the name that the victim's file will have, and becomes the victim."""
    words = " ".join(str(word) for word in [VICTIM, *ARGUMENTS])
    return ["/bin/sh", "-c", f"n={place.records_folder}/{name}; {make} && exec {words}"]


@suite.case("planted: a symbolic link in the output folder is not followed")
def symlinks(place):
    place.write("target", "theirs\n")
    programs = [start(place, place.records_folder, planted_by(place, f"ln -s {place.folder}/{target} $n"), name=target)
                for target in ("target", "made")]
    end_well(place, *programs)
    for program in programs:
        says_once(place, program, ": a symbolic link is there (error 40)")
    harness.check((place.folder / "target").read_text() == "theirs\n", "the link's target was written to")
    harness.check(not (place.folder / "made").exists(), "the link's target was made")


@suite.case("planted: a FIFO that nobody reads, and one whose reader does not read")
def fifos(place):
    paths = [place.folder / name for name in ("alone", "full")]  # a failed case reads all of the records folder
    for path in paths:
        os.mkfifo(path, 0o600)
    reader = os.open(paths[1], os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        programs = [start(place, path, name=path.name) for path in paths]
        end_well(place, *programs)
        says_once(place, programs[0], ": nobody reads that FIFO (error 6)")
        says_once(place, programs[1], "could not be written: its reader does not read (error 11)")
        text = os.read(reader, 1 << 20).decode(errors="replace")
        harness.check(place.plain or text.startswith('{"v":1,"type":"process"'), f"the FIFO has {text[:200]!r}")
    finally:
        os.close(reader)


@suite.case("planted: a file of another user's in a folder where everybody may make files")
def foreign_file(place):
    harness.need_root()
    program = start(place, place.records_folder, planted_by(place, f"touch $n && chown {NOBODY} $n && chmod 666 $n"))
    end_well(place, program)
    says_once(place, program, ": another user's file is there (error 17)")
    harness.check(all(path.stat().st_size == 0 for path in place.records_folder.iterdir()), "it was written to")


# ---- names ----


@suite.case("names: percent signs, newlines, control characters and bytes that are no text")
def names(place):
    output = os.fsencode(place.records_folder) + b"/100%% a\nb\x1b[31m\xff"
    bad = os.fsencode(place.folder) + b"/missing/\n\x1b[31m\xff%%"
    programs = [start(place, os.fsdecode(path), name=name) for name, path in (("good", output), ("bad", bad))]
    end_well(place, *programs)
    if place.plain:
        return
    harness.check(not said(programs[0].output()), f"it says {said(programs[0].output())}")
    names_found = os.listdir(os.fsencode(place.records_folder))
    harness.check(names_found == [b"100% a\nb\x1b[31m\xff"], f"files {names_found}")
    finds_all(place, place.read(), [truth for truth in place.planted if truth.pid == programs[0].pid])
    text = programs[1].output_path.read_bytes()
    clean = text.count(b"\n") == 1 and min(text.rstrip(b"\n")) >= ord(" ") and text.decode()
    harness.check(clean and "its folder does not exist (error 2)" in clean, f"not one clean line: {text!r}")


@suite.case("names: two processes with one path")
def one_path(place):
    output = place.records_folder / "all.jsonl"
    programs = [start(place, output, name=f"planted{number}") for number in range(2)]
    end_well(place, *programs)
    if place.plain:
        return
    book = place.read()
    harness.check(not book.complaints, "\n".join(book.complaints + book.complaints_about_ends(True)))
    harness.check(len(book.files) == 1 and len(book.runs) == 2, f"{len(book.files)} files, {len(book.runs)} runs")
    finds_all(place, book)


# ---- stderr ----

HEAD = re.compile(r"^loopdog: stall \d+ ms in planted_\w+\(\)", re.M)


def text_on(place, stderr, argv=None, name="planted"):
    return start(place, "", argv, name, stderr=stderr)


def drain(fd):
    os.set_blocking(fd, False)
    text = b""
    with contextlib.suppress(BlockingIOError, OSError):
        while piece := os.read(fd, 1 << 16):
            text += piece
    return text


def fill(writer):
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)


def stalls_so_far(place):
    path = place.folder / "truth"
    return len(path.read_text().splitlines()) if path.exists() else 0


@suite.case("stderr: a pipe that is full because its reader has stopped, until it goes on")
def full_pipe(place):
    reader, writer = os.pipe()
    fill(writer)
    program = text_on(place, writer)
    harness.wait_until(lambda: stalls_so_far(place) >= STALLS // 2, SECONDS, "stalls")
    harness.check(set(drain(reader)) == {ord("x")}, "something was pressed into a full pipe")
    end_well(place, program)
    harness.check(os.get_blocking(writer), "the host's pipe was made non-blocking")
    os.close(writer)
    text = drain(reader).decode()
    os.close(reader)
    harness.check(place.plain or HEAD.search(text), f"the watchdog told nothing after the reader went on: {text!r}")
    harness.check("#1]" not in text, f"the watchdog waited for the reader to tell the first stall: {text!r}")


@suite.case("stderr: pipes with and without a reader")
def pipes(place):
    (reader, writer), (closed_reader, broken) = os.pipe(), os.pipe()
    os.close(closed_reader)
    end_well(place, text_on(place, broken, name="broken"), text_on(place, writer))
    os.close(broken)
    os.close(writer)
    text = drain(reader).decode()
    os.close(reader)
    if not place.plain:
        harness.check(len(HEAD.findall(text)) >= STALLS, f"not {STALLS} stalls in:\n{text}")
        harness.check(not place.read().files, "there is a file")


STALLS_ONCE = """
import os
print(os.open("own", os.O_CREAT | os.O_RDWR))
import asyncio, time
async def main():
    for _ in range(4):
        await asyncio.sleep(0.02)
    time.sleep(0.2)
    await asyncio.sleep(0.02)
asyncio.run(main())
"""


@suite.case("stderr: closed, and its number used by the host's own file")
def closed(place):
    script = place.write("stalls_once.py", STALLS_ONCE)
    program = text_on(place, None, ["/bin/sh", "-c", f"exec {VICTIM} {' '.join(map(str, ARGUMENTS))} 2>&-"])
    own = text_on(place, None, ["/bin/sh", "-c", f"exec {servers.PYTHON} {script} 2>&-"], name="own")
    end_well(place, program)
    own.wait(SECONDS)
    harness.check(own.output() == "2\n", f"its file's number is {own.output()!r}")
    harness.check((place.folder / "own").read_text() == "", "something stands in the host's own file")


@contextlib.contextmanager
def terminal():
    master, slave = pty.openpty()
    try:
        yield master, slave
    finally:
        os.close(master)
        os.close(slave)


# A session of its own on this terminal, with the victim as a job in the background.
IN_BACKGROUND = """
import fcntl, subprocess, sys, termios
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
sys.exit(subprocess.call(sys.argv[1:], process_group=0))
"""


@suite.case("stderr: a terminal on which output is stopped (Ctrl-S), or that belongs to another job (TOSTOP)")
def terminals(place):
    with terminal() as (master, slave), terminal() as (other_master, other_slave):
        termios.tcflow(slave, termios.TCOOFF)
        attributes = termios.tcgetattr(other_slave)
        attributes[3] |= termios.TOSTOP
        termios.tcsetattr(other_slave, termios.TCSANOW, attributes)
        job = [servers.PYTHON, "-c", IN_BACKGROUND, VICTIM, *ARGUMENTS]
        end_well(place, text_on(place, slave), text_on(place, other_slave, job, name="job"))
        termios.tcflow(slave, termios.TCOON)
        drain(master)
        text = drain(other_master).decode()
        harness.check(place.plain or HEAD.search(text), f"no stall on the terminal:\n{text}")


# ---- what the host sees of itself ----

LOOK = """
import asyncio, json, os, resource, signal, subprocess, sys, time

def files_of(pid):
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}").rstrip("]0123456789")
        except OSError:
            pass  # the listing's own
    return found

def status_of(pid, *names):
    lines = dict(line.split(":\\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\\t" in line)
    return {name: lines[name] for name in names}

def run(*argv):
    return subprocess.run(argv, close_fds=False, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()

def threads_around_fork():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"%d" % len(os.listdir("/proc/self/task")))
        os._exit(0)
    here = len(os.listdir("/proc/self/task"))
    os.waitpid(child, 0)
    there = int(os.read(reader, 10))
    os.close(reader), os.close(writer)
    return here, there

def look():
    return {
        "files": files_of("self"),
        "mask": status_of("self", "SigBlk", "SigIgn", "ShdPnd", "SigPnd", "NoNewPrivs", "Groups", "Umask"),
        "child's environment": sorted(run("env")),
        "child's files": run("ls", "-1", "/proc/self/fd"),
        "child's mask": run("grep", "-E", "^(SigBlk|SigIgn|SigPnd|Shd|NoNew|Seccomp)", "/proc/self/status"),
        "own environment": sorted(f"{k}={v}" for k, v in os.environ.items()),
        "threads after a fork": threads_around_fork(),
        "limits": [resource.getrlimit(number) for number in range(16)],
        "scheduling": (os.sched_getscheduler(0), os.getpriority(0, 0), sorted(os.sched_getaffinity(0)),
                       open("/proc/self/timerslack_ns").read()),
        "timers": (signal.getitimer(signal.ITIMER_REAL), signal.getitimer(signal.ITIMER_PROF)),
        "folder": os.getcwd(), "root": os.readlink("/proc/self/root"), "session": os.getsid(0) == os.getpid(),
        "oom": open("/proc/self/oom_score_adj").read(), "locale": sys.stdout.encoding,
        "handlers": [number for number in range(1, 32) if signal.getsignal(number) not in (signal.SIG_DFL, None)],
    }

async def main():
    for _ in range(5):
        await asyncio.sleep(0.02)
    looks = [look()]
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        time.sleep(0.01)
    looks.append(look())                # in the middle of a stall that is being sampled
    await asyncio.sleep(0.05)
    looks.append(look())
    print(json.dumps(looks))

asyncio.run(main(), debug=False)
"""
OURS = ("LD_PRELOAD=", "LOOPDOG_")


def looks(place, preload, **env):
    (place.folder / "look.output").unlink(missing_ok=True)
    errors = place.folder / "look.errors"
    with open(errors, "wb") as stderr:
        program = place.start("look", [servers.PYTHON, "-X", "dev", "-W", "error", "-c", LOOK], preload=preload,
                              env=env, threshold="50ms", stderr=stderr)
    program.wait(SECONDS, code=None)
    harness.check(program.process.returncode == 0, f"preload {preload}: {errors.read_text()}")
    return json.loads(program.output()), errors.read_text()


def without_us(environment):
    """A sanitizer's runtime, which was preloaded beside us, stays."""
    runtime = suite.options.runtime
    return [v for v in environment if OURS[0] not in v] + ([OURS[0] + runtime] if runtime else [])


def same(without, watched, follow=True):
    complaints = []
    for when, plain, seen in zip(("before", "within", "after"), without, watched):
        for what in plain:
            if what == "child's environment":
                mine = seen["own environment"] if follow else without_us(seen["own environment"])
                left, right = sorted(set(mine)), [v for v in seen[what] if not v.startswith("_=")]
            elif what == "own environment":
                left, right = plain[what], [v for v in seen[what] if not v.startswith(OURS)]
            else:
                left, right = plain[what], seen[what]
            if left != right:
                complaints.append(f"{when} the stall, {what}: {right} instead of {left}")
    return complaints


@suite.case("seen: descriptors, threads at fork, environment, limits and warnings of CPython are as without")
def seen(place):
    if place.plain:
        return
    without, said_without = looks(place, False)
    watched, said_with = looks(place, True)
    complaints = same(without, watched)
    harness.check(said_with == said_without, f"on stderr {said_with!r} instead of {said_without!r}")
    harness.check(not complaints, "\n".join(complaints))
    alone, _ = looks(place, True, LOOPDOG_FOLLOW="0")
    complaints = same(without, alone, follow=False)
    harness.check(not complaints, "LOOPDOG_FOLLOW=0: " + "\n".join(complaints))
    book = place.read()
    long = {stall["pid"] for stall in book.stalls(startup=False) if stall["duration_ns"] > 250e6}
    harness.check(len(long) == 2, f"not watched: {[records.describe(s) for s in book.all('stall')]}")


if __name__ == "__main__":
    sys.exit(suite.main())
