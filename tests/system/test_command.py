#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_command.py - `loopdog run` up to the start of the command and after its end, `loopdog help` and --version

The agent here is fake_agent.c, which writes the records that each test tells it to: what is tested is how the command
starts, follows and ends programs. Real servers and the real agent are tested by the programs beside this one.

Context: system test
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import command
from command import OPTIONS, PATIENCE_S, Case, copy_patched, farewell, process, stall, stall_begin

SHOW_ENVIRONMENT = ("/usr/bin/env",)
PYTHON = "/usr/bin/python3"


class Help(Case):

    def test_lists_the_commands(self):
        """help lists the commands, in 80 columns"""
        out, err = self.loopdog("help")
        for name in ("run", "report", "help", "--version"):
            self.assertIn(f"  loopdog {name}", out)
        self.assertEqual(err, "")
        self.assertLessEqual(max(map(len, out.splitlines())), 80)
        self.assertEqual(self.loopdog("--help")[0], out)

    def test_tells_every_setting(self):
        """help run has every setting with its default and range, in 80 columns"""
        out, _ = self.loopdog("help", "run")
        self.assertEqual(self.loopdog("run", "--help")[0], out)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)
        words = " ".join(out.split())
        for flag, variable in (
                ("-t, --threshold=DURATION", "LOOPDOG_THRESHOLD"), ("-o, --output=PATH", "LOOPDOG_OUTPUT"),
                ("--interval", "LOOPDOG_INTERVAL"), ("--loops", "LOOPDOG_LOOPS"), ("--grace", "LOOPDOG_GRACE"),
                ("--own", "LOOPDOG_OWN"), ("--limit", "LOOPDOG_LIMIT"), ("--redact", "LOOPDOG_REDACT"),
                ("--follow", "LOOPDOG_FOLLOW"), ("--signal", "LOOPDOG_SIGNAL")):
            self.assertRegex(words, rf"{re.escape(flag)}.*\[{variable}: [^]]+; default: [^]]+\]")
        self.assertIn("1ms to 1h", words)
        self.assertIn("default: 100ms", words)

    def test_says_what_is_no_command(self):
        """an unknown or missing command is a usage error"""
        self.assertIn('"rnu" is not a command', self.loopdog("rnu", code=2)[1])
        self.assertIn('"rnu" is not a command', self.loopdog("help", "rnu", code=2)[1])
        self.assertIn("which command", self.loopdog(code=2)[1])

    def test_version(self):
        """--version says the version"""
        self.assertRegex(self.loopdog("--version")[0], r"^loopdog \d+\.\d+\.\d+\n$")


