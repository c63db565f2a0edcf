#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_install.py - what other projects build with: the installed tree, the subproject, the examples

Each example is compiled as its first lines say, against a tree installed into a folder, and stalls once; built for a
release nothing of loopdog may be left in it. The middleware is tested with Debian's uvicorn and FastAPI.

Usage: as the other system tests, and --build FOLDER --source FOLDER

Context: system test
"""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

import clients
import harness

BUILD, SOURCE = (pathlib.Path(sys.argv.pop(sys.argv.index(option) + 1)) for option in ("--build", "--source"))
sys.argv = [argument for argument in sys.argv if argument not in ("--build", "--source")]
suite = harness.Suite("install")
EXAMPLES = {"libev": ("", "-lev"), "libevent": ("libevent", ""), "glib": ("glib-2.0", ""), "libuv": ("libuv", ""),
            "io_uring": ("liburing", "")}
STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g")


def command(*argv, env=None, cwd=None):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, env=env, cwd=cwd, timeout=120,
                          check=False)
    harness.check(done.returncode == 0, f"{argv[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def installed(place):
    """The tree in a folder of the case's own; returns the folder and the environment for pkg-config."""
    root = place.folder / "root"
    command("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root)
    library = next(root.rglob("libloopdog.so"))
    env = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=str(root), PKG_CONFIG_PATH=str(library.parent / "pkgconfig"))
    return library.parent, env


def prefix_of(place):
    return next((place.folder / "root").rglob("loopdog.h")).parents[1]


def example_of(place, name):
    """The installed one, which must be the one of the sources."""
    path = next((place.folder / "root").rglob(name))
    harness.check(path.read_bytes() == (SOURCE / "examples" / name).read_bytes(), f"{path} is another")
    return path


def flags(env, *packages):
    return command("pkg-config", "--cflags", "--libs", *filter(None, packages), env=env).split()


