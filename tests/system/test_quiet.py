#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_quiet.py - programs that must not be reported: idle, busy with short callbacks, or no loops at all

Threshold 20 ms; --seconds says how long each case runs (3 in the normal run, 60 in soak.py). What the machine itself
does to a server (two shared cores, load generators beside it) can be a true stall of more than 20 ms, which loopdog
has to report. So where all that was reported is short (up to 5 thresholds), the case is tried again, three times at
most, and must be wholly quiet in one attempt; each failed one is shown, with the time that the threads waited for a
CPU. Anything else fails at once. Where a server is warmed up, LOOPDOG_GRACE declares that to be start-up.

Context: system test
"""

import http.server
import os
import pathlib
import pty
import select
import signal
import sys
import threading
import time

import clients
import harness
import servers
from servers import PYTHON

ATTEMPTS = 3
LOW = ["nice", "-n", "10"]  # load generators: the server must not wait for them

suite = harness.Suite("quiet")
SECONDS = suite.options.seconds


def quiet(title):
    return suite.case(title, attempts=ATTEMPTS)


class AtThreshold:
    """A Place whose programs all run with the group's threshold."""

    def __init__(self, place):
        self.place = place

    def __getattr__(self, name):
        return getattr(self.place, name)

    def start(self, name, argv, **options):
        options["env"] = {"LOOPDOG_GRACE": "2s", **options.get("env", {})}
        return self.place.start(name, argv, threshold="20ms", **options)


def no_file(place):
    """No loop: no file either."""
    place.expect_nothing(files=None if place.plain else 0)


def some_files(place, count=None, clean=True):
    book = place.expect_nothing(files=count if not place.plain else None, clean=clean)
    harness.check(place.plain or book.files, "there is no record file: nothing was watched")
    return book


def python(place, name, script, **options):
    return place.start(name, [PYTHON, place.write(f"{name}.py", script)], **options)


def load(place, argv, seconds=None):
    """Run a load generator at low priority to its end; it is not watched itself."""
    tool = place.start(pathlib.Path(argv[0]).name, LOW + argv, preload=False)
    tool.wait((seconds or SECONDS) + 30)
    return tool