class Start(Case):
    """Starting a command, or not."""

    def test_passes_exit_codes(self):
        """the command's exit code passes through"""
        for code in (0, 1, 7, 255):
            self.run_command("sh", "-c", f"exit {code}", code=code)
        self.assert_clean()

    def test_tells_signals(self):
        """128 and the signal where one ended the command"""
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            self.run_command("sh", "-c", f"kill -{int(number)} $$", code=128 + number)

    def test_not_found(self):
        """127 for a command that does not exist"""
        for name in ("no-such-command", "./no/such/command", ""):
            _, err = self.run_command(name, code=127)
            self.assertIn(f"loopdog: {name}: command not found", err)
        self.assert_clean()

    def test_not_executable(self):
        """126 for a file that can't be executed"""
        for path, reason in ((self.write("plain", "text"), "Permission denied"), (self.folder, "Permission denied"),
                             (self.write("lost", "#!/no/such/interpreter -x\n", 0o755),
                              "interpreter /no/such/interpreter does not exist")):
            _, err = self.run_command(path, code=126)
            self.assertIn(f"{path}: ", err)
            self.assertIn(reason, err)
        self.assert_clean()

    def test_script_without_interpreter(self):
        """a script without #! is run by the shell, as execvp does"""
        self.run_command(self.write("script", "exit 5\n", 0o755), code=5)

    def test_usage(self):
        """wrong options are usage errors that say what would be right"""
        for arguments, words in (
                ((), "which command"), (("--moon", "true"), "unrecognized option"),
                (("-t", "5x", "true"), "--threshold=5x is not understood (1ms to 1h"),
                (("--threshold=2h", "true"), "out of range"), (("--loops=none", "true"), "auto, all or api"),
                (("--fail-on-stall=x", "true"), "not a duration"), (("--color=blue", "true"), "always"),
                (("-o", "stderr", "true"), "name a file"), (("-o", "a%x", "true"), "--output=a%x")):
            out, err = self.loopdog("run", *arguments, code=2)
            self.assertEqual(out, "")
            self.assertIn(words, err)
            self.assertIn("loopdog run", err)

    def test_leaves_the_commands_flags_alone(self):
        """options behind the command are the command's"""
        for flags in ((), ("--",), ("-t", "5"), ("-t", "5", "--")):
            self.assertEqual(self.loopdog("run", *flags, "echo", "-t", "--help")[0], "-t --help\n")

    def test_missing_library(self):
        """without a library that can be preloaded nothing is started"""
        blank = self.folder / "a b.so"
        shutil.copy(OPTIONS.fake_agent, blank)
        for path, words in (("/no/such/library.so", "No such file"), (blank, "can't be preloaded")):
            out, err = self.run_command("echo", "started", code=1, environment={"LOOPDOG_LIBRARY": str(path)})
            self.assertEqual(out, "")
            self.assertIn(str(path), err)
            self.assertIn(words, err)

    def test_finds_the_library(self):
        """the library is found beside the program, in a build folder and in an installation"""
        (self.folder / "bin").mkdir()
        program = shutil.copy(OPTIONS.loopdog, self.folder / "bin")
        arguments = [program, "run", "sh", "-c", "echo $LD_PRELOAD"]
        environment = self.environment(LOOPDOG_LIBRARY=None)
        for place in ("src/libloopdog.so", "lib/libloopdog.so.0", "lib/x86_64-linux-gnu/libloopdog.so.0"):
            library = self.folder / place
            library.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(OPTIONS.fake_agent, library)
            done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual((done.returncode, done.stdout), (0, f"{library}\n"), done.stderr)
            library.unlink()
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode == 1:  # else it is installed here
            self.assertIn("LOOPDOG_LIBRARY=", done.stderr)

    def test_environment(self):
        """the command gets the preload, the settings that were given, and nothing else new"""
        out, _ = self.run_command(*SHOW_ENVIRONMENT, flags=("-t", "50ms", "--own", "/srv", "--loops=all"),
                                  environment={"LD_PRELOAD": "/lib/x86_64-linux-gnu/libdl.so.2", "LOOPDOG_OWN": "/old",
                                               "LOOPDOG_GRACE": "3s", "HOME": None,
                                               "DEBUGINFOD_URLS": "http://192.0.2.1"})
        got = dict(line.split("=", 1) for line in out.splitlines())
        self.assertEqual(got["LD_PRELOAD"], f"{OPTIONS.fake_agent}:/lib/x86_64-linux-gnu/libdl.so.2")
        self.assertEqual(got["LOOPDOG_THRESHOLD"], "50ms")
        self.assertEqual(got["LOOPDOG_OWN"], "/srv")
        self.assertEqual(got["LOOPDOG_LOOPS"], "all")
        self.assertEqual(got["LOOPDOG_GRACE"], "3s")
        self.assertTrue(got["LOOPDOG_OUTPUT"].startswith(str(self.temporary)))
        self.assertNotIn("LOOPDOG_LIBRARY", got)
        self.assertNotIn("HOME", got)
        self.assertNotIn("LOOPDOG_SIGNAL", got)
        self.assertEqual(got["DEBUGINFOD_URLS"], "http://192.0.2.1", "our own rule is not the command's")

    def test_says_wrong_settings(self):
        """a misspelt or wrong variable is said, even where no loop is seen"""
        _, err = self.run_command("true", environment={"LOOPDOG_THRESOLD": "5ms", "LOOPDOG_GRACE": "soon"})
        self.assertIn("did you mean LOOPDOG_THRESHOLD?", err)
        self.assertIn("LOOPDOG_GRACE=soon is not understood", err)

    def test_says_wrong_settings_once(self):
        """what loopdog has said about a setting is not said again by its processes"""
        words = "LOOPDOG_GRACE=soon is not understood (0 to 1h): using 0"
        _, err = self.run_command("true", environment={"LOOPDOG_GRACE": "soon"},
                                  script=[process(notices=[words, "libunwind is missing"])])
        self.assertEqual(err.count(words), 1, err)
        self.assertIn("loopdog: libunwind is missing", err)

    def test_leaves_the_process_as_it_was(self):
        """the command inherits no descriptor, blocked or ignored signal of ours"""
        script = ("import os, re; status = open('/proc/self/status').read();"
                  "print(sorted(os.listdir('/proc/self/fd'))[:-1],"
                  "      re.findall('^Sig(?:Blk|Ign):\\t(.*)', status, re.M))")
        expected = subprocess.run([PYTHON, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  check=True, restore_signals=True)
        self.assertEqual(self.run_command(PYTHON, "-c", script)[0], expected.stdout)

    def test_odd_surroundings(self):
        """a folder that was removed, no HOME, no PATH, ignored SIGCHLD: the command runs"""
        gone = self.folder / "gone"
        gone.mkdir()
        started = self.start("run", "/bin/sh", "-c", "exit 5", cwd=gone, environment={"HOME": None, "PATH": None},
                             preexec_fn=lambda: (os.rmdir(gone), signal.signal(signal.SIGCHLD, signal.SIG_IGN)))
        started.communicate(timeout=PATIENCE_S)
        self.assertEqual(started.returncode, 5)

    def test_closed_descriptors(self):
        """a command finds the descriptors closed that were closed"""
        script = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))), file=open(3, 'w', closefd=False))"
        reading, writing = os.pipe()
        started = subprocess.Popen(["/bin/sh", "-c", f'exec 3>&{writing} {writing}>&- 0<&- 1>&- 2>&-; exec "$@"', "sh",
                                    OPTIONS.loopdog, "run", PYTHON, "-c", script], env=self.environment(),
                                   pass_fds=[writing])
        os.close(writing)
        with open(reading, encoding="utf-8") as answer:
            got = json.loads(answer.read())
        self.assertEqual(started.wait(PATIENCE_S), 0)
        self.assertEqual(got[:1], [3 - 3 if 0 in got else 3], got)  # 0 is the folder that python itself has open
        self.assertNotIn(1, got)
        self.assertNotIn(2, got)


