# SPDX-License-Identifier: Apache-2.0
"""throughput.py - real servers with the agent against without

In each round fresh servers are started: two plain ones, one with the agent, for uvicorn also one in asyncio's debug
mode (the watching that its users have today). All sit on the same CPU, the load generator on another; they are loaded
in turns, in an order that changes each time, so that what the machine does meanwhile falls on all alike. Fresh
servers a round, because the layout of memory alone is worth a per cent.

A round gives one ratio; the figure is the median of the rounds. Requests a second tell only where the server, not the
load generator, is the bottleneck: the server's CPU time a request and its share of its CPU stand beside it.

Context: bench; Python's standard library only
"""

import dataclasses
import itertools
import pathlib
import re
import sys

import machine
from machine import Broken
from measure import NOT_RESOLVED, Figure, Ratio, median

LEAST = 0.99
HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's, for which Debian packages FastAPI
PLAIN, AGAIN, AGENT, DEBUG = "plain", "plain again", "agent", "asyncio debug"


@dataclasses.dataclass
class Load:
    requests: int
    seconds: float


def wrk(port, seconds, path="/"):
    """Load of whole seconds by 50 connections that are kept open."""
    client = machine.Process([machine.need("wrk"), "-t1", "-c50", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"],
                             machine.environment(), cpu=machine.load_cpu())
    client.wait(seconds + 15)
    output = client.output()
    found = re.search(r"(\d+) requests in ([\d.]+)s", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if not found or not rate or "Non-2xx" in output or "Socket errors" in output:
        raise Broken(f"wrk: {output}")
    return Load(int(found[1]), int(found[1]) / float(rate[1]))


class Redis:
    """GET or SET, 50 clients, `pipeline` commands in flight each."""

    def __init__(self, command, pipeline):
        self.name = f"redis {command}, " + (f"pipelined {pipeline}" if pipeline > 1 else "not pipelined")
        self.command, self.pipeline, self.rate = command, pipeline, 20000
        self.sides = (PLAIN, AGAIN, AGENT)

    def start(self, side, folder, environment):
        port = machine.free_port()
        server = machine.Process([machine.need("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "",
                                  "--appendonly", "no", "--dir", folder], environment, cpu=machine.server_cpu())
        return server, port, server.pid

    def load(self, port, seconds):
        """redis-benchmark wants a number of requests: as many as took that long last time."""
        requests = max(1000, int(self.rate * seconds))
        client = machine.Process([machine.need("redis-benchmark"), "-p", port, "-c", "50", "-P", self.pipeline, "-n",
                                  requests, "-t", self.command.lower(), "--csv"],
                                 machine.environment(), cpu=machine.load_cpu())
        client.wait(seconds * 20 + 30)
        found = re.search(rf'^"{self.command}","([\d.]+)"', client.output(), re.MULTILINE)
        if not found:
            raise Broken(f"redis-benchmark: {client.output()}")
        self.rate = float(found[1])
        return Load(requests, requests / self.rate)


NGINX_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # where only root may write by default


class Nginx:
    """A static file of 1 KB by one worker."""
    name = "nginx, static file"
    sides = (PLAIN, AGAIN, AGENT)

    def start(self, side, folder, environment):
        port = machine.free_port()
        (folder / "file").write_text("x" * 1023 + "\n")
        (folder / "nginx.conf").write_text(
            f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; keepalive_requests 1000000000;\n" +
            "".join(f"  {what}_temp_path {folder}/{what};\n" for what in NGINX_TEMPORARY) +
            f"  server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n")
        server = machine.Process([machine.need("nginx"), "-p", folder, "-c", folder / "nginx.conf"], environment,
                                 cpu=machine.server_cpu())
        workers = machine.wait_until(lambda: machine.descendants(server.pid), 10, "nginx's worker")
        return server, port, workers[0]

    def load(self, port, seconds):
        return wrk(port, seconds, "/file")


class Node:
    name = "node, http hello"
    sides = (PLAIN, AGAIN, AGENT)

    def start(self, side, folder, environment):
        port = machine.free_port()
        server = machine.Process([machine.need("node"), HERE / "hello.js", port], environment,
                                 cpu=machine.server_cpu(), folder=folder)
        return server, port, server.pid

    def load(self, port, seconds):
        return wrk(port, seconds)


class Uvicorn:
    """A FastAPI route; the debug mode is asyncio's, which uvloop has as well."""
    sides = (PLAIN, AGAIN, AGENT, DEBUG)

    def __init__(self, loop):
        self.name, self.loop = f"uvicorn on {loop}, FastAPI route", loop

    def start(self, side, folder, environment):
        port = machine.free_port()
        if side == DEBUG:
            environment = {**environment, "PYTHONASYNCIODEBUG": "1"}
        server = machine.Process([PYTHON, "-m", "uvicorn", "--app-dir", HERE, "--port", port, "--loop", self.loop,
                                  "--no-access-log", "--log-level", "warning", "fastapi_app:app"],
                                 {**environment, "PYTHONDONTWRITEBYTECODE": "1"},
                                 cpu=machine.server_cpu(), folder=folder)
        return server, port, server.pid

    def load(self, port, seconds):
        return wrk(port, seconds)


WORKLOADS = [Redis("GET", 1), Redis("GET", 16), Redis("SET", 1), Redis("SET", 16), Nginx(), Node(),
             Uvicorn("asyncio"), Uvicorn("uvloop")]


class Side:
    """One running server of a round, and what it did."""

    def __init__(self, workload, side, folder, library):
        self.name, self.folder = side, folder / side.replace(" ", "-")
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.records = self.folder / "records"
        self.records.mkdir()
        self.records.chmod(0o1777)  # nginx's worker is another user
        environment = machine.environment(library if side == AGENT else None, self.records)
        self.server, self.port, self.pid = workload.start(side, self.folder, environment)
        self.requests = self.seconds = self.cpu_ns = 0

    def ready(self):
        machine.wait_until(lambda: self.server.popen.poll() is not None or machine.port_open(self.port), 30,
                           f"{self.server.argv[0]} ready")
        self.server.check_running()

    def load(self, workload, seconds):
        before_ns = machine.cpu_ns(self.pid)
        load = workload.load(self.port, seconds)
        self.cpu_ns += machine.cpu_ns(self.pid) - before_ns
        self.requests += load.requests
        self.seconds += load.seconds

    def figures(self):
        return {"rate": self.requests / self.seconds, "cpu_ns": self.cpu_ns / self.requests,
                "busy": self.cpu_ns / (self.seconds * 1e9)}

    def stop(self, library):
        loaded = machine.has_library(self.pid, library)
        if loaded != (self.name == AGENT):
            raise Broken(f"{self.name}: the agent is {'' if loaded else 'not '}loaded")
        self.server.stop()
        if loaded:
            self.check_watched()

    def check_watched(self):
        """The ratio means nothing if the agent did not see the loop."""
        loops = {}
        for line in machine.read_records(self.records):
            if line["type"] == "loop":
                loops[line["run"], line["tid"], line["loop"]] = line
        iterations = sum(line["iterations"] for line in loops.values())
        if not loops:
            raise Broken(f"the agent saw no loop: {sorted(self.records.iterdir())}")
        if iterations < 100:
            raise Broken(f"the agent saw only {iterations} iterations of {len(loops)} loops")


ORDERS = {n: list(itertools.permutations(range(n))) for n in (3, 4)}


def run_round(workload, number, library, slices, seconds):
    """{side: figures} of fresh servers, loaded in turns."""
    with machine.folder() as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        sides = [Side(workload, side, folder, library) for side in workload.sides]
        for side in sides:
            side.ready()
            workload.load(side.port, 1)  # warm: caches, JIT, the agent's clock
        orders = ORDERS[len(sides)]
        for piece in range(slices):
            for index in orders[(number * slices + piece) * 7 % len(orders)]:
                sides[index].load(workload, seconds)
        for side in sides:
            side.stop(library)
        return {side.name: side.figures() for side in sides}


def judge(workload, rounds):
    """The figures of one workload from all its rounds."""
    def column(side, what):
        return [one[side][what] for one in rounds]

    rate = Ratio.of(column(PLAIN, "rate"), column(AGAIN, "rate"), column(AGENT, "rate"))
    cpu = Ratio.of(column(PLAIN, "cpu_ns"), column(AGAIN, "cpu_ns"), column(AGENT, "cpu_ns"))
    busy = median(column(PLAIN, "busy"))
    figure = Figure(f"throughput: {workload.name}", rate.text(), f"at least {LEAST}", rate.verdict(LEAST))
    figure.notes.append(f"{median(column(PLAIN, 'rate')):.0f} requests/s plain, the server busy {busy * 100:.0f} % of "
                        f"its CPU; CPU a request {cpu.text()}")
    if figure.verdict != NOT_RESOLVED and rate.straddles(LEAST):
        figure.notes.append("the interval reaches over the target: more pairs would tell")
    figure.data = {"rounds": rounds, "rate": dataclasses.asdict(rate), "cpu": dataclasses.asdict(cpu)}
    figures = [figure]
    if DEBUG in workload.sides:
        debug = Ratio.of(column(PLAIN, "rate"), column(AGAIN, "rate"), column(DEBUG, "rate"))
        figures.append(Figure("  beside it: PYTHONASYNCIODEBUG=1", debug.text()))
    return figures


def run(options):
    slices, seconds = (1, 1) if options.quick else (2, 1)
    for workload in WORKLOADS:
        if options.only and ":" in options.only and options.only.split(":", 1)[1] not in workload.name:
            continue
        try:
            rounds = []
            for number in range(options.pairs):
                print(f"bench: {workload.name}: round {number + 1} of {options.pairs}", file=sys.stderr)
                rounds.append(run_round(workload, number, options.library, slices, seconds))
            yield from judge(workload, rounds)
        except machine.PROBLEMS as problem:
            yield Figure.unmeasured(f"throughput: {workload.name}", problem)
        finally:
            machine.end_all()
