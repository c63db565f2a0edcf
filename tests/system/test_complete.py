#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_complete.py - the completions of bash, zsh and fish, and that they offer what the command takes

Context: system test
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import command
from command import OPTIONS, PATIENCE_S, Case, process, stall

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "completions"

BASH = """source "$1"; COMP_LINE=$2 COMP_POINT=${#2} COMPREPLY=(); _loopdog; printf '%s\\n' "${COMPREPLY[@]}" """
ZSH = """words=(${(s: :)2}); [[ $2 == *' ' ]] && words+=(''); CURRENT=$#words
compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- "$@" }
_files() { print files }
source "$1" """
FISH = "source $argv[1]; complete -C $argv[2]"


class Complete(Case):

    def offered(self, *words):
        return self.loopdog("__complete", *words)[0].split()

    def shell(self, name, script, line):
        if not shutil.which(name):
            self.skipTest(f"{name} is not installed")
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        if not (folder / "loopdog").exists():
            (folder / "loopdog").symlink_to(OPTIONS.loopdog)
        arguments = ["--norc", "-c", script, "bash"] if name == "bash" else ["-f", "-c", script, "zsh"]
        if name == "fish":
            arguments = ["--no-config", "-c", script]
        file = {"bash": "loopdog.bash", "zsh": "_loopdog", "fish": "loopdog.fish"}[name]
        variables = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(self.temporary), "TERM": "dumb"}
        done = subprocess.run([name, *arguments, SCRIPTS / file, line], capture_output=True, text=True, env=variables,
                              cwd=self.temporary, timeout=PATIENCE_S, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return [line.split("\t")[0] for line in done.stdout.split("\n") if line]

    def test_options(self):
        """every option that a command's help names is offered, and no other"""
        for name in self.offered(""):
            text = self.loopdog("help", name)[0]
            flags = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+(?:=(?!\[))?)", text, re.MULTILINE))
            flags |= {flag for flag in re.findall(r"^ +(?:-\w, )?(--[a-z-]+)\[=", text, re.MULTILINE)}
            flags -= {"--help", "--usage", "--version"}
            self.assertEqual(set(self.offered(name, "--")), flags if name != "help" else set(), name)

    def test_values(self):
        """every value that is offered is taken, and those that a complaint names are offered"""
        path = self.records("a.jsonl", process(), stall())
        for flag in ("--by=", "--color=", "--cause="):
            values = self.offered("report", flag)
            for value in values:
                self.loopdog("report", value, path)
            words = re.search(rf"{flag}moon: (?:by )?(.*)", self.loopdog("report", f"{flag}moon", path, code=2)[1])[1]
            self.assertEqual({value.removeprefix(flag) for value in values}, set(re.split(r", | or ", words)))
        for value in self.offered("export", "-f", ""):
            self.loopdog("export", "-f", value, path, "-o", self.folder / "out")
        self.assertEqual(self.offered("export", "--format", "p"), ["pprof"])
        self.assertEqual(self.offered("report", "--cause=cpu,bl"), ["--cause=cpu,blocked"])
        for value in self.offered("report", "--fail-on="):
            self.loopdog("report", value + ("1h" if value.endswith(">") else ""), path, "--diff", path,
                         code=3 if value.endswith("any") else 0)

    def test_others(self):
        """files are left to the shell, as is what stands behind -- of run"""
        self.assertEqual(self.offered("report", ""), [])
        self.assertEqual(self.offered("run", "--", "--th"), [])
        self.assertEqual(self.offered("nothing", "--"), [])
        self.assertEqual(self.offered("help", "sh"), ["show"])

    def check_shell(self, name, script):
        self.assertEqual(self.shell(name, script, "loopdog re"), ["report"])
        self.assertEqual(self.shell(name, script, "loopdog report --fa"), ["--fail-on="])
        self.assertEqual(sorted(self.shell(name, script, "loopdog export -f p")), ["pprof"])
        values = [value.removeprefix("--by=") for value in self.shell(name, script, "loopdog report --by=c")]
        self.assertEqual(sorted(values), ["callback", "cause", "culprit"])

    def test_bash(self):
        """bash"""
        self.check_shell("bash", BASH)
        self.assertEqual(self.shell("bash", BASH, "loopdog report "), [])

    def test_zsh(self):
        """zsh"""
        self.check_shell("zsh", ZSH)
        self.assertEqual(self.shell("zsh", ZSH, "loopdog report "), ["files"])

    def test_fish(self):
        """fish"""
        (self.temporary / "a.jsonl").touch()
        self.check_shell("fish", FISH)
        self.assertIn("a.jsonl", self.shell("fish", FISH, "loopdog report a"))


if __name__ == "__main__":
    sys.exit(command.main())