class Output(Case):
    """Where records go."""

    def records_in(self, path):
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_file(self):
        """-o FILE has the records, and what was there before stays and is not shown"""
        path = self.records("out.jsonl", process(), stall(1, 700, "before"))
        _, err = self.run_command("true", flags=("-o", path), script=[process(), stall(1, 400, "after"), farewell()])
        self.assertIn("stall 400 ms in after()", err)
        self.assertNotIn("before", err)
        self.assertEqual([r["type"] for r in self.records_in(path)], ["process", "stall", "process", "stall", "exit"])

    def test_relative_file(self):
        """a relative path is taken from where loopdog was started"""
        self.loopdog("run", "-o", "out.jsonl", "sh", "-c", "cd /; exec true", cwd=self.folder,
                     script=[process(), stall()], environment={"FAKE_PROGRAM": "true"})
        self.assertEqual(len(self.records_in(self.folder / "out.jsonl")), 2)

    def test_folder(self):
        """-o FOLDER/ makes it, with one file a process"""
        path = self.folder / "records"
        _, err = self.run_command("sh", "-c", "true; true", flags=("-o", f"{path}/"), script=[process(), stall()],
                                  environment={"FAKE_PROGRAM": "sh"})
        self.assertIn("stall 500 ms in block()", err)
        self.assertEqual(len(list(path.iterdir())), 1)

    def test_placeholders(self):
        """-o with placeholders follows the files that it stands for"""
        script = f"cp {self.folder}/ready '{self.folder}/out [x].42.jsonl'"
        self.records("ready", process(), stall(1, 400))
        _, err = self.run_command("sh", "-c", script, flags=("-o", self.folder / "out [x].%p.jsonl"))
        self.assertIn("stall 400 ms", err)

    def test_variable(self):
        """LOOPDOG_OUTPUT counts like -o"""
        path = self.folder / "out.jsonl"
        self.run_command("true", script=[process(), stall()], environment={"LOOPDOG_OUTPUT": str(path)})
        self.assertEqual(len(self.records_in(path)), 2)

    def test_wrong_variable(self):
        """a wrong LOOPDOG_OUTPUT is said, and a temporary folder used"""
        _, err = self.run_command("true", script=[process(), stall()], environment={"LOOPDOG_OUTPUT": "/tmp/%x"})
        self.assertIn("LOOPDOG_OUTPUT=/tmp/%x is not understood", err)
        self.assertIn("stall 500 ms in block()", err)

    def test_can_not_be_written(self):
        """what can't be written to is said before anything is started"""
        link = self.folder / "link"
        link.symlink_to("target")
        for path, words in (("/no/such/folder/file", "No such file"), ("/proc/x", "No such file"),
                            (link, "symbolic link"), ("/dev/null", "no regular file"), ("/%p/file", "placeholders")):
            out, err = self.run_command("echo", "started", flags=("-o", path), code=1)
            self.assertEqual(out, "")
            self.assertIn(words, err)
        out, err = self.run_command("echo", "started", code=1, environment={"TMPDIR": "/no/such/folder"})
        self.assertEqual(out, "")
        self.assertIn("TMPDIR", err)

    def test_private_folder(self):
        """the temporary folder is in TMPDIR, not readable by others, and removed"""
        out, _ = self.run_command("sh", "-c", 'stat -c "%a %n" ${LOOPDOG_OUTPUT%/}', script=[process(), stall()])
        self.assertRegex(out, r"^(700|1733) " + re.escape(str(self.temporary)))
        self.assert_clean()

    def test_other_user(self):
        """a command that root starts and that changes its user can still record"""
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            self.skipTest("needs root and setpriv")
        self.folder.chmod(0o755)
        self.temporary.chmod(0o755)
        _, err = self.run_command("setpriv", "--reuid=65534", "--clear-groups", "true", script=[process(), stall()],
                                  environment={"FAKE_PROGRAM": "true"})
        self.assertIn("stall 500 ms in block()", err)

    def test_survivors(self):
        """processes that go on keep their output and are named"""
        out, err = self.run_command("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!", script=[process(), stall()],
                                    environment={"FAKE_PROGRAM": "sleep"})
        pid = int(out)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        self.assertIn(f"1 process goes on under loopdog (server {pid})", err)
        folder = re.search(r'loopdog report (\S+)"', err)[1]
        self.wait_until(lambda: list(pathlib.Path(folder).iterdir()), "its records")
        self.assertIn("stall 500 ms in block()", self.loopdog("report", folder)[0])


