#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_live.py - `loopdog run` while the command runs: its stalls, its signals, its terminal

As in test_command.py the agent is fake_agent.c.

Context: system test
"""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import command
from command import OPTIONS, PATIENCE_S, Case, farewell, loop, process, stall, stall_begin

PYTHON = "/usr/bin/python3"


class Live(Case):
    """Showing stalls."""

    def lines_until(self, started, words):
        """Lines of stderr up to one with these words."""
        lines = []
        for line in started.stderr:
            lines.append(line)
            if words in line:
                return lines
        return self.fail(f"no {words!r} in {lines}")

    def test_shows_a_stall_as_it_ends(self):
        """a stall is shown while the command still runs, with its source line"""
        source = self.write("app.py", "import time\n\ndef block():\n    time.sleep(0.5)  # the culprit\n")
        os.utime(source, (0, 0))
        frame = command.python_frame("block", str(source), 4)
        started = self.start("run", "sleep", "60", script=[
            process(), stall(culprit=frame, stacks=[{"count": 2, "complete": True, "frames": [frame]}])])
        lines = self.lines_until(started, "time.sleep(0.5)  # the culprit")
        self.assertIn(f"loopdog: stall 500 ms in block() at {source}:4, blocked in clock_nanosleep", lines[0])
        self.assertIsNone(started.poll())
        started.send_signal(signal.SIGTERM)
        self.assertEqual(started.wait(PATIENCE_S), 128 + signal.SIGTERM)

    def test_shows_a_dump_as_it_comes(self):
        """a dump that the program asks for is shown, and is no stall for the gate or the summary"""
        dump = stall(1, 30, kind="dump", state="busy", samples=1, culprit=command.python_frame("block"))
        _, err = self.run_command("true", flags=["--fail-on-stall"], script=[process(), dump, loop(), farewell()])
        self.assertIn("loopdog: loop busy for 30 ms in block() at /srv/app.py:8", err)
        self.assertIn("dump #1]", err)
        self.assertIn("no stalls", err)

    def test_does_not_quote_a_file_that_was_changed_since(self):
        """a source file that is newer than the stall is not quoted"""
        source = self.write("app.py", "changed\n")
        frame = command.python_frame("block", str(source), 1)
        _, err = self.run_command("true", script=[process(), stall(
            time="2020-01-01T00:00:00Z", culprit=frame, stacks=[{"count": 2, "complete": True, "frames": [frame]}])])
        self.assertIn("app.py:1", err)
        self.assertNotIn("changed", err)

    def test_symbolizes(self):
        """native frames get lines and the functions inlined into them"""
        if not OPTIONS.inlined:
            self.skipTest("program_inlined was not given")
        said = subprocess.run([OPTIONS.inlined], capture_output=True, text=True, check=True).stdout
        offset, line = re.search(r"(0x\w+) (\d+) innermost", said).groups()
        frame = {"lang": "native", "function": "outer", "module": OPTIONS.inlined, "build_id": "0123abcd",
                 "offset": offset, "caller": True}
        _, err = self.run_command("true", script=[process(), stall(
            time=command.now(), culprit=frame, stacks=[{"count": 2, "complete": True, "frames": [frame]}])])
        self.assertRegex(err, rf"stall 500 ms in innermost\(\) at \S+/inlined\.c:{line},")
        self.assertRegex(err, r"inlined\.c:\d+ +outer")
        self.assertIn("[inlined]", err)
        self.assertIn('HERE("innermost");', err)

    def test_announces_once_what_goes_on(self):
        """a stall that has not ended after 1 s is announced once"""
        _, err = self.run_command("true", script=[process(), stall_begin(), "sleep 2500", stall(1, 2600), farewell()])
        self.assertEqual(err.count("still stalled after"), 1, err)
        announced, ended = err.split("loopdog: stall 2.6 s")
        self.assertIn("still stalled after", announced)
        self.assertNotIn("cpu ", announced, "what was measured before does not go with the duration of now")
        self.assertIn("cpu 0.3 ms of 2.6 s", ended)
        self.assertIn("loopdog: 1 stall, 2.6 s lost", err)

    def test_tells_a_deadlock_at_once(self):
        """a stall that turns out to be a deadlock is told so at once, also where it was announced"""
        deadlock = {"call": "futex", "object": "mutex", "owner": 7, "deadlock": True}
        begun = stall_begin()
        again = {**begun, "duration_ns": 1000 * command.MS}
        locked = {**begun, "duration_ns": 1400 * command.MS, "cause": "lock", "detail": deadlock}
        _, err = self.run_command("true", script=[process(), begun, "sleep 1300", again, locked, "sleep 300",
                                                  farewell()])
        announced, told, at_the_end = err.split("still stalled after")[1:]
        self.assertNotIn("deadlock", announced)
        self.assertIn("deadlock: waiting for a mutex held by thread 7", told)
        self.assertIn("deadlock: waiting for a mutex held by thread 7", at_the_end)
        self.assertIn("1 stall", err)

    def test_takes_back_what_was_none(self):
        """a begun stall that was none after all is shown only if it was announced, and never counted"""
        script = [process(), stall_begin(), "sleep 300", stall(1, 400, end="left"), farewell()]
        _, err = self.run_command("true", flags=("--fail-on-stall",), script=script)
        self.assertNotIn("block()", err)
        self.assertIn("loopdog: no stalls", err)
        script[2:4] = ["sleep 1500", stall(1, 1600, end="left")]
        _, err = self.run_command("true", flags=("--fail-on-stall",), script=script)
        self.assertEqual(err.count("still stalled after"), 1)
        self.assertEqual(err.count("loopdog: no stall after all: 1.6 s in block()"), 1)
        self.assertIn("loopdog: no stalls", err)

    def test_does_not_announce_what_ends(self):
        """a stall that ends within 1 s is shown once"""
        _, err = self.run_command("true", script=[process(), stall_begin(), "sleep 300", stall(1, 400), farewell()])
        self.assertNotIn("still stalled", err)
        self.assertEqual(err.count("loopdog: stall 400 ms"), 1)

    def test_shows_what_never_ended(self):
        """a stall that the command died in is shown, counted and called so"""
        _, err = self.run_command("sh", "-c", "sleep 0.5; kill -9 $$", code=137, script=[process(), stall_begin()],
                                  environment={"FAKE_PROGRAM": "sh"})
        self.assertRegex(err, r"still stalled after [5-9]\d\d ms in block\(\)|still stalled after \d")
        self.assertIn("1 of them never ended", err)
        self.assertIn("(1 never ended)", err)

    def test_waits_for_the_rest_of_a_line(self):
        """a line that comes in parts is read when it is whole"""
        line = command.text_of(stall())
        _, err = self.run_command("true", script=[process(), "part " + line[:50], "sleep 200", "part " + line[50:200],
                                                  "sleep 200", line[200:]])
        self.assertEqual(err.count("loopdog: stall 500 ms"), 1)
        self.assertNotIn("skipped", err)

    def test_says_what_is_no_record(self):
        """a line that is no record is said, and the rest shown"""
        _, err = self.run_command("true", script=[process(), "nonsense", stall()])
        self.assertRegex(err, r"jsonl:2: skipped: not JSON")
        self.assertIn("loopdog: stall 500 ms", err)

    def test_follows_children(self):
        """stalls of all processes are shown"""
        _, err = self.run_command("sh", "-c", "true; true & wait; exit 0",
                                  script=[process(run="00000000000000@PID@"), stall(run="00000000000000@PID@")],
                                  environment={"FAKE_PROGRAM": "sh"})
        self.assertEqual(err.count("loopdog: stall 500 ms"), 1, err)
        _, err = self.run_command("sh", "-c", "/bin/true; /bin/true; exit 0",
                                  script=[process(run="00000000000000@PID@"), stall(run="00000000000000@PID@")],
                                  environment={"FAKE_PROGRAM": "true"})
        self.assertEqual(err.count("loopdog: stall 500 ms"), 2, err)
        self.assertIn("2 stalls, 1 s lost", err)
        self.assertIn("in 2 processes", err)

    def test_keeps_startup_apart(self):
        """stalls of the start-up are in the summary only"""
        _, err = self.run_command("true", script=[process(), stall(1, 2000, phase="startup"), farewell()])
        self.assertNotIn("loopdog: stall", err)
        self.assertIn("no stalls", err)
        self.assertIn("during start-up, not counted above: 1 stall, 2 s lost", err)

    def test_summary(self):
        """the summary has totals, the worst culprits and what the agent lost"""
        stalls = [stall(i, 100 * i, f"f{i}") for i in range(1, 8)]
        _, err = self.run_command("true", script=[process(), *stalls, loop(stalls=9), farewell(
            stalls_crowded=3, iterations_lost=4, records_dropped=2, bytes_dropped=77,
            lost={"samples": 5, "reasons": {"not dumpable": 5}})])
        summary = err[err.index("loopdog: 7 stalls"):]
        self.assertIn("loopdog: 7 stalls, 2.8 s lost, longest 700 ms; 1 loop in 1 process", summary)
        self.assertIn("f7() at /srv/app.py:8", summary)
        self.assertNotIn("f2()", summary)
        self.assertIn("and 2 more with 300 ms", summary)
        self.assertIn("loopdog: samples without a stack: 5 (5.0 %): not dumpable (5)", summary)
        self.assertIn("loopdog: 3 stalls have no stacks: too many loops stalled at the same time", summary)
        self.assertIn("loopdog: 4 long iterations ended unseen", summary)
        self.assertIn("loopdog: 2 records could not be written", summary)
        self.assertIn("loopdog: 77 bytes of records could not be written", summary)
        self.assertIn("loopdog: 2 more stalls were counted than are recorded", summary)

    def test_colour(self):
        """colour is given to terminals only, unless it is asked for"""
        script = [process(), stall()]
        self.assertNotIn("\033", self.run_command("true", script=script)[1])
        self.assertIn("\033", self.run_command("true", script=script, flags=("--color=always",))[1])
        self.assertIn("\033", self.run_command("true", script=script, environment={"CLICOLOR_FORCE": "1"})[1])
        self.assertNotIn("\033", self.run_command("true", script=script,
                                                  environment={"CLICOLOR_FORCE": "1", "NO_COLOR": "1"})[1])

    def test_safe_on_a_terminal(self):
        """control characters in records never reach the terminal"""
        evil = "\033[2Jevil\u202e"
        _, err = self.run_command("true", script=[
            process(notices=[evil]), stall(1, 500, evil, thread=evil, program=evil, detail={"call": evil}),
            farewell(lost={"samples": 1, "reasons": {evil: 1}}), evil])
        self.assertNotIn("\033", err)
        self.assertNotIn("\u202e", err)


LISTENER = """
import os, signal, sys, time
def say(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")  # print() may be under way
    if number == signal.SIGTERM:
        sys.exit(5)
for number in (%s, signal.SIGTERM):
    signal.signal(number, say)
print("ready", os.getpid(), flush=True)
while True:
    time.sleep(0.02)  # short: a signal between two calls is only seen after the next
"""


class Signals(Case):

    def start_listener(self, *names, **options):
        started = self.start("run", PYTHON, "-c", LISTENER % ", ".join(f"signal.{n}" for n in names), **options)
        word, pid = started.stdout.readline().split()
        self.assertEqual(word, "ready")
        return started, int(pid)

    def test_forwards(self):
        """signals sent to loopdog reach the command, once"""
        names = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM", "SIGRTMIN")
        started, _ = self.start_listener(*names)
        for name in names:
            started.send_signal(getattr(signal, name))
            self.assertEqual(started.stdout.readline().strip(), name)
        started.send_signal(signal.SIGTERM)
        out, err = started.communicate(timeout=PATIENCE_S)
        self.assertEqual((out, started.returncode), ("SIGTERM\n", 5), err)
        self.assertIn("no event loop was seen", err)
        self.assert_clean()

    def test_stays_while_the_command_does(self):
        """a signal that the command survives does not end loopdog"""
        started, pid = self.start_listener("SIGINT")
        started.send_signal(signal.SIGINT)
        self.assertEqual(started.stdout.readline().strip(), "SIGINT")
        time.sleep(0.2)
        self.assertIsNone(started.poll())
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(started.wait(PATIENCE_S), 128 + signal.SIGKILL)

    def test_nohup(self):
        """a signal that was ignored stays ignored in the command"""
        started = self.start("run", "sh", "-c", "kill -HUP $$; exit 6",
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        started.communicate(timeout=PATIENCE_S)
        self.assertEqual(started.returncode, 6)

    def test_does_not_wait_for_daemons(self):
        """loopdog ends with the command, not with what that leaves behind"""
        begin = time.monotonic()
        out, _ = self.run_command("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
        os.kill(int(out), signal.SIGKILL)
        self.assertLess(time.monotonic() - begin, PATIENCE_S)


class Terminal(Case):
    """Job control, on a terminal of our own."""

    def start_job(self, *arguments, script=()):
        """loopdog as the foreground job of a session of its own. Returns the terminal's other end, the session's leader
        and a pipe on which that one reports each change of the job's state."""
        reading, writing = os.pipe()
        environment = self.environment(script, TERM="xterm")
        leader, terminal = pty.fork()
        if leader == 0:
            os.close(reading)
            self.lead(writing, [OPTIONS.loopdog, *arguments], environment)
        os.close(writing)
        self.addCleanup(self.end_job, leader, terminal, reading)
        return terminal, leader, reading

    @staticmethod
    def end_job(leader, terminal, reading):
        try:
            os.kill(leader, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(leader, 0)
        os.close(terminal)
        os.close(reading)

    @staticmethod
    def lead(report, arguments, environment):
        """What a shell does for one job. Never returns."""
        try:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            job = os.fork()
            if job == 0:
                os.setpgid(0, 0)
                os.tcsetpgrp(0, os.getpid())
                signal.signal(signal.SIGTTOU, signal.SIG_DFL)
                os.execve(arguments[0], arguments, environment)
            while True:
                _, status = os.waitpid(job, os.WUNTRACED)
                if os.WIFSTOPPED(status):
                    os.write(report, b"stopped\n")
                    time.sleep(0.2)
                    os.killpg(job, signal.SIGCONT)
                    continue
                os.write(report, b"ended %d\n" % os.waitstatus_to_exitcode(status))
                time.sleep(60)
        finally:
            os._exit(1)

    def read_until(self, descriptor, words):
        got = b""
        end = time.monotonic() + PATIENCE_S
        while words not in got:
            ready, _, _ = select.select([descriptor], [], [], max(0, end - time.monotonic()))
            if not ready:
                self.fail(f"no {words!r} in {got!r}")
            got += os.read(descriptor, 65536)
        return got

    def test_ctrl_c(self):
        """Ctrl-C reaches the command once, and loopdog stays to the end"""
        script = LISTENER % "signal.SIGINT"
        terminal, _, report = self.start_job("run", PYTHON, "-c", script)
        self.read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        self.read_until(terminal, b"SIGINT")
        time.sleep(0.3)
        os.write(terminal, b"\x1c")  # Ctrl-\
        got = self.read_until(terminal, b"no event loop was seen")
        self.assertNotIn(b"SIGINT", got, "twice")
        self.assertIn(b"ended %d" % (128 + signal.SIGQUIT), self.read_until(report, b"\n"))

    def test_ctrl_z(self):
        """Ctrl-Z stops both, and both go on"""
        script = ("import time\nprint('ready', flush=True)\nwhile True:\n"
                  "    time.sleep(0.05)\n    print('tick', flush=True)")
        terminal, _, report = self.start_job("run", PYTHON, "-c", script)
        self.read_until(terminal, b"tick")
        os.write(terminal, b"\x1a")
        self.assertIn(b"stopped", self.read_until(report, b"\n"))
        termios.tcflush(terminal, termios.TCIOFLUSH)
        self.read_until(terminal, b"tick")
        os.write(terminal, b"\x03")
        self.assertIn(b"ended %d" % (128 + signal.SIGINT), self.read_until(report, b"ended"))

    def test_colour(self):
        """a terminal gets colour, a dumb one none"""
        terminal, _, _ = self.start_job("run", "true", script=[process(), stall(), farewell()])
        self.assertIn(b"\033[", self.read_until(terminal, b"block() at"))
        environment = self.environment([process(), stall(), farewell()], TERM="dumb")
        leader, terminal = pty.fork()
        if leader == 0:
            os.execve(OPTIONS.loopdog, [OPTIONS.loopdog, "run", "true"], environment)
        got = self.read_until(terminal, b"1 stall,")
        os.waitpid(leader, 0)
        os.close(terminal)
        self.assertNotIn(b"\033[", got)


class Closed(Case):
    """Nobody reads."""

    def test_closed_pipe(self):
        """a closed stderr does not disturb the command"""
        reading, writing = os.pipe()
        os.close(reading)
        started = self.start("run", "sh", "-c", "exit 5", script=[process(), stall()], stderr=writing)
        os.close(writing)
        self.assertEqual(started.wait(PATIENCE_S), 5)
        self.assert_clean()

    def test_full_disk(self):
        """a full disk behind stderr does not disturb the command"""
        with open("/dev/full", "w", encoding="utf-8") as full:
            started = self.start("run", "sh", "-c", "exit 5", script=[process(), stall()], stderr=full)
            self.assertEqual(started.wait(PATIENCE_S), 5)

    def test_full_pipe(self):
        """a stderr that nobody reads does not keep signals from the command"""
        names = [stall(i, 100 + i, f"f{i}") for i in range(1, 1200)]
        script = LISTENER % "signal.SIGUSR1"
        started = self.start("run", PYTHON, "-c", script, script=[process(), *names],
                             environment={"FAKE_PROGRAM": "python3"})
        self.assertIn("ready", started.stdout.readline())
        time.sleep(1)  # it fills the pipe
        started.send_signal(signal.SIGUSR1)
        self.assertEqual(started.stdout.readline(), "SIGUSR1\n")
        started.send_signal(signal.SIGTERM)
        self.assertEqual(started.stdout.readline(), "SIGTERM\n")
        _, err = started.communicate(timeout=PATIENCE_S)  # now it is read
        self.assertEqual(started.returncode, 5)
        self.assertEqual(err.count("loopdog: stall "), 1199)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGQUIT):  # as a shell does for what it starts in the background
        if signal.getsignal(ignored) == signal.SIG_IGN:
            signal.signal(ignored, signal.SIG_DFL)
    sys.exit(command.main())
