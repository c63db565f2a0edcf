# SPDX-License-Identifier: Apache-2.0
"""terminal.py - a program in a real terminal, which the test types into and reads

tmux is the terminal: of a server of our own, so that nobody's settings and sessions have to do with it. The program is
started by a shell that says with which code it ended.

Context: tests; Python's standard library only
"""

import itertools
import shlex
import subprocess

import harness

PATIENCE_S = 20     # for what takes milliseconds on an idle machine
NUMBERS = itertools.count()


class Terminal:
    """One pane. What stands in it is looked at again and again until it is as expected: nothing waits a fixed time."""

    def __init__(self, place, *argv, columns=80, lines=24, **environment):
        self.tmux_argv = [harness.need("tmux"), "-f", "/dev/null", "-S", str(place.folder / f"tmux{next(NUMBERS)}")]
        self.environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(place.folder),
                            "TMPDIR": str(place.folder), "SHELL": "/bin/sh", "PS1": "$ ", **environment}
        self.tmux("new-session", "-d", "-c", place.folder, "-x", columns, "-y", lines, "/bin/sh", "-i")
        self.tmux("set-option", "-g", "status", "off")
        self.command = " ".join(shlex.quote(str(word)) for word in argv)
        self.type_line(f"{self.command}; echo ended with $?")

    def tmux(self, *words):
        done = subprocess.run([*self.tmux_argv, *map(str, words)], env=self.environment, capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        harness.check(done.returncode == 0, f"tmux {words}: {done.stderr}")
        return done.stdout

    def keys(self, *names):
        """Keys by the names that tmux has for them: "q", "Enter", "C-z"."""
        self.tmux("send-keys", *names)

    def type_line(self, text):
        self.tmux("send-keys", "-l", text)
        self.keys("Enter")

    def resize(self, columns, lines):
        self.tmux("resize-window", "-x", columns, "-y", lines)

    def text(self):
        return self.tmux("capture-pane", "-p")

    def flag(self, name):
        """Of the terminal itself: "alternate_on", "cursor_flag"."""
        return self.tmux("display-message", "-p", "#{" + name + "}").strip() == "1"

    def until(self, condition, what):
        """Wait until condition(text of the pane) gives something, and return that."""
        last = ""

        def look():
            nonlocal last
            last = self.text()
            return condition(last)
        try:
            return harness.wait_until(look, PATIENCE_S, what)
        except harness.Failure as failure:
            raise harness.Failure(f"{failure}\n{last}") from None

    def until_shows(self, *words):
        return self.until(lambda text: all(word in text for word in words) and text, f"the pane shows {words}")

    def until_hides(self, word):
        return self.until(lambda text: word not in text and text, f"the pane does not show {word!r}")