def ask(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(request)
        return client.recv(100)


NOT_ALLOWED = 77  # what the io_uring example ends with where the kernel does not let it


def run_example(place, program, libraries):
    try:
        server = place.start(program.name, [program], env={"LD_PRELOAD": "", "LD_LIBRARY_PATH": str(libraries)},
                             ready=lambda: (place.folder / f"{program.name}.output").read_text().strip())
    except harness.Failure:
        if place.programs[-1].process.poll() == NOT_ALLOWED:
            raise harness.Skip("io_uring is not allowed here") from None
        raise
    port = int(server.output())
    for request in (b"fast", b"slow", b"fast"):
        harness.check(ask(port, request) == b"done\n", "no answer")
        time.sleep(0.15)
    server.stop(code=-15)


def judge_example(place, name):
    book = place.read()
    harness.check(not book.complaints, f"{book.complaints}")
    stalls = book.all("stall")
    harness.check(len(stalls) == 1, f"{len(stalls)} stalls")
    stall = stalls[0]
    callback = stall.get("callback", {})
    harness.check(290e6 < stall["duration_ns"] < 1e9, f"{stall['duration_ns']} ns")
    harness.check(stall["loop"] == ("ring" if name == "io_uring" else "main"), f"loop {stall['loop']}")
    harness.check("on_client" in (callback.get("name"), callback.get("function")), f"callback {callback}")
    harness.check({"key": "request", "value": "slow"} in stall.get("labels", []), f"{stall.get('labels')}")
    harness.check(stall["culprit"]["function"] == "serve", f"culprit {stall['culprit']}")


@suite.case("beside the programs: schemas, a page for each command, completions of three shells")
def beside(place):
    installed(place)
    share = prefix_of(place) / "share"
    for name in ("record", "doctor"):
        harness.check((share / "loopdog" / f"{name}.schema.json").read_bytes() ==
                      (SOURCE / "docs" / f"{name}.schema.json").read_bytes(), f"{name}.schema.json differs")
    commands = command(BUILD / "tools" / "loopdog", "__complete", "").split()
    pages = {path.name for path in (share / "man" / "man1").iterdir()}
    harness.check({f"loopdog-{name}.1" for name in commands if name != "help"} | {"loopdog.1"} <= pages, f"{pages}")
    for file in ("bash-completion/completions/loopdog", "zsh/site-functions/_loopdog",
                 "fish/vendor_completions.d/loopdog.fish"):
        harness.check((share / file).is_file(), f"{file} is missing")


def add_example(name, package, more):
    def run(place):
        if package and subprocess.run(["pkg-config", "--exists", package], check=False).returncode != 0:
            raise harness.Skip(f"{package} is not installed")
        libraries, env = installed(place)
        source, program = example_of(place, f"{name}_server.c"), place.folder / f"{name}_server"
        others = [*(flags(None, package) if package else ()), *more.split()]
        command("cc", *STRICT, source, "-o", program, *flags(env, "loopdog"), *others)
        release = place.folder / f"{name}_release"
        command("cc", *STRICT, "-DNDEBUG", source, "-o", release, f"-I{prefix_of(place) / 'include'}", *others)
        harness.check("loopdog" not in command("nm", "-D", release) + command("ldd", release), "something is left")
        if place.plain:
            return
        run_example(place, program, libraries)
        judge_example(place, name)
    suite.add(f"example {name}", run, attempts=3)


for example in EXAMPLES.items():
    add_example(example[0], *example[1])


@suite.case("the static library of the installed tree")
def static(place):
    libraries, env = installed(place)
    program = place.folder / "static"
    command("cc", *STRICT, example_of(place, "libev_server.c"), "-o", program,
            *(f for f in flags(env, "loopdog") if f.startswith("-I")), libraries / "libloopdog.a", "-lev")
    harness.check("loopdog" not in command("ldd", program), "it needs the shared library")
    if not place.plain:
        run_example(place, program, libraries)
        judge_example(place, "libev")


@suite.case("an example built with AddressSanitizer, as debug builds are", attempts=3)
def sanitized(place):
    libraries, env = installed(place)
    program = place.folder / "sanitized"
    command("cc", *STRICT, "-fsanitize=address,undefined", example_of(place, "libev_server.c"), "-o", program,
            *flags(env, "loopdog"), "-lev")
    if place.plain:
        return
    run_example(place, program, libraries)
    judge_example(place, "libev")
    harness.check(not place.programs[-1].output().split("\n", 1)[1], place.programs[-1].output())


MESON = """project('host', 'c', default_options: ['c_std=c99'])
executable('host', 'host.c', dependencies: dependency('loopdog', fallback: 'loopdog'))
"""
HOST = """#include <loopdog.h>
#include <string.h>
int main(void)
{
        loopdog_loop *loop = loopdog_loop_open("main", NULL);
        loopdog_wait_begin(loop);
        loopdog_wait_end(loop);
        loopdog_loop_close(loop);
        return strcmp(loopdog_version(), LOOPDOG_VERSION);
}
"""


@suite.case("a project that takes loopdog as a subproject")
def subproject(place):
    host = place.folder / "host"
    (host / "subprojects" / "loopdog").mkdir(parents=True)
    (host / "meson.build").write_text(MESON)
    (host / "host.c").write_text(HOST)
    for name in ("meson.build", "meson_options.txt", "include", "src", "tools", "LICENSE"):
        whole = shutil.copytree if (SOURCE / name).is_dir() else shutil.copyfile
        whole(SOURCE / name, host / "subprojects" / "loopdog" / name)
    command("meson", "setup", host / "build", host, env=dict(os.environ, PKG_CONFIG_PATH="/nonexistent"))
    command("ninja", "-C", host / "build", "host")
    place.start("host", [host / "build" / "host"], preload=False).wait(10)


@suite.case("the ASGI middleware labels each stall of uvicorn and FastAPI", attempts=3)
def middleware(place):
    port = harness.free_port()
    installed(place)
    programs = f"{example_of(place, 'asgi_labels.py').parent}:{SOURCE / 'tests' / 'system' / 'python'}"
    server = place.start("uvicorn", ["/usr/bin/python3", "-m", "uvicorn", "--port", port, "labelled_application:app"],
                         env={"PYTHONPATH": programs, "PYTHONDONTWRITEBYTECODE": "1"}, port=port)
    others = [threading.Thread(target=clients.http_get, args=(port, path)) for path in ("/quick", "/users/42")]
    for other in others:
        other.start()
    for other in others:
        other.join()
    subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/wrong"], stdout=subprocess.DEVNULL, check=False)
    server.stop()
    if place.plain:
        return
    found = [{label["key"]: label["value"] for label in stall.get("labels", [])}
             for stall in place.read().stalls(startup=False)]
    harness.check(found == [{"request": "GET /users/42"}, {"request": "GET /wrong"}], f"labels {found}")
    harness.check(not place.book.complaints, f"{place.book.complaints}")


if __name__ == "__main__":
    sys.exit(suite.main())
