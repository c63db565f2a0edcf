#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_python_web.py - Debian's Python web servers: each report names the line of the route that blocked

FastAPI by uvicorn on asyncio and on uvloop with all that people do in a coroutine by mistake, and what they do instead
and must not be reported; then Django, aiohttp, Tornado and gunicorn. Times are the routes' own.

Context: system test
"""

import contextlib
import functools
import importlib.util
import json
import os
import pathlib
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import blame
import clients
import harness
import servers

suite = harness.Suite("python_web", attempts=3)
APPLICATION = blame.PROGRAMS / "application.py"
SECONDS = 0.25
SHORTEST_S = 0.12

# Route: cause, what it called, words of the hint.
ROUTES = {
    "sleep": ("blocked", "time.sleep", "await asyncio.sleep"),
    "requests": ("blocked", "requests.api.get", "httpx.AsyncClient"),
    "urllib": ("blocked", "urllib.request.urlopen", "httpx.AsyncClient"),
    "sqlite": ("blocked", "sqlite3.Connection.execute", "aiosqlite"),
    "subprocess": ("blocked", "subprocess.run", "asyncio.create_subprocess_exec"),
    "json": ("cpu", "json.dumps", "process pool"),
    "regex": ("cpu", "re.match", "regular expression"),
    "pbkdf2": ("cpu", "_hashlib.pbkdf2_hmac", "run_in_threadpool"),
    "pbkdf2_held": ("cpu", "ctypes PKCS5_PBKDF2_HMAC", "process pool"),
    "crypt": ("cpu", "crypt.crypt", "process pool"),
    "extension": ("cpu", "blocking.busy", "process pool"),
    "busy": ("cpu", None, "await asyncio.sleep(0)"),
    "lock": ("blocked", "_thread.lock.acquire", "asyncio's own Lock"),
    "with_lock": ("blocked", "_thread.lock.__enter__", "asyncio's own Lock"),
    "lazy": ("blocked", "importlib._bootstrap._find_and_load", "top of the module"),
    "fifo": ("blocked", "_io.TextIOWrapper.read", "aiofiles"),
    "fifo_open": ("blocked", "io.open|_io.open", "aiofiles"),
}
QUIET = "plain_def", "run_in_threadpool", "to_thread", "sleep", "process_pool"


def environment(place, **more):
    packages = place.folder / "site-packages"
    return {"PYTHONPATH": f"{packages}:{blame.PROGRAMS}", "PYTHONDONTWRITEBYTECODE": "1", **more}


def uvicorn(place, application, *options, env=None, before=(), **how):
    port = harness.free_port()
    argv = [*before, servers.PYTHON, "-m", "uvicorn", application, "--port", port, "--no-access-log", *options]
    server = place.start("uvicorn", argv, env=environment(place, **(env or {})), port=port, seconds=30, **how)
    return server, settled(port)


def settled(port):
    """The server's port, once its loop has slept: before, it is starting up."""
    clients.http_get(port, "/")
    time.sleep(0.2)
    return port


def ask(place, port, path, **claims):
    """Ask a route that blocks, and plan what must be reported of it."""
    began = time.monotonic()
    said = json.loads(clients.http_get(port, path))
    took = time.monotonic() - began
    harness.check(SHORTEST_S <= said["seconds"] <= took, f"{path}: {said}, answered after {took * 1000:.0f} ms")
    place.planted.append(blame.planted({"name": path, **said}, task=said["task"], **claims))
    clients.http_get(port, "/")


# ---- FastAPI ----


def ask_route(place, port, name, cause, called, file=APPLICATION, **claims):
    ask(place, port, f"/{name}", cause=cause, **{
        "culprit": f"route_{name}", "file": file, "mark": name, "called": called,
        "coroutine": "RequestResponseCycle.run_asgi", **claims})