def wrk(place, port, connections=4, path="/"):
    tool = load(place, [harness.need("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(SECONDS))}s",
                        f"http://127.0.0.1:{port}{path}"])
    harness.check("Non-2xx" not in tool.output() and "Requests/sec" in tool.output(), tool.output())


def warm(port, path="/", seconds=2.2):
    """Let the first requests import and compile what they need while it still counts as start-up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        clients.http_get(port, path)
        time.sleep(0.02)


# ---- servers ----


@quiet("idle servers: redis, nginx, memcached, haproxy, node, uvicorn")
def idle(place):
    place = AtThreshold(place)
    nginx = servers.nginx(place)[0]
    port = harness.free_port()
    memcached = place.start("memcached", [harness.need("memcached"), "-u", "memcache", "-l", "127.0.0.1", "-p", port],
                            port=port)
    argv, port = servers.haproxy_arguments(place, "-db")
    haproxy = place.start("haproxy", argv, port=port)
    others = [memcached, servers.redis(place)[0], servers.node(place)[0], servers.uvicorn(place, "asyncio")[0]]
    time.sleep(SECONDS)
    nginx.stop(signal.SIGQUIT)
    haproxy.stop(signal.SIGUSR1, code=None)
    for server in others:
        server.stop()
    book = some_files(place)
    seen = {line.get("program") for line in book.all("process")}
    harness.check(place.plain or len(seen) >= 6, f"only {seen} were watched")


@quiet("redis under redis-benchmark")
def busy_redis(place):
    place = AtThreshold(place)
    server, port = servers.redis(place)
    benchmark = [harness.need("redis-benchmark"), "-p", port, "-c", "8", "-n", "20000", "-t", "set,get,incr", "-q"]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        load(place, benchmark)
    server.stop()
    some_files(place, 1)


@quiet("nginx under wrk")
def busy_nginx(place):
    place = AtThreshold(place)
    server, port = servers.nginx(place)
    wrk(place, port)
    server.stop(signal.SIGQUIT)
    some_files(place)


@quiet("node under wrk")
def busy_node(place):
    place = AtThreshold(place)
    server, port = servers.node(place)
    warm(port)
    wrk(place, port)
    server.stop()
    some_files(place, 1)


for loop in ("asyncio", "uvloop"):
    def busy_uvicorn(place, loop=loop):
        place = AtThreshold(place)
        server, port = servers.uvicorn(place, loop)
        warm(port)
        wrk(place, port)
        server.stop()
        some_files(place, 1)
    suite.add(f"uvicorn on {loop} under wrk", busy_uvicorn, ATTEMPTS)


@quiet("a loop that polls with timeout 0 without end")
def zero(place):
    AtThreshold(place).start("zero", [pathlib.Path(suite.options.victims) / "quiet_zero", SECONDS]).wait(SECONDS + 20)
    some_files(place, 1)


# ---- programs that poll and select but are no loops ----


@quiet("bash -i running commands on a terminal: no file")
def bash(place):
    place = AtThreshold(place)
    master, slave = pty.openpty()
    shell = place.start("bash", [harness.need("bash"), "--norc", "--noprofile", "-i"], stdin=slave, stderr=slave)
    os.close(slave)
    end, said = time.monotonic() + SECONDS, b""

    def listen(seconds):
        nonlocal said
        while select.select([master], [], [], seconds)[0]:
            try:
                said += os.read(master, 65536)
            except OSError:  # the shell has closed its side
                return

    while time.monotonic() < end:
        for command in (b"ls /usr/bin | sort | tail -1\n", b"sleep 0.1\n", b"for i in 1 2 3; do true; done\n",
                        b"read -t 0.1 x; echo done-$((6 * 7))\n"):
            os.write(master, command)
            listen(0.3)
    os.write(master, b"exit 0\n")
    listen(0.3)
    shell.wait(10)
    os.close(master)
    harness.check("done-42" in shell.output() or b"done-42" in said, "the shell did not run its commands")
    no_file(place)


@quiet("make -j2: no file")
def make(place):
    place = AtThreshold(place)
    place.write("Makefile", "all: $(addprefix job,$(shell seq 1 20))\njob%:\n\t@sleep 0.1; $(MAKE) -s nothing\n"
                            "nothing:\n.PHONY: all nothing\n")
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        place.start("make", [harness.need("make"), "-j2"]).wait(60)
    no_file(place)


@quiet("apt-get -s install: no file")
def apt_get(place):
    place = AtThreshold(place)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        place.start("apt-get", [harness.need("apt-get"), "-s", "-q", "install", "bash", "hello"]).wait(60, code=None)
    no_file(place)


class SlowAnswer(http.server.BaseHTTPRequestHandler):
    """Answers after 300 ms, in pieces."""

    def do_GET(self):
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", "3000")
        self.end_headers()
        for _ in range(3):
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()
            time.sleep(0.03)

    def log_message(self, *_):
        pass


def slow_server():
    port = harness.free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), SlowAnswer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, port


@quiet("curl from a slow server: no file")
def curl(place):
    place = AtThreshold(place)
    server, port = slow_server()
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            place.start("curl", [harness.need("curl"), "-s", "-o", "got", f"http://127.0.0.1:{port}/"]).wait(20)
            harness.check((pathlib.Path(place.folder) / "got").stat().st_size == 3000, "curl got something else")
    finally:
        server.shutdown()
        server.server_close()
    no_file(place)


@quiet("git clone of a local repository: no file")
def git(place):
    place = AtThreshold(place)
    git_program = harness.need("git")
    work = place.folder / "work"
    for argv in (["init", "-q", work], ["-C", work, "config", "user.email", "a@b.c"],
                 ["-C", work, "config", "user.name", "a"]):
        place.start("git", [git_program, *argv]).wait(20)
    for index in range(200):
        (work / f"file{index}").write_text(f"{index}\n" * 500)
    place.start("git", [git_program, "-C", work, "add", "."]).wait(20)
    place.start("git", [git_program, "-C", work, "commit", "-q", "-m", "all"]).wait(20)
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        count += 1
        place.start("git", [git_program, "clone", "-q", f"file://{work}", place.folder / f"clone{count}"]).wait(60)
    no_file(place)


# ---- executors ----


def executor(place, name):
    victim = pathlib.Path(suite.options.victims) / name
    if not victim.exists():
        raise harness.Skip(f"{name} was not built: libboost-dev or a C++ compiler is missing")
    AtThreshold(place).start(name, [victim, SECONDS]).wait(SECONDS + 30)
    some_files(place, 1)


@quiet("an executor of Boost.Asio, four threads, idle after load")
def boost(place):
    executor(place, "quiet_boost")


@quiet("an executor of tokio's shape, four threads, idle after load")
def tokio(place):
    executor(place, "quiet_tokio")


# ---- Python ----

GUNICORN = """
import time

def app(environ, start_response):
    time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


@quiet("gunicorn with sync workers: a request at a time is what they do")
def gunicorn(place):
    place = AtThreshold(place)
    servers.need_modules("gunicorn")
    place.write("application.py", GUNICORN)
    port = harness.free_port()
    server = place.start("gunicorn", [PYTHON, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}",
                                      "application:app"], port=port, cwd=place.folder)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        clients.http_get(port, "/")
    server.stop(seconds=40)
    place.expect_nothing()


