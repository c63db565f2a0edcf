# SPDX-License-Identifier: Apache-2.0
"""harness.py - run a program under loopdog, end it cleanly, and report each case as one line

A test program makes a Suite, adds cases to it and ends by suite.main(). Each case gets a Place: a folder of its own, in
which it starts programs with the library preloaded and from which it reads their records. Output is TAP, one line a
case; what failed is followed by the reason, the record lines and the programs' own output as '#' lines. Whatever a case
started, daemons included, is ended after it: the harness is a subreaper and knows all its descendants.

With --plain nothing is preloaded and nothing is asked of the records: that shows whether the servers themselves stall
and answer as the case believes.

Context: tests; Python's standard library only
"""

import argparse
import atexit
import contextlib
import ctypes
import fnmatch
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import records

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
PORTS = range(21000, 22000)
SHOWN_LINES = 60        # record lines and lines of output shown of a failed case
SHOWN_COMPLAINTS = 20
SHOWN_WIDTH = 3000
NOISE_ATTEMPTS = 3
NOISE_THRESHOLDS = 5    # of a case with attempts: stalls up to so many thresholds can be the machine's own
EXACT_S = 0.001         # between the victim's clock and the record, in the middle of a case's stalls
NICE = 10
# What the programs themselves leave behind is not the question, nor what they do with freed memory, whose keeping would
# show as growth; and no action of a signal may be another than without.
UNCHANGED = ":handle_segv=0:handle_sigbus=0:handle_sigfpe=0"
SANITIZED = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:quarantine_size_mb=0:thread_local_quarantine_size_kb=0" +
                             UNCHANGED,
             "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1" + UNCHANGED}


class Failure(Exception):
    """The case did not hold. `noise`: all that speaks against it can come from a machine without CPU to spare."""

    def __init__(self, text, noise=False):
        super().__init__(text)
        self.noise = noise


class Skip(Exception):
    """The case can't run here; the text says why."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def need(program):
    """The path of a program that the case can't do without."""
    path = shutil.which(program, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise Skip(f"{program} is not installed")
    return path


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root: the program changes its user")


def wait_until(condition, seconds, what):
    """Ask every 5 ms; the condition's first true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise Failure(f"{what}: not within {seconds} s")


_next_port = PORTS.start + os.getpid() * 37 % len(PORTS)


def free_port():
    """A port of our range that nobody listens on; each call another."""
    global _next_port
    for _ in PORTS:
        port = _next_port
        _next_port = PORTS.start + (port + 1 - PORTS.start) % len(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failure("no free port between 21000 and 21999")


def port_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children_of(pid):
    """All living descendants of a process, by /proc; zombies are left out."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except (OSError, UnicodeDecodeError):
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry))
    found, ahead = [], [pid]
    while ahead:
        below = parents.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def threads_delay(pid):
    """Milliseconds that each thread of a process waited for a CPU: tells starvation from a false report."""
    delays = {}
    for task in pathlib.Path("/proc", str(pid), "task").glob("*/schedstat"):
        try:
            delays[int(task.parent.name)] = int(task.read_text().split()[1]) // 1000000
        except (OSError, ValueError, IndexError):
            continue
    return delays