class NoLoop(Case):
    """Silence is explained."""

    def test_plain(self):
        """no loop: said at the end"""
        self.assertIn("no event loop was seen: nothing came back from", self.run_command("true")[1])

    def test_turned_off(self):
        """a detector that is turned off is the reason"""
        _, err = self.run_command("true", flags=("-t", "0", "--fail-on-stall"))
        self.assertIn("nothing was watched", err)
        self.assertIn("--fail-on-stall never fails", err)

    def expect(self, program, words, code=0):
        """Said before the start, and again at the end where there was one."""
        out, err = self.run_command(program, code=code)
        self.assertRegex(err.splitlines()[0], f"^loopdog: warning: .*{words}.*; its loops will not be seen$")
        if code == 0:
            self.assertRegex(err.splitlines()[-1], f"^loopdog: no event loop was seen: .*{words}")
        return out

    def test_static(self):
        """a static program is named, also behind a script"""
        if not OPTIONS.static:
            self.skipTest("no static program was given")
        self.assertEqual(self.expect(OPTIONS.static, "static.* is statically linked"), "static\n")
        script = self.write("script", f"#! {OPTIONS.static} -x\n", 0o755)
        self.expect(script, "static.* is statically linked")
        self.folder.joinpath("bin").mkdir()
        os.symlink(OPTIONS.static, self.folder / "bin" / "by-name")
        self.write("env-script", "#!/usr/bin/env -S A=b by-name -x\n", 0o755)
        _, err = self.run_command(self.folder / "env-script",
                                  environment={"PATH": f"{self.folder}/bin:/usr/bin:/bin"})
        self.assertIn("by-name is statically linked", err)

    def test_go(self):
        """a Go program is named"""
        if not OPTIONS.go:
            self.skipTest("no program with Go's note was given")
        self.expect(OPTIONS.go, "is a Go program")

    def test_other_loader(self):
        """a program with another loader is not preloaded"""
        program = copy_patched("/usr/bin/env", self.folder / "musl", (b"/lib64/ld-linux-x86-64.so.2\0",
                                                                    b"/lib64/ld-musl-x86_64.so.1\0\0"))
        self.expect(program, "is loaded by /lib64/ld-musl-x86_64.so.1", 0 if os.path.exists(
            "/lib64/ld-musl-x86_64.so.1") else 126)
        loader = self.folder / "ld-other.so"
        loader.symlink_to("/lib64/ld-linux-x86-64.so.2")
        name = str(loader).encode()
        if len(name) > 27:
            loader = pathlib.Path("/tmp") / f"ld-o.{os.getpid()}"
            loader.symlink_to("/lib64/ld-linux-x86-64.so.2")
            self.addCleanup(loader.unlink)
            name = str(loader).encode()
        program = copy_patched("/usr/bin/env", self.folder / "other",
                               (b"/lib64/ld-linux-x86-64.so.2\0", name.ljust(28, b"\0")))
        self.assertNotIn("LD_PRELOAD", self.expect(program, "and not by glibc's loader"))

    def test_word_size(self):
        """a 32-bit program is named"""
        program = copy_patched("/usr/bin/env", self.folder / "small", (b"\x7fELF\x02", b"\x7fELF\x01"),
                               (b"\x03\x00\x3e\x00", b"\x03\x00\xff\xff"))  # nor is there such a processor
        self.expect(program, "another processor or word size", 126)

    def test_setuid(self):
        """a set-user-ID program is named, with a remedy"""
        if os.geteuid() != 0:
            self.skipTest("needs root to give a file away")
        if os.statvfs(self.folder).f_flag & os.ST_NOSUID:
            self.skipTest("the folder for temporary files is mounted nosuid")
        self.folder.chmod(0o755)
        program = self.folder / "setuid"
        shutil.copy("/bin/true", program)
        os.chown(program, 65534, 65534)
        program.chmod(0o4755)
        self.expect(program, "is set-user-ID.*sudo loopdog run")
        program.chmod(0o2755)
        self.expect(program, "is set-group-ID")
        os.chown(program, 0, 0)
        program.chmod(0o4755)
        self.assertNotIn("warning", self.run_command(program)[1], "root's own: the loader is not in secure mode")