@contextlib.contextmanager
def locked_database(place):
    """Another process (this one) has the database for itself."""
    connection = sqlite3.connect(place.folder / "database", isolation_level=None)
    connection.execute("begin exclusive")
    yield
    connection.execute("rollback")
    connection.close()


@contextlib.contextmanager
def slow_writer(place, before_s=0, within_s=0):
    """Somebody opens the FIFO and writes, each after a while."""
    def write():
        time.sleep(before_s)
        with contextlib.suppress(BrokenPipeError), open(place.folder / "fifo", "w") as fifo:
            time.sleep(within_s)
            fifo.write("data")
    writer = threading.Thread(target=write)
    writer.start()
    yield
    writer.join()


AROUND = {"sqlite": locked_database, "fifo": functools.partial(slow_writer, within_s=SECONDS),
          "fifo_open": functools.partial(slow_writer, before_s=SECONDS)}


def prepare(place):
    """What the routes need beside the application."""
    extension = pathlib.Path(suite.options.victims) / "blocking.so"
    if not extension.exists():
        raise harness.Skip("blocking.so was not built: python3-dev is missing")
    servers.need_modules("fastapi", "uvicorn", "requests")
    connection = sqlite3.connect(place.folder / "database")
    connection.execute("create table numbers (number integer)")
    connection.close()
    os.mkfifo(place.folder / "fifo")
    (place.folder / "site-packages").mkdir()
    shutil.copy(extension, place.folder / "site-packages")
    place.write("site-packages/slow_library.py", "import time\ntime.sleep(0.25)\n")
    port = harness.free_port()
    place.start("slow", [servers.PYTHON, blame.PROGRAMS / "slow_server.py", port], port=port, preload=False)
    return str(port)


def check_routes(place, loop):
    slow_port = prepare(place)
    if loop == "uvloop":
        servers.need_modules("uvloop")
    server, port = uvicorn(place, "application:app", "--loop", loop, env={"SLOW_PORT": slow_port})
    for name, (cause, called, _) in ROUTES.items():
        with AROUND.get(name, contextlib.nullcontext)(*([place] if name in AROUND else [])):
            ask_route(place, port, name, cause, called)
    ask_route(place, port, "lazy_own", "blocked", "time.sleep", file=blame.PROGRAMS / "imported.py", mark="imported",
              culprit="<module>", chain=("<module>", "route_lazy_own"))
    for name in QUIET:
        clients.http_get(port, f"/quiet/{name}")
    server.stop()
    book = blame.expect(place, files=None if place.plain else 1)
    if not place.plain:
        check_hints(place, book)


def check_hints(place, book):
    """Each route has the advice that fits it, unless the machine was so busy that the route is not to blame."""
    for stall in book.stalls(startup=False):
        name = stall["culprit"]["function"].replace("route_", "")
        if name in ROUTES and stall["cause"] == ROUTES[name][0]:
            shown, _ = blame.command(place, "report", "--culprit", stall["culprit"]["function"], place.records_folder)
            blame.check_words(shown, ROUTES[name][2])


@suite.case("FastAPI on asyncio: each route that blocks to its line; none that does not")
def asyncio(place):
    check_routes(place, "asyncio")


@suite.case("FastAPI on uvloop: the same")
def uvloop(place):
    check_routes(place, "uvloop")


# ---- PostgreSQL ----


def postgresql(place):
    """A cluster of its own on a socket in the case's folder."""
    harness.need_root()
    servers.need_modules("psycopg2")
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise harness.Skip("postgresql is not installed")
    user = pwd.getpwnam("postgres")
    folder = place.folder / "postgresql"
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    data = folder / "data"
    made = subprocess.run([found[-1], "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "--no-instructions",
                           "--no-locale", "-E", "UTF8"], user="postgres", cwd="/", env={"PATH": "/usr/bin:/bin"},
                          capture_output=True, text=True, check=False)
    harness.check(made.returncode == 0, f"initdb: {made.stderr}")
    argv = [found[-1].parent / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off",
            "-c", "shared_buffers=1MB", "-c", "autovacuum=off"]
    return place.start("postgresql", argv, user="postgres", preload=False, seconds=30,
                       ready=lambda: "ready to accept connections" in (place.folder / "postgresql.output").read_text())