def watchdog_files(pid):
    """How many descriptors the agent has open in a process. They stand in a table of the watchdog's own (but for a few
    that fall into the host's), which only its thread's folder lists. OSError: there is no watchdog."""
    for task in pathlib.Path("/proc", str(pid), "task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text() == "loopdog\n":
                return len(os.listdir(task / "fd"))
    raise FileNotFoundError(f"process {pid} has no thread of the name loopdog")


_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def shorten(lines, count):
    """The first and the last of many lines."""
    if len(lines) <= count:
        return lines
    return lines[:count // 2] + [f"... {len(lines) - count} more"] + lines[-(count // 2):]


class Program:
    """One started program. Its output goes to a file, unless the case asked for a pipe."""

    def __init__(self, place, name, argv, process, output_path):
        self.place, self.name, self.argv = place, name, argv
        self.process, self.output_path = process, output_path
        self.delays = {}

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def output(self):
        return self.output_path.read_text(errors="replace")

    def note_delays(self):
        for pid in [self.pid] + children_of(self.pid):
            self.delays.update(threads_delay(pid))

    def wait(self, seconds, code=0):
        """Wait for its own end. `code` is the exit code or -signal that it must have; None: any."""
        try:
            got = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.note_delays()
            raise Failure(f"{self.name} did not end within {seconds} s") from None
        check(code is None or got == code, f"{self.name} ended with {got} instead of {code}")
        return got

    def stop(self, with_signal=signal.SIGTERM, seconds=10, code=0):
        """Ask it to end. A program that doesn't, or with another code, is a failure."""
        check(self.running(), f"{self.name} ended by itself with {self.process.returncode}")
        self.note_delays()
        self.process.send_signal(with_signal)
        return self.wait(seconds, code)


@functools.lru_cache(maxsize=None)
def readable_copy(path, name=None):
    """A library or program where one that has changed its user can read it too: the clone may lie in root's own
    folder."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="watched-library-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    copy = folder / (name or pathlib.Path(path).name)
    shutil.copyfile(path, copy)
    copy.chmod(0o755)
    return str(copy)


class Place:
    """What one case works in: a folder, its programs, their records."""

    def __init__(self, suite, title, attempts=1):
        self.suite, self.title, self.attempts, self.plain = suite, title, attempts, suite.options.plain
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="watched-"))
        self.folder.chmod(0o755)
        self.records_folder = self.folder / "records"
        self.records_folder.mkdir()
        self.records_folder.chmod(0o1777)  # a program may have changed its user before its first wait
        self.programs, self.planted, self.startup_planted = [], [], []
        self.book = None
        self.notes = []

    def note(self, text):
        """A line that is shown with the case, also where it holds."""
        self.notes.append(text)

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def environment(self, threshold, extra):
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder), "LANG": "C.UTF-8", "TMPDIR": str(self.folder),
            "VICTIM_TRUTH": str(self.folder / "truth"),
        }
        if not self.plain:
            runtime = self.suite.options.runtime
            environment["LD_PRELOAD"] = f"{runtime}:{self.suite.options.library}" if runtime else (
                self.suite.options.library)
            if runtime:
                environment.update(SANITIZED)
            environment["LOOPDOG_OUTPUT"] = str(self.records_folder)
            environment["LOOPDOG_THRESHOLD"] = threshold
        environment.update({k: v for k, v in extra.items() if not (self.plain and k.startswith("LOOPDOG"))})
        return environment

    def start(self, name, argv, *, threshold="100ms", env=None, port=None, ready=None, preload=True, cwd=None,
              stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, seconds=15, user=None):
        """Start a program; return once `port` accepts connections or `ready()` is true.

        preload: True, False, or a list of libraries in which {} stands for the agent."""
        environment = self.environment(threshold, env or {})
        if isinstance(preload, str):
            agent = "" if self.plain else environment["LD_PRELOAD"].replace(":", " ")  # after a sanitizer's runtime
            environment["LD_PRELOAD"] = " ".join(preload.format(agent).split())
        if not preload or preload is not True and "{}" not in preload:
            for variable in [v for v in environment if v.startswith("LOOPDOG")]:
                del environment[variable]
        if not preload or not environment.get("LD_PRELOAD"):
            environment.pop("LD_PRELOAD", None)
        output_path = self.folder / f"{name}.output"
        with open(output_path, "ab") as output:
            process = subprocess.Popen([str(a) for a in argv], env=environment, cwd=cwd or self.folder, stdin=stdin,
                                       stdout=output, stderr=stderr, start_new_session=True, user=user,
                                       preexec_fn=_die_with_parent)
        program = Program(self, name, argv, process, output_path)
        self.programs.append(program)
        ready = ready or (port and (lambda: port_open(port)))
        if ready:
            wait_until(lambda: ready() or not program.running(), seconds, f"{name} ready")
            check(program.running(), f"{name} ended by itself with {process.poll()} before it was ready")
        return program

    def run_victim(self, name, *arguments, threshold="100ms", env=None, code=0, seconds=30):
        """Run a program of tests/victims to its end and take over its truth."""
        path = pathlib.Path(self.suite.options.victims) / name
        if not path.exists():
            raise Skip(f"{name} was not built: a library that it needs is missing")
        program = self.start(name, [path, *arguments], threshold=threshold, env=env)
        program.wait(seconds, code)
        self.read_truth()
        return program

    def read_truth(self, path=None):
        """The victim's own log, one Planted a line; those of its start-up apart."""
        path = path or self.folder / "truth"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            planted = records.Planted.from_truth(json.loads(line))
            (self.startup_planted if planted.where == "startup" else self.planted).append(planted)

    def read(self):
        """All records so far; in plain mode none."""
        self.book = records.Book.read(self.records_folder)
        return self.book

    def expect(self, *planted, clean=True, stacks=True, files=None):
        """The records hold exactly the planted stalls (all of this place's if none are given), one to one.

        clean: each process's last line must be `exit`.  stacks: count them in the share of complete stacks.
        files: how many files there must be."""
        planted = planted or self.planted
        book = self.read()
        if self.plain:
            return book
        for program in self.programs:
            check("loopdog" not in program.output(), f"{program.name}: the agent wrote to its output")
        self.judge(book, *planted, clean=clean, stacks=stacks, files=files)
        return book

    def judge(self, book, *planted, clean=True, stacks=True, files=None, exactly=True):
        """As expect(), of a book that was read already, and without a look at the programs' output.

        exactly: nothing else may be reported."""
        complaints = book.complaints + book.complaints_about_ends(clean)
        if files is not None and len(book.files) != files:
            complaints.append(f"{len(book.files)} record files instead of {files}: {sorted(book.files)}")
        joined, more = records.join(book.stalls(startup=False), planted or self.planted, exactly,
                                    noise_thresholds=NOISE_THRESHOLDS if self.attempts > 1 else 0)
        complaints += more
        _, more = records.join(book.stalls(startup=True), self.startup_planted, exactly=False)
        complaints += more
        if stacks:
            self.suite.count_stacks(joined)
        if complaints:
            raise Failure("\n".join(complaints), all(isinstance(c, records.Noise) for c in complaints))

    def expect_exact(self):
        """The planted durations are met within a millisecond: what loopdog finds by whatever way agrees."""
        error_s = records.typical_error_s(self.book.stalls(startup=False), self.planted)
        if error_s > EXACT_S:
            raise Failure(f"durations are {error_s * 1000:.1f} ms off", True)

    def expect_nothing(self, *, files=None, clean=True):
        """No stall was reported. files=0: there was no loop, so there must be no file either."""
        check(not self.planted, "this case plants something")
        return self.expect(files=files, clean=clean)

    def describe(self):
        """What a failed case shows."""
        lines = []
        for path in sorted(self.records_folder.iterdir()):
            text = path.read_text(errors="replace").splitlines()
            lines.append(f"--- {path.name}: {len(text)} lines")
            lines += shorten(text, SHOWN_LINES)
        for planted in self.startup_planted + self.planted:
            lines.append(f"--- {planted}")
        for program in self.programs:
            state = "running" if program.running() else f"ended with {program.process.returncode}"
            lines.append(f"--- output of {program.name} ({state}, pid {program.pid})")
            lines += program.output().splitlines()[-SHOWN_LINES:]
            waited = {tid: ms for tid, ms in program.delays.items() if ms >= 5}
            if waited:
                lines.append(f"--- {program.name}: ms that its threads waited for a CPU: {waited}")
        return [line[:SHOWN_WIDTH] for line in lines]

    def close(self):
        end_descendants()
        for program in self.programs:
            program.process.wait()
            for stream in (program.process.stdout, program.process.stderr, program.process.stdin):
                if stream:
                    stream.close()
        if self.suite.options.keep:
            print(f"# kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def raise_priority():
    """Other work on the machine must not starve the watched programs: that is no stall of theirs. Load generators are
    started lower again. What it can't be, it is said to be."""
    try:
        os.nice(-NICE)
    except OSError:
        print("# at ordinary priority: other work on this machine may show as stalls")


def end_descendants():
    """Kill whatever is left of what this process started, by pid, and reap it."""
    for _ in range(100):
        left = children_of(os.getpid())
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not left:
            return
        time.sleep(0.02)


class Suite:
    """The cases of one test program."""

    def __init__(self, name, attempts=1):
        self.name, self.attempts, self.cases = name, attempts, []
        self.unsanitized = {}  # cases that a sanitizer's runtime itself changes: title and reason
        self.tally = {"planted": 0, "complete": 0, "without": []}
        parser = argparse.ArgumentParser(description=f"system tests of loopdog: {name}")
        parser.add_argument("--library", default=BUILD / "src" / "libloopdog.so", help="libloopdog.so")
        parser.add_argument("--runtime", help="of the sanitizer that the library was built with, to be preloaded first")
        parser.add_argument("--victims", default=BUILD / "tests" / "victims", help="folder of the victims")
        parser.add_argument("--loopdog", default=BUILD / "tools" / "loopdog", help="the command")
        parser.add_argument("--tally", help="folder for stack counts")
        parser.add_argument("--seconds", type=float, default=3, help="how long each case of the quiet group runs")
        parser.add_argument("--long", action="store_true", help="what takes too long for every run, too")
        parser.add_argument("--runs", type=int, default=3, help="stalls of each case of causes_*")
        parser.add_argument("--only", default="*", help="cases whose title matches this pattern")
        parser.add_argument("--plain", action="store_true", help="without the agent: only the servers are tried")
        parser.add_argument("--keep", action="store_true", help="keep the folders")
        parser.add_argument("--list", action="store_true", help="print the titles of the cases")
        self.options = parser.parse_args()

    def case(self, title, attempts=None):
        """Decorator: add a function of one Place as a case. See main() for `attempts`; None: the suite's."""
        def add(function):
            self.add(title, function, attempts or self.attempts)
            return function
        return add

    def add(self, title, function, attempts=1):
        def changed(place):
            raise Skip(self.unsanitized[title])
        changes = self.options.runtime and title in self.unsanitized
        self.cases.append((title, changed if changes else function, attempts))

    def count_stacks(self, joined):
        for planted, stall in joined:
            if not planted.stack:
                continue
            self.tally["planted"] += 1
            if stall is not None and records.has_complete_stack(stall):
                self.tally["complete"] += 1
            else:
                self.tally["without"].append(f"{self.name}: {planted}")

    def main(self):
        """Run all cases; the exit code. A case whose complaints are all Noise is tried again: it must hold wholly in
        one of its attempts, and each failed one is shown. Any other complaint is final at once."""
        options = self.options
        pattern = options.only if "*" in options.only else f"*{options.only}*"
        chosen = [c for c in self.cases if fnmatch.fnmatch(c[0], pattern)]
        if options.list:
            print("\n".join(c[0] for c in chosen))
            return 0
        if not options.plain and not os.path.exists(options.library):
            print(f"Bail out! no library at {options.library}: build it, or give --library")
            return 1
        options.library = readable_copy(pathlib.Path(options.library).resolve(), "libloopdog.so")
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        atexit.register(end_descendants)
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"{self.name}: ended by SIGTERM"))
        print(f"1..{len(chosen)}", flush=True)
        raise_priority()
        failed = sum(not self.run_case(index, *case) for index, case in enumerate(chosen, 1))
        self.write_tally()
        return 1 if failed else 0

    def run_case(self, index, title, function, attempts):
        began = time.monotonic()
        for attempt in range(1, max(attempts, NOISE_ATTEMPTS) + 1):
            again = f", attempt {attempt}" if attempt > 1 else ""
            place = Place(self, title, attempts)
            before = json.dumps(self.tally)
            try:
                function(place)
                seconds = time.monotonic() - began
                print(f"ok {index} - {title} ({seconds:.1f} s{again})")
                for note in place.notes:
                    print(f"# {note}")
                return True
            except Skip as reason:
                print(f"ok {index} - {title} # SKIP {reason}")
                return True
            except Exception as problem:
                expected = isinstance(problem, Failure)
                text = str(problem) if expected else traceback.format_exc()
                allowed = max(attempts, NOISE_ATTEMPTS) if expected and problem.noise else 1
                last = attempt >= allowed or not expected
                if last:
                    print(f"not ok {index} - {title}")
                else:
                    print(f"# {title}: attempt {attempt} of {allowed} failed, once more:")
                    self.tally = json.loads(before)
                for line in shorten(text.splitlines(), SHOWN_COMPLAINTS) + place.describe():
                    print(f"# {line}")
                if last:
                    return False
            finally:
                place.close()
                sys.stdout.flush()
        return False

    def write_tally(self):
        """For test_share.py, which adds up all programs of a run."""
        tally = self.tally
        if tally["planted"]:
            print(f"# complete stacks: {tally['complete']} of {tally['planted']} planted stalls")
        for line in tally["without"]:
            print(f"# without a complete stack: {line}")
        if self.options.tally and not self.options.plain and self.options.only == "*":
            folder = pathlib.Path(self.options.tally)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{self.name}.json").write_text(json.dumps(tally))