class Gate(Case):
    """--fail-on-stall"""

    def test_fails(self):
        """a stall fails the run with 3, and the reason is printed"""
        _, err = self.run_command("true", flags=("--fail-on-stall",), code=3,
                                  script=[process(), stall(1, 150), stall(2, 300)])
        self.assertIn("failed by --fail-on-stall: 2 stalls of 100 ms or longer, the longest 300 ms", err)

    def test_duration(self):
        """only stalls of the given length count"""
        script = [process(), stall(1, 150), stall(2, 300)]
        _, err = self.run_command("true", flags=("--fail-on-stall=250ms",), code=3, script=script)
        self.assertIn("1 stall of 250 ms or longer, the longest 300 ms", err)
        self.run_command("true", flags=("--fail-on-stall=301ms",), script=script)
        self.assertIn("below the threshold are not seen",
                      self.run_command("true", flags=("--fail-on-stall=50ms",), script=script, code=3)[1])

    def test_own_failure_wins(self):
        """the command's own failure wins"""
        self.run_command("sh", "-c", "exit 7", flags=("--fail-on-stall",), code=7, script=[process(), stall()])

    def test_startup(self):
        """start-up does not count, nor does a run without stalls"""
        self.run_command("true", flags=("--fail-on-stall",), script=[process(), stall(phase="startup"), farewell()])
        self.run_command("true", flags=("--fail-on-stall",), script=[process(), farewell()])

    def test_never_ended(self):
        """a stall that never ended counts"""
        self.run_command("true", flags=("--fail-on-stall",), code=3, script=[process(), stall_begin()])

    def test_without_the_flag(self):
        """without the flag a stall is no failure"""
        self.run_command("true", script=[process(), stall()])


if __name__ == "__main__":
    sys.exit(command.main())
