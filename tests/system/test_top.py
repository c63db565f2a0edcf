#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_top.py - `loopdog top`: a real terminal beside a real server with real stalls, and frames for a log

Context: system test
"""

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading

import clients
import harness
import servers
from harness import check, wait_until
from terminal import PATIENCE_S, Terminal

suite = harness.Suite("top")
QUICK = ("-d", "0.2")
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1}


def top(place, *argv, **how):
    """The real command in a real terminal."""
    return Terminal(place, suite.options.loopdog, "top", *QUICK, *argv, **how)


def run(*argv, **environment):
    """Without a terminal, to its end: (code, stdout, stderr). Where it looks for processes itself, it reads what others
    on this machine record, too, however much that is."""
    done = subprocess.run([suite.options.loopdog, "top", *map(str, argv)], capture_output=True, text=True,
                          timeout=5 * PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment})
    return done.returncode, done.stdout, done.stderr


def seconds_in(words):
    """"1.72 s" as a number."""
    number, unit = words.split()
    return float(number) * UNITS[unit]


def row_with(text, *words):
    """The first line of a pane with all of these."""
    return next((line for line in text.splitlines() if all(word in line for word in words)), None)


def stalled_for(text):
    """How long the stall in progress has been, by its row; None: there is none."""
    row = row_with(text, " NOW ")
    match = row and re.match(r"\s*(\S+ (?:ms|s))\s+NOW", row)
    return seconds_in(match[1]) if match else None


class Stalling:
    """redis, asleep for so long in DEBUG SLEEP while this is entered."""

    def __init__(self, port, seconds):
        self.thread = threading.Thread(target=self.stall, args=(port, seconds), daemon=True)

    @staticmethod
    def stall(port, seconds):
        try:
            with clients.Redis(port) as redis:
                redis.call("DEBUG", "SLEEP", seconds)
        except (OSError, harness.Failure):
            pass    # the server was killed

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.thread.join()


def check_restored(terminal):
    terminal.until(lambda _: not terminal.flag("alternate_on") and terminal.flag("cursor_flag"),
                   "the terminal is as it was before")


@suite.case("a stall in progress grows on the screen, is opened, and ends there")
def in_progress(place):
    server, port = servers.redis(place)
    terminal = top(place, place.records_folder)
    terminal.until_shows("loopdog top", "1 process, 1 loop", "no stalls", f"redis-server {server.pid}, epoll:")
    with Stalling(port, "3"):
        text = terminal.until_shows("1 STALLED NOW", "STALL ", "debugCommand()")
        check(row_with(text, "STALL ", f"redis-server {server.pid}"), f"the loop does not stall:\n{text}")
        check(row_with(text, " NOW ", "in clock_nanosleep", "debugCommand()"), f"no culprit:\n{text}")
        first = stalled_for(text)
        later = terminal.until(lambda text: (stalled_for(text) or 0) > first + 0.3 and stalled_for(text), "it grows")
        check(0.1 <= first < later, f"{first} and then {later}")
        terminal.keys("Enter")
        terminal.until_shows("still stalled after", "and not ended", "debugCommand")
    terminal.until_shows("loopdog: stall 3", "debugCommand")
    terminal.keys("q")
    text = terminal.until_shows("1 stall, 3", "q quit")
    check(stalled_for(text) is None, f"it is over:\n{text}")
    check(re.match(r"\s+3\S* s\s+1 ", row_with(text, "debugCommand()")), f"it does not count once:\n{text}")
    terminal.keys("q")
    terminal.until_shows("ended with 0")
    check_restored(terminal)
    server.stop()


def record(kind, at, **fields):
    return {"v": 1, "type": kind, "time": at, "host": "web1", "pid": 42, "run": "b1946ac92492d234", "program": "shop",
            **fields}


def moment(seconds_ago=0.0):
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)
    return then.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stall(number, function, duration_ms, ago=60.0, **fields):
    frame = {"lang": "python", "function": function, "file": "/srv/shop/app.py", "line": 8}
    return record(fields.pop("kind", "stall"), moment(ago), **{
        "id": number, "begin": moment(ago + duration_ms / 1000), "tid": 7, "thread": "main", "loop": "epoll:5",
        "threshold_ns": 100000000, "duration_ns": duration_ms * 1000000, "cause": "cpu", "culprit": frame,
        "stacks": [{"count": 1, "complete": True, "frames": [frame]}], **fields})


def loop(at, iterations, busy_ms, idle_ms, **fields):
    return record("loop", at, **{
        "tid": 7, "thread": "main", "loop": "epoll:5", "iterations": iterations, "busy_ns": busy_ms * 1000000,
        "idle_ns": idle_ms * 1000000, "outside_ns": 0, "stalls": 0, "stall_ns": 0, "longest_ns": 0,
        "buckets": [{"from_ns": 1048576, "count": iterations}], **fields})


def lines(*records):
    return "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in records)


SOME = [stall(1, "rare", 900), *(stall(number, "often", 200) for number in range(2, 7)), stall(7, "little", 150)]


@suite.case("keys sort, reverse, filter, pause, help, and select the row that is opened")
def keys(place):
    path = place.write("some.jsonl", lines(*SOME))

    def culprits(text):
        return re.findall(r"(\w+)\(\) at app\.py:8", text)
    terminal = top(place, path)
    check(culprits(terminal.until_shows("7 stalls", "q quit")) == ["often", "rare", "little"], "by time lost")
    terminal.keys("s", "s")
    terminal.until(lambda text: culprits(text) == ["rare", "often", "little"] and "longest" in text, "by the longest")
    terminal.keys("r")
    terminal.until(lambda text: culprits(text) == ["little", "often", "rare"], "reversed")
    terminal.keys("Down", "Enter")
    terminal.until_shows("stall b1946ac92492d234-", "in often()", "/srv/shop/app.py:8")
    terminal.keys("Escape")
    terminal.until_shows("q quit")
    terminal.keys("/", "R", "A")
    terminal.until(lambda text: culprits(text) == ["rare"] and "filter: RA" in text, "filtered as it is typed")
    terminal.keys("Enter")
    terminal.until_shows("/RA", "q quit")
    terminal.keys("Escape")
    terminal.until(lambda text: len(culprits(text)) == 3, "all again")
    terminal.keys("?")
    terminal.until_shows("Tab ", "q back", "how long an event has to wait")
    terminal.keys("q", "p")
    terminal.until_shows("PAUSED", "7 stalls")
    with open(path, "a", encoding="utf-8") as file:
        file.write(lines(stall(8, "new", 5000)))
    code, out, _ = run("-b", "-n", "1", path)
    check(code == 0 and "8 stalls" in out, "it is there to be read")
    check("new()" not in terminal.text(), "the pause does not hold")
    terminal.keys("p")
    terminal.until_shows("8 stalls", "new()")
    terminal.keys("q")
    terminal.until_shows("ended with 0")


@suite.case("the screen fits into any terminal and follows its size")
def sizes(place):
    many = [stall(number, f"function{number}", 200 + number) for number in range(1, 100)]
    path = place.write("many.jsonl", lines(loop(moment(), 100, 10, 90), *many))
    terminal = top(place, path)
    for columns, rows in ((80, 24), (132, 50), (40, 10), (20, 5), (10, 3), (1, 1), (80, 24)):
        terminal.resize(columns, rows)
        if columns >= 20:
            terminal.until(lambda text, columns=columns: row_with(text, "function99"[:1 if columns < 40 else 10]) and
                           row_with(text, "q quit"), f"{columns} x {rows}")
        shown = terminal.text().rstrip("\n").split("\n")
        check(len(shown) <= rows, f"{len(shown)} lines in {columns} x {rows}")
    terminal.keys("End")
    terminal.until_shows("function1()")
    terminal.keys("q")
    terminal.until_shows("ended with 0")


@suite.case("the terminal is given back on signals, and taken again")
def signals(place):
    path = place.write("some.jsonl", lines(*SOME))
    terminal = top(place, path)

    def shows(flag):
        terminal.until(lambda _: terminal.flag("alternate_on") == flag, f"alternate_on is {flag}")
    terminal.until_shows("q quit")
    shows(True)
    terminal.keys("C-z")
    shows(False)
    terminal.type_line("fg")
    shows(True)
    terminal.until_shows("q quit", "often()")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGSEGV):
        pid = wait_until(lambda: [child for child in harness.children_of(os.getpid()) if "loopdog" == name_of(child)],
                         PATIENCE_S, "the command runs")
        os.kill(pid[0], number)
        shows(False)
        check_restored(terminal)
        terminal.keys("Enter")
        terminal.type_line("echo modes changed: $(stty -a | grep -c -w -e -icanon -e -echo -e -onlcr)")
        terminal.until_shows("modes changed: 0")
        terminal.type_line(f"clear; {terminal.command}; echo ended with $?")
        terminal.until_shows("q quit")
    terminal.keys("C-c")
    check_restored(terminal)
    terminal.type_line("echo it ended with $?")     # the shell has given up the rest of its line
    terminal.until_shows(f"ended with {128 + signal.SIGINT}")


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


@suite.case("a process that is killed in a stall is gone, and its stall grows no more")
def killed(place):
    server, port = servers.redis(place)
    terminal = top(place, server.pid)
    with Stalling(port, "60"):
        terminal.until(stalled_for, "the stall is seen")
        server.process.send_signal(signal.SIGKILL)
        server.wait(PATIENCE_S, code=-signal.SIGKILL)
        text = terminal.until_shows(" gone ", "1 never ended", "debugCommand()")
    check(stalled_for(text) is None, f"it grows on:\n{text}")
    terminal.keys("q")
    terminal.until_shows("ended with 0")


def promising(place, output):
    """A process whose environment names records, and that has no agent to write them."""
    program = place.start("promising", ["env", f"LOOPDOG_OUTPUT={output}", "sleep", "60"], preload=False)
    wait_until(lambda: name_of(program.pid) == "sleep", PATIENCE_S, "exec")
    return program


@suite.case("processes whose environment names records that never come, or can't")
def promises(place):
    program = promising(place, f"{place.folder}/")
    code, _, err = run("-b", "-n", "1", program.pid)
    check(code == 0 and f"process {program.pid} has no libloopdog.so in it: nothing will come" in err, f"{code}: {err}")
    server, _ = servers.redis(place)
    wait_until(lambda: any(place.records_folder.iterdir()), PATIENCE_S, "records")
    code, _, err = run("-b", "-n", "1", server.pid)
    check(code == 0 and "libloopdog.so" not in err, f"{code}: {err}")
    promising(place, f"{place.folder}/%p/x.jsonl")
    code, _, err = run("-b", "-n", "1")
    check(code == 0 and "placeholders" not in err, f"what others have set is not ours to correct: {code}: {err}")
    server.stop()


@suite.case("processes are followed by their id, or all of them, and what has no records says what to do")
def processes(place):
    server, _ = servers.redis(place)
    wait_until(lambda: any(place.records_folder.iterdir()), PATIENCE_S, "records")
    for argv in ([server.pid], []):
        frames = [json.loads(line) for line in run("--json", "-n", "1", *argv)[1].splitlines()]
        check(len(frames) == 1 and server.pid in [one["pid"] for one in frames[0]["processes"]], f"{argv}: {frames}")
    frame = json.loads(run("--json", "-n", "1", server.pid)[1])
    check([one["pid"] for one in frame["processes"]] == [server.pid], f"{frame}")
    bare = place.start("bare", ["sleep", "60"], preload=False)
    code, _, err = run("-b", "-n", "1", bare.pid)
    check(code == 1 and "is not under loopdog: start it by \"loopdog run -- sleep ...\"" in err, f"{code}: {err}")
    text, _ = servers.redis(place, env={"LOOPDOG_OUTPUT": ""})
    code, _, err = run("-b", "-n", "1", text.pid)
    check(code == 1 and "has written no records: it has no loop yet, or tells its" in err, f"{code}: {err}")
    code, _, err = run("-b", "-n", "1", 999999999)
    check(code == 1 and "there is no process 999999999" in err, f"{code}: {err}")
    code, _, err = run("-b", "-n", "1", place.folder / "missing")
    check(code == 1 and "No such file or directory" in err, f"{code}: {err}")
    server.stop()


class Frames:
    """`top --json` beside a file that changes under it."""

    def __init__(self, *argv):
        self.process = subprocess.Popen([suite.options.loopdog, "top", "--json", "-d", "0.1", *map(str, argv)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def until(self, condition, what):
        wait_until(lambda: condition(json.loads(self.process.stdout.readline())), PATIENCE_S, what)

    def until_count(self, count):
        self.until(lambda frame: frame["stalls"]["count"] == count, f"{count} stalls")

    def end(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()
        err = self.process.stderr.read().decode(errors="replace")
        self.process.stderr.close()
        return err


@suite.case("an agent tells its loops every second while they are shown")
def cadence(place):
    server, _ = servers.redis(place)    # it wakes up ten times a second by itself
    wait_until(lambda: any(place.records_folder.iterdir()), PATIENCE_S, "records")
    frames = Frames(place.records_folder)
    told = []

    def look(frame):
        told.extend(one["told"] for one in frame["loops"] if one["told"] not in told)
        return len(told) == 4
    frames.until(look, "four records of the loop")
    frames.end()
    times = [datetime.datetime.fromisoformat(one.rstrip("Z")) for one in told]
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(times, times[1:])]
    check(min(gaps[1:]) > 0.9 and min(gaps) < 5, f"seconds between records: {gaps}")
    server.stop()


@suite.case("files that are emptied, rotated, removed and new are followed, and each stall counts once")
def rotation(place):
    path = place.folder / "logs" / "web1" / "shop.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(lines(*SOME))
    frames = Frames(path.parents[1])
    frames.until_count(7)
    os.truncate(path, 0)
    path.write_text(lines(stall(8, "new", 300)))
    frames.until_count(8)
    path.rename(path.with_suffix(".1"))
    path.write_text(lines(stall(9, "new", 300)))
    frames.until_count(9)
    path.with_suffix(".1").unlink()
    with open(path, "a", encoding="utf-8") as file:
        half = lines(stall(10, "new", 300))
        file.write(half[:100])
        file.flush()
        (path.parents[1] / "web2").mkdir()
        (path.parents[1] / "web2" / "other.jsonl").write_text(lines(stall(11, "other", 300)))
        frames.until_count(10)
        file.write(half[100:])
    frames.until_count(11)
    check(frames.end() == "", "nothing is wrong with these files")


@suite.case("hostile records neither move the cursor nor end the screen")
def hostile(place):
    evil = "\x1b[2J\x1b]0;owned\x07evil\r\n\u009b31m\u202e"
    bad = lines(stall(1, evil, 500), stall(2, evil, 500, kind="stall-begin", loop=evil, thread=evil),
                loop(moment(), 10, 1, 9, loop=evil), {**stall(3, "wide \u6f22\u5b57 e\u0301", 400), "program": evil})
    path = place.folder / "evil.jsonl"
    path.write_bytes(bad.encode() + b"{\"v\":1,\"type\":\"stall\"\n" + b"\xff\xfe\x1b[31m\n" + b"x" * 300000 + b"\n" +
                     b"[" * 5000 + b"\n")
    for language in ("C.UTF-8", "C"):
        terminal = Terminal(place, suite.options.loopdog, "top", *QUICK, path, LANG=language,
                            NO_COLOR="" if language == "C.UTF-8" else "1")
        text = terminal.until_shows("1 STALLED NOW", "q quit", "wide ")
        red = "\x1b[31m" in terminal.tmux("capture-pane", "-p", "-e")
        check(red == (language == "C.UTF-8"), f"colour where NO_COLOR forbids it, or none: {red}")
        check("\\x1b[2J" in text, f"escape sequences are not shown as such:\n{text}")
        check(text.startswith("loopdog top"), f"the first line is gone:\n{text}")
        check(("\u6f22\u5b57" in text) == (language == "C.UTF-8"), f"wide characters in {language}:\n{text}")
        terminal.keys("Enter")
        terminal.until_shows("still stalled", "q back")
        terminal.keys("q", "q")
        terminal.until_shows("ended with 0", "skipped: ")     # what was wrong is said when the screen is gone
        terminal.tmux("kill-server")


@suite.case("--batch writes plain frames, --json lines, both from standard input, too")
def batch(place):
    path = place.write("some.jsonl", lines(loop(moment(2), 100, 100, 900), loop(moment(1), 150, 350, 1650), *SOME))
    code, out, err = run("--batch", "-n", "2", "-d", "0.1", path)
    check(code == 0 and err == "", f"{code}: {err}")
    check(out.count("loopdog top  ") == 2 and out.count("7 stalls, 2.05 s lost, longest 900 ms") == 2, out)
    check("  25.0 %  " in out and "\x1b" not in out, out)
    text = path.read_text()
    done = subprocess.run([suite.options.loopdog, "top", "--json", "-d", "60", "-"], input=text, capture_output=True,
                          text=True, timeout=PATIENCE_S, check=False)
    frames = [json.loads(line) for line in done.stdout.splitlines()]
    check(done.returncode == 0 and frames[-1]["stalls"]["count"] == 7, f"{done.returncode}: {done.stdout}{done.stderr}")
    check(frames[-1]["loops"][0]["utilisation"] == 0.25, f"{frames[-1]['loops']}")
    old = place.write("old.jsonl", lines(stall(1, "hang", 100, ago=7200, kind="stall-begin")))
    frame = json.loads(run("--json", "-n", "1", old)[1])
    check(frame["processes"][0]["state"] == "silent" and frame["stalls"]["never_ended"] == 1 and not frame["open"],
          f"of another machine, from two hours ago: {frame}")
    closed = subprocess.run(f"{suite.options.loopdog} top -b -d 0.1 {path} | head -1", shell=True, capture_output=True,
                            text=True, timeout=PATIENCE_S, check=False)
    check(closed.stdout.startswith("loopdog top") and closed.stderr == "", f"{closed}")


@suite.case("without a terminal that can show a screen it says so, and wrong options")
def no_terminal(place):
    path = place.write("some.jsonl", lines(*SOME))
    code, out, err = run(path, TERM="xterm")
    check(code == 2 and out == "" and "--batch" in err, f"{code}: {out}{err}")
    terminal = Terminal(place, "env", "TERM=dumb", suite.options.loopdog, "top", path)
    terminal.until_shows("TERM=dumb: this terminal can't show a screen", "ended with 2")
    terminal.type_line(f"clear; TERM=nonsense {suite.options.loopdog} top {path}")
    terminal.until_shows("TERM=nonsense: this terminal is not known here")
    for argv, words in ((["-d", "x"], "--delay=x is not"), (["-d", "0.01"], "0.1 is the shortest"),
                        (["-n", "0"], "--count=0 is not"), (["--sort", "x"], "--sort=x: lag, busy")):
        code, _, err = run("-b", *argv, path)
        check(code == 2 and words in err, f"{argv}: {code}: {err}")


if __name__ == "__main__":
    sys.exit(suite.main())