@quiet("two asyncio.run one after the other")
def two_runs(place):
    python(AtThreshold(place), "two_runs", f"""
import asyncio
import time

async def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(0.1)

for _ in range(2):
    asyncio.run(work({SECONDS / 2.5}))
    time.sleep({SECONDS / 10})
""").wait(SECONDS + 20)
    some_files(place, 1)


@quiet("uvicorn --reload")
def reload(place):
    place = AtThreshold(place)
    server, port = servers.uvicorn(place, "asyncio", "--reload")
    warm(port)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        clients.http_get(port, "/")
        time.sleep(0.1)
    server.stop(signal.SIGINT, code=None)
    some_files(place)


@quiet("uvicorn --workers 2")
def workers(place):
    place = AtThreshold(place)
    server, port = servers.uvicorn(place, "asyncio", "--workers", "2")
    warm(port, seconds=3)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        clients.http_get(port, "/")
        time.sleep(0.1)
    server.stop(code=None)
    some_files(place)


REQUESTS = """
import requests
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def hello():
    return {{"hello": "world"}}


@app.get("/fetch")
async def fetch():
    return len(requests.get("http://127.0.0.1:{port}/").content)
"""


@quiet("requests in a route on uvloop: that stall is found, nothing else")
def requests_in_route(place):
    place = AtThreshold(place)
    servers.need_modules("requests")
    slow, slow_port = slow_server()
    server, port = servers.uvicorn(place, "uvloop", application=REQUESTS.format(port=slow_port))
    try:
        warm(port, seconds=1)
        clients.http_get(port, "/fetch")
        warm(port, seconds=2)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.3)
            # The slow server says 300 ms, and 60 more between its pieces.
            place.planted.append(clients.http_stall(port, "/fetch", 360, cause="blocked"))
            clients.http_get(port, "/")
        server.stop()
    finally:
        slow.shutdown()
        slow.server_close()
    place.expect(files=None if place.plain else 1)


@quiet("thread pools and queues that wait beside an asyncio loop")
def pools(place):
    python(AtThreshold(place), "pools", f"""
import asyncio
import concurrent.futures
import queue
import threading
import time

waiting = queue.Queue()
threading.Thread(target=waiting.get, daemon=True).start()
threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start()
pool = concurrent.futures.ThreadPoolExecutor(4)

async def main():
    loop = asyncio.get_running_loop()
    end = time.monotonic() + {SECONDS}
    while time.monotonic() < end:
        await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 0.1) for _ in range(4)))
        await asyncio.sleep(0.3)

asyncio.run(main())
pool.shutdown()
""").wait(SECONDS + 20)
    some_files(place, 1)


if __name__ == "__main__":
    sys.exit(suite.main())