@suite.case("FastAPI with psycopg2 and a real PostgreSQL, on asyncio and uvloop: pg_sleep")
def psycopg2(place):
    slow_port = prepare(place)
    database = postgresql(place)
    for loop in "asyncio", "uvloop":
        server, port = uvicorn(place, "application:app", "--loop", loop, env={"SLOW_PORT": slow_port})
        clients.http_get(port, "/psycopg2/connect")
        ask_route(place, port, "psycopg2", "blocked", "psycopg2.extensions.cursor.execute")
        server.stop()
    database.stop()
    blame.expect(place, files=None if place.plain else 2)


# ---- names ----

DNS = "127.7.7.53"


@contextlib.contextmanager
def slow_name_server():
    """Says after a while that there is no such name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind((DNS, 53))
        except OSError as problem:
            raise harness.Skip(f"can't listen on {DNS}:53: {problem}") from problem
        server.settimeout(0.1)
        end = threading.Event()

        def answer():
            waiting = []
            while not end.is_set():
                with contextlib.suppress(TimeoutError):
                    waiting.append((time.monotonic() + SECONDS, *server.recvfrom(512)))
                    server.settimeout(0.005)
                while waiting and waiting[0][0] <= time.monotonic():
                    _, question, asker = waiting.pop(0)
                    server.sendto(question[:2] + b"\x81\x83" + question[4:6] + b"\0" * 6 + question[12:], asker)
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


@suite.case("FastAPI: getaddrinfo with a slow name server, in a mount namespace with a resolv.conf of its own")
def getaddrinfo(place):
    harness.need_root()
    slow_port = prepare(place)
    resolv = place.write("resolv.conf", f"nameserver {DNS}\noptions timeout:5 attempts:1\n")
    before = [harness.need("unshare"), "-m", "sh", "-c",
              f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
    tried = subprocess.run([*before, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise harness.Skip(f"no mount namespace of its own: {tried.stderr.strip()}")
    with slow_name_server():
        for loop in "asyncio", "uvloop":
            server, port = uvicorn(place, "application:app", "--loop", loop, env={"SLOW_PORT": slow_port},
                                   before=before)
            ask_route(place, port, "getaddrinfo", "blocked", "socket.getaddrinfo")
            server.stop()
    blame.expect(place, files=None if place.plain else 2)


# ---- other frameworks ----


def check_block(place, server, port, name, culprit, coroutine):
    """One route that blocks and one that does not."""
    ask(place, port, "/block", cause="blocked", culprit=culprit, file=blame.PROGRAMS / f"{name}_application.py",
        mark="block", called="time.sleep", coroutine=coroutine)
    clients.http_get(port, "/quiet")
    server.stop()
    blame.expect(place, files=None if place.plain else 1)


@suite.case("Django (ASGI) by uvicorn: the view's line; a view in the thread pool is not reported")
def django(place):
    servers.need_modules("django", "uvicorn")
    server, port = uvicorn(place, "django_application:application", "--loop", "asyncio")
    check_block(place, server, port, "django", "block", "RequestResponseCycle.run_asgi")


def start_server(place, name, *options):
    port = harness.free_port()
    argv = [servers.PYTHON, blame.PROGRAMS / f"{name}_application.py", port, *options]
    return place.start(name, argv, env=environment(place), port=port, seconds=30), settled(port)


@suite.case("aiohttp: the handler's line")
def aiohttp(place):
    servers.need_modules("aiohttp")
    server, port = start_server(place, "aiohttp")
    check_block(place, server, port, "aiohttp", "block", "RequestHandler._handle_request")


@suite.case("Tornado: the handler's line")
def tornado(place):
    servers.need_modules("tornado")
    server, port = start_server(place, "tornado")
    check_block(place, server, port, "tornado", "Block.block", "RequestHandler._execute")


@suite.case("gunicorn with uvicorn's worker: the route's line, in the worker's own file")
def gunicorn(place):
    slow_port = prepare(place)
    port = harness.free_port()
    argv = [harness.need("gunicorn"), "-k", "uvicorn.workers.UvicornWorker", "-w", "1", "-b", f"127.0.0.1:{port}",
            "--worker-tmp-dir", place.folder, "application:app"]
    server = place.start("gunicorn", argv, env=environment(place, SLOW_PORT=slow_port), port=port, seconds=30)
    settled(port)
    ask_route(place, port, "sleep", "blocked", "time.sleep")
    server.stop()
    blame.expect(place, files=None if place.plain else 1)


@suite.case("uwsgi, a server in C with a libpython of its own: the application's line between its own functions")
def uwsgi(place):
    port = harness.free_port()
    if not pathlib.Path("/usr/lib/uwsgi/plugins/python3_plugin.so").exists():
        raise harness.Skip("uwsgi-plugin-python3 is not installed")
    argv = [harness.need("uwsgi"), "--plugin", "python3", "--http-socket", f"127.0.0.1:{port}", "--need-app",
            "--wsgi-file", blame.PROGRAMS / "wsgi_application.py", "--die-on-term", "--disable-logging"]
    server = place.start("uwsgi", argv, env=environment(place, LOOPDOG_LOOPS="all"), port=port, seconds=30)
    settled(port)
    ask(place, port, "/block", cause="blocked", culprit="block", file=blame.PROGRAMS / "wsgi_application.py",
        mark="block", called="time.sleep", coroutine="",
        chain=("clock_nanosleep", "block", "application", "python_call", "uwsgi_request_wsgi", "main"))
    server.stop(code=30)  # so it ends without a master
    blame.expect(place, files=None if place.plain else 1)


# ---- LOOPDOG_OWN ----


def check_installed(place, env, **claims):
    """The application is installed as a package would be, and nothing else is the user's."""
    slow_port = prepare(place)
    folder = place.folder / "site-packages"
    for name in "application.py", "truth.py":
        shutil.copy(blame.PROGRAMS / name, folder / name.replace("application", "installed"))
    server, port = uvicorn(place, "installed:app", "--loop", "asyncio", env={"SLOW_PORT": slow_port, **env})
    ask_route(place, port, "requests", "blocked", **claims)
    server.stop()
    blame.expect(place, files=None if place.plain else 1)


@suite.case("LOOPDOG_OWN: an application in site-packages is blamed with it")
def installed_own(place):
    file = place.folder / "site-packages" / "installed.py"
    check_installed(place, {"LOOPDOG_OWN": str(file)}, file=file, called="requests.api.get")
    if not place.plain:
        line, = blame.lines_of(file, "requests")
        out, _ = blame.command(place, "report", place.records_folder)
        head = f"in route_requests() at {file.name}:{line} calling requests.api.get, blocked in recvfrom"
        blame.check_words(out, head,
                          "requests.get(SLOW)  # requests", f"asyncio task {place.planted[0].task}, coroutine "
                          "RequestResponseCycle.run_asgi", "hint: requests is synchronous: await an httpx.AsyncClient")


@suite.case("without LOOPDOG_OWN the innermost library is: what requests asks for the answer")
def installed_foreign(place):
    servers.need_modules("urllib3")
    library = pathlib.Path(importlib.util.find_spec("urllib3.connectionpool").origin)
    check_installed(place, {}, file=library, mark="", culprit="HTTPConnectionPool._make_request",
                    called="http.client.HTTPConnection.getresponse")


if __name__ == "__main__":
    sys.exit(suite.main())
