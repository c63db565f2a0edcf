#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_python.py - stalls in Python, each reported with the line that made it

Every CPython from 3.8 to 3.13 that is on this machine (Debian's, and pyenv's where they are), the interpreter's lock,
C extensions, a program that embeds Python, sub-interpreters, and what `loopdog run` and `report` print of it. Real
servers are in test_python_web.py.

Context: system test
"""

import functools
import os
import pathlib
import shutil
import subprocess
import sys

import blame
import harness
import records
import servers

suite = harness.Suite("python", attempts=3)
VERSIONS = range(8, 14)

# Stall of plain.py: cause, function, coroutine (None: no claim), what was called (None: no claim), and the chain.
PLAIN = {
    "sleep": ("blocked", "sleep", "sleep", "time.sleep", ("clock_nanosleep|select", "sleep", "Handle._run")),
    "method": ("blocked", "Server.serve", "Server.handle", "time.sleep", ("Server.serve", "Server.handle")),
    "closure": ("blocked", "outer.<locals>.inner", "closure", "time.sleep", ("outer.<locals>.inner", "outer")),
    "busy": ("cpu", "busy", "busy", None, ("busy", "Handle._run")),
    "generator": ("cpu", "count", "generator", None, ("count", "generator", "Handle._run")),
    "recursion": ("blocked", "deep", "recursion", "time.sleep", ("deep",) * 61 + ("recursion", "Handle._run")),
    "through_c": ("blocked", "sleep_a_little.<locals>.<lambda>", "through_c", "time.sleep",
                  ("sleep_a_little.<locals>.<lambda>", "sleep_a_little", "through_c.<locals>.<lambda>", "through_c")),
    "init": ("blocked", "Slow.__init__", "init", "time.sleep", ("Slow.__init__", "init")),
    "dumps": ("cpu", "dumps", "dumps", "json.dumps", ("dumps", "dumps", "Handle._run")),
    "regex": ("cpu", "regex", "regex", "re.match", ("match", "regex", "Handle._run")),
    "pbkdf2": ("cpu", "pbkdf2", "pbkdf2", "_hashlib.pbkdf2_hmac", ("pbkdf2", "Handle._run")),
    "sqlite": ("cpu", "sqlite", "sqlite", "sqlite3.Connection.execute", ("sqlite", "Handle._run")),
    "lock": ("blocked", "lock", "lock", "_thread.lock.acquire", ("lock", "Handle._run")),
    "executed": ("blocked", "made", "executed", "time.sleep", ("made", "<module>", "executed", "Handle._run")),
    "names": ("blocked", "sleep_named", "sleep_named", "time.sleep", ("sleep_named", "Handle._run")),
    "with_lock": ("blocked", "with_lock", "with_lock", "_thread.lock.__enter__", ("with_lock", "Handle._run")),
    "rows": ("cpu", "rows", "rows", "sqlite3.Cursor.__next__", ("rows", "Handle._run")),
    "foreign": ("blocked", "foreign", "foreign", "ctypes usleep", ("foreign", "Handle._run")),
    "subclass": ("blocked", "sleep_in_subclass", "sleep_in_subclass", "time.sleep",
                 ("sleep_in_subclass", "Handle._run")),
    "eager": ("blocked", "sleep_eagerly", "sleep_eagerly", "time.sleep", ("sleep_eagerly", "Handle._run")),
    "python_task": ("blocked", "sleep_in_python_task", "sleep_in_python_task", "time.sleep",
                    ("sleep_in_python_task", "Handle._run")),
}


def find_python(minor):
    """The CPython of pyenv with this minor version."""
    folder = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv") / "versions"
    for python in sorted(folder.glob(f"3.{minor}.*/bin/python3")):
        return python
    raise harness.Skip(f"no CPython 3.{minor} in {folder}")


def version_of(python):
    said = subprocess.run([python, "-c", "import sys; print(sys.version_info.minor)"], env={}, capture_output=True,
                          text=True, check=True)
    return int(said.stdout)


def environment(place, **more):
    """Programs import what lies beside them; nothing is written there."""
    return {"PYTHONPATH": f"{place.folder / 'site-packages'}:{blame.PROGRAMS}", "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(place, argv, *, env=None, seconds=60, **how):
    """Run a watched program to its end; what it says that it planted."""
    program = place.start("python", argv, env=environment(place, **(env or {})), **how)
    program.wait(seconds)
    said = blame.read_truth(program)
    harness.check(said, "nothing was planted")
    return said


def named(minor, name):
    """Functions have qualified names from 3.11 on."""
    return name if minor >= 11 else name.rpartition(".")[2]


def plain_claims(minor, name):
    cause, function, coroutine, called, chain = PLAIN[name]
    path = blame.PROGRAMS / "plain.py"
    return {"cause": cause, "culprit": named(minor, function), "called": called, "coroutine": named(minor, coroutine),
            "chain": tuple(named(minor, link) for link in chain if "|" not in link),
            "file": "made.py" if name == "executed" else path, "mark": "" if name == "executed" else name,
            "holder": None if name == "with_lock" else ""}  # who lets the lock go has the GIL in the end


def check_plain(place, argv, minor, *stalls, **how):
    """Run plain.py, all of its stalls or some, and check each to the line."""
    said = run(place, [*argv, blame.PROGRAMS / "plain.py", *stalls], **how)
    names = [line["name"] for line in said]
    harness.check(names == (list(stalls) or list(PLAIN)), f"planted were {names}")
    place.planted = [blame.planted(line, task=line["task"], **plain_claims(minor, line["name"])) for line in said]
    return blame.expect(place, files=None if place.plain else 1)


# ---- versions ----


@suite.case("Debian's Python: each stall of plain.py to the line")
def debian(place):
    check_plain(place, [servers.PYTHON], version_of(servers.PYTHON))


def add_version(minor):
    @suite.case(f"CPython 3.{minor}: each stall of plain.py to the line")
    def version(place):
        check_plain(place, [find_python(minor)], minor)


for _minor in VERSIONS:
    add_version(_minor)


@suite.case("CPython 3.7: native frames, and it is said once why")
def unknown_version(place):
    python = find_python(7)
    with open(place.folder / "stderr", "wb") as stderr:
        said = run(place, [python, blame.PROGRAMS / "plain.py", "sleep", "busy", "regex"], stderr=stderr)
    place.planted = [blame.planted(line, python=False, cause=PLAIN[line["name"]][0], called="", task="", coroutine="")
                     for line in said]
    book = blame.expect(place, files=None if place.plain else 1)
    if not place.plain:
        notices = (place.folder / "stderr").read_text().splitlines()
        harness.check(len(notices) == 1 and "no Python frames" in notices[0] and "3.7" in notices[0],
                      f"not one notice: {notices}")
        harness.check(len(book.stalls(startup=False)) == 3, "three stalls were planted")


def add_trampolines(minor):
    @suite.case(f"CPython 3.{minor} -X perf: the trampolines do not end the stack")
    def trampolines(place):
        stalls = "sleep", "closure", "generator", "recursion", "through_c", "regex", "executed"
        try:
            check_plain(place, [find_python(minor), "-X", "perf"], minor, *stalls)
        finally:
            for program in place.programs:
                pathlib.Path(f"/tmp/perf-{program.pid}.map").unlink(missing_ok=True)


for _minor in (12, 13):
    add_trampolines(_minor)


# ---- code that is freed as soon as it has run ----


@suite.case("a large import: every sample has its Python frames")
def importing(place):
    servers.need_modules("fastapi")
    program = blame.PROGRAMS / "importing.py"
    # A fast machine imports it in 65 ms.
    said = run(place, [servers.PYTHON, program], env={"LOOPDOG_INTERVAL": "2ms"}, threshold="20ms")
    place.planted = [blame.planted(line, cause="cpu", culprit="importing", file=program, mark="importing",
                                   task=line["task"], coroutine="importing",
                                   called="importlib._bootstrap._find_and_load") for line in said]
    blame.expect(place, files=None if place.plain else 1)


# ---- the interpreter's lock ----

GIL = blame.PROGRAMS / "gil.py"


def add_gil(title, name, find=lambda: servers.PYTHON, **claims):
    @suite.case(f"GIL: {title}")
    def gil(place):
        said = run(place, [find(), GIL, name])
        place.planted = [blame.planted(line, cause="gil", file=GIL, **claims) for line in said]
        blame.expect(place, files=None if place.plain else 1)


add_gil("another thread keeps it in a regular expression", "behind_c", holder="match_long", holder_mark="match")
add_gil("another thread computes in Python and is not asked for it", "behind_python", holder="compute",
        holder_mark="compute")
add_gil("a short callback has to wait for it 60 times", "convoy", culprit="short", mark="short",
        called="_hashlib.openssl_sha256", coroutine="short", holder="compute", holder_mark="compute")
for _minor in VERSIONS:
    add_gil(f"the first in CPython 3.{_minor}", "behind_c", functools.partial(find_python, _minor), holder="match_long",
            holder_mark="match")

# ---- the end ----


@suite.case("the end of the interpreter, with uvloop's epoll instance still open, is no stall")
def ending(place):
    servers.need_modules("uvloop")
    file = blame.PROGRAMS / "ending.py"
    said = run(place, [servers.PYTHON, file])
    place.planted = [blame.planted(line, cause="blocked", file=file) for line in said]
    blame.expect(place, files=None if place.plain else 1)


# ---- C code on the loop's own thread ----

EXTENSION = blame.PROGRAMS / "extension.py"


def install_extension(place, name, needs):
    """The extension as a package manager would install it."""
    source = pathlib.Path(suite.options.victims) / f"{name}.so"
    if not source.exists():
        raise harness.Skip(f"{source.name} was not built: {needs} is missing")
    folder = place.folder / "site-packages"
    folder.mkdir()
    shutil.copy(source, folder)


def check_extension(place, claims, program=EXTENSION, name="blocking", needs="python3-dev", **how):
    install_extension(place, name, needs)
    said = run(place, [servers.PYTHON, program, *claims], **how)
    place.planted = [blame.planted(line, task=line["task"], coroutine=line["name"], **claims[line["name"]])
                     for line in said]
    return blame.expect(place, files=None if place.plain else 1)


def on_line(name, cause, called, file=EXTENSION, **more):
    return {"cause": cause, "culprit": name, "file": file, "mark": name, "called": called, **more}


@suite.case("extension: the Python line that called C code which keeps the lock, or lets it go")
def extension(place):
    check_extension(place, {
        "busy_held": on_line("busy_held", "cpu", "blocking.busy", chain=("compute", "blocking_busy", "busy_held")),
        "sleep_held": on_line("sleep_held", "blocked", "blocking.sleep",
                              chain=("pause_for", "blocking_sleep", "sleep_held")),
        "busy_released": on_line("busy_released", "cpu", "blocking.busy_released", chain=("compute", "busy_released")),
        "pydll": on_line("pydll", "blocked", None, chain=("usleep", "ffi_call", "pydll")),
        "mixed": {"cause": "blocked", "culprit": "third", "file": EXTENSION, "mark": "mixed", "called": "time.sleep",
                  "chain": ("third", "blocking_call", "second", "blocking_call", "first", "mixed", "Handle._run")},
    })


@suite.case("extension: with its folder in LOOPDOG_OWN its function is to blame")
def own_extension(place):
    book = check_extension(place, {"busy_held": {"cause": "cpu", "culprit": "compute", "called": "",
                                                 "chain": ("compute", "blocking_busy", "busy_held")}},
                           env={"LOOPDOG_OWN": str(place.folder / "site-packages")})
    for stall in book.stalls(startup=False):
        harness.check(stall["culprit"]["module"] == str(place.folder / "site-packages" / "blocking.so"),
                      f"culprit {stall['culprit']}")


@suite.case("extension made by Cython: the Python line that called it, and those that it calls")
def cython(place):
    program = blame.PROGRAMS / "cython_calls.py"
    check_extension(place, {
        "held": on_line("held", "blocked", "cythonic.sleep", program,
                        chain=("__pyx_pw_8cythonic_1sleep", "held", "Handle._run")),
        "bound": on_line("bound", "blocked", "cythonic.bound_sleep", program,
                         chain=("__pyx_pw_8cythonic_3bound_sleep", "bound", "Handle._run")),
        "through": on_line("through", "blocked", "time.sleep", program, culprit="inner", chain=(
            "inner", "__pyx_pw_8cythonic_6Caller_1call", "through.<locals>.<lambda>",
            "__pyx_pw_8cythonic_6Caller_1call", "through", "Handle._run")),
    }, program, "cythonic", "cython3")


# ---- embedded and sub-interpreters ----


def embedded_program():
    path = pathlib.Path(suite.options.victims) / "python_embedded"
    if not path.exists():
        raise harness.Skip("python_embedded was not built: libpython3-dev is missing")
    return path


@suite.case("embedded: a C program with a libpython of its own")
def embedded(place):
    check_plain(place, [embedded_program()], 11, "sleep", "method", "busy", "through_c", "dumps", "regex", "lock")


@suite.case("embedded: the program's own functions stand between those in Python")
def embedded_between(place):
    said = run(place, [embedded_program(), EXTENSION, "mixed"])
    chain = ("third", "blocking_call", "second", "blocking_call", "first", "mixed", "Handle._run", "<module>",
             "run_script", "main", "_start")
    place.planted = [blame.planted(line, cause="blocked", culprit="third", file=EXTENSION, mark="mixed", chain=chain,
                                   called="time.sleep", task=line["task"], coroutine="mixed") for line in said]
    blame.expect(place, files=None if place.plain else 1)


def check_subinterpreter(place, python, minor):
    said = run(place, [python, blame.PROGRAMS / "subinterpreter.py"])
    place.planted = [blame.planted(line, cause="blocked", culprit="block", file=blame.PROGRAMS / "within.py",
                                   mark="within", called="time.sleep", task=line["task"], coroutine="run_within",
                                   chain=("block", "<module>", "run_within", named(minor, "Handle._run")))
                     for line in said]
    blame.expect(place, files=None if place.plain else 1)


@suite.case("sub-interpreter, Debian's Python: its frame is to blame")
def subinterpreter(place):
    check_subinterpreter(place, servers.PYTHON, version_of(servers.PYTHON))


def add_subinterpreter(minor):
    @suite.case(f"sub-interpreter, CPython 3.{minor}: its frame is to blame")
    def version(place):
        check_subinterpreter(place, find_python(minor), minor)


for _minor in VERSIONS:
    add_subinterpreter(_minor)


# ---- the command ----


def words_of_sleep():
    path = blame.PROGRAMS / "plain.py"
    line, = blame.lines_of(path, "sleep")
    source = path.read_text().splitlines()[line - 1].strip()
    return (f"in sleep() at {path}:{line}", "calling time.sleep", source, "asyncio task Task-2, coroutine sleep",
            "hint: time.sleep blocks the loop; await asyncio.sleep")


@suite.case("the command: run prints the line, what it calls, its source, the task and a hint; so does report")
def commands(place):
    if place.plain:
        raise harness.Skip("nothing to see without the agent")
    saved = place.folder / "saved.jsonl"
    _, err = blame.command(place, "run", "-o", saved, "--", servers.PYTHON, blame.PROGRAMS / "plain.py", "sleep",
                           env=environment(place))
    blame.check_words(err, *words_of_sleep())
    out, _ = blame.command(place, "report", saved)
    blame.check_words(out, *words_of_sleep())


if __name__ == "__main__":
    sys.exit(suite.main())
