#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_steady.py - servers under load and in a storm of captures: the same answers, nothing grows, every stall counted

redis, nginx and uvicorn with a threshold and an interval of 1 ms, and clients that make them stall for some
milliseconds now and then, so that they are sampled nearly all the time. Each answer is compared with what it must be by
a model of the client's own; with --plain the same load shows that the model is right. Memory, descriptors and threads
of all processes of a server, and the watchdogs' own descriptors, are sampled; their last third must not be above their
first. At the end the record files must hold every stall that was begun, and the exit lines must agree with them.

`./dev test` runs all three side by side for ten seconds; with --long each runs for --seconds, as `./dev soak` does for
ten minutes, and beside it the same server without the agent under the same load: what the one grows more than the other
is the agent's, in memory and in mappings.

Context: system test
"""

import collections
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import signal
import statistics
import sys
import threading
import time

import clients
import harness
import servers

suite = harness.Suite("steady")
CLIENTS = 2
PACE_S = 0.002                  # between two requests: the machine has others to serve
STALL_SHARE = 0.05              # of the requests make the server stall
PERIODS = 30                    # samples of a server's size, at least
GROWTH_SHARE, GROWTH_KB = 0.10, 8192
MORE_FILES, MORE_THREADS = 4, 3
OWN_GROWTH_KB, OWN_MORE_MAPS = 1024, 4  # of the agent: what the server grows more than without it
SECONDS = suite.options.seconds if suite.options.long else 2 * suite.options.seconds
STORM = {"LOOPDOG_INTERVAL": "1ms", "LOOPDOG_LIMIT": "8GB"}


# ---- redis ----

SQUARES = "local x = 0; for i = 1, tonumber(ARGV[1]) do x = x + i * i % 7 end; return x"


def squares(count):
    return sum(i * i % 7 for i in range(1, count + 1))


SQUARES_OF = {count: squares(count) for count in (20000, 60000)}


class RedisClient:
    """Its keys are its own, so that a dict and a list say what redis must answer."""

    def __init__(self, port, number, draw):
        self.redis, self.draw, self.prefix = clients.Redis(port), draw, f"client{number}:"
        self.values, self.queue, self.count = {}, collections.deque(), 0

    def close(self):
        self.redis.close()

    def request(self):
        """(what was asked, the answer, what it must be)"""
        return self.draw.choice((self.put, self.get, self.add, self.push, self.pop, self.absent))()

    def stall(self):
        return self.draw.choice((self.sleep, self.compute))()

    def call(self, expected, *words):
        return words[0], self.redis.call(*words), expected

    def put(self):
        key, value = f"{self.prefix}{self.draw.randrange(100)}", self.draw.randbytes(self.draw.choice((8, 600)))
        self.values[key] = value
        self.redis.socket.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" %
                                  (len(key), key.encode(), len(value), value))
        return "SET", self.redis.answer(), b"OK"

    def get(self):
        key = f"{self.prefix}{self.draw.randrange(100)}"
        return self.call(self.values.get(key), "GET", key)

    def add(self):
        by = self.draw.randrange(1000)
        self.count += by
        return self.call(self.count, "INCRBY", self.prefix + "count", by)

    def push(self):
        if len(self.queue) > 50:
            return self.pop()
        value = str(self.draw.random())
        self.queue.append(value)
        return self.call(len(self.queue), "RPUSH", self.prefix + "queue", value)

    def pop(self):
        expected = self.queue.popleft().encode() if self.queue else None
        return self.call(expected, "LPOP", self.prefix + "queue")

    def absent(self):
        refusal = self.redis.refusal("NONSENSE", "x")
        return "NONSENSE", refusal[:19], "ERR unknown command"

    def sleep(self):
        return self.call(b"OK", "DEBUG", "SLEEP", self.draw.choice(("0.003", "0.012")))

    def compute(self):
        count = self.draw.choice(tuple(SQUARES_OF))
        return self.call(SQUARES_OF[count], "EVAL", SQUARES, 0, count)


# ---- HTTP ----


class HttpClient:
    """Requests over connections that are kept. A subclass says what can be asked for."""

    def __init__(self, port, number, draw):
        self.connection, self.draw = http.client.HTTPConnection("127.0.0.1", port, timeout=30), draw

    def close(self):
        self.connection.close()

    def ask(self, path, expected, method="GET", body=None):
        self.connection.request(method, path, body=body)
        answer = self.connection.getresponse()
        return f"{method} {path}", (answer.status, answer.read()), (200, expected)


BIG = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(12000))  # 384 kB

LOCATIONS = """
root {folder}/www;
location /sleep {{
    perl 'sub {{
        my $r = shift; select(undef, undef, undef, $r->args / 1000);
        $r->send_http_header("text/plain"); $r->print("slept ", $r->args); return OK; }}';
}}
location /squares {{
    perl 'sub {{
        my $r = shift; my $x = 0; $x += $_ * $_ % 7 for 1 .. $r->args;
        $r->send_http_header("text/plain"); $r->print($x); return OK; }}';
}}
location /hello {{ return 200 "hello $arg_name"; }}
location /proxy/ {{ proxy_pass http://127.0.0.1:$server_port/hello$is_args$args; proxy_set_header Connection ""; }}
"""


class NginxClient(HttpClient):
    def request(self):
        name = f"n{self.draw.randrange(10 ** 6)}"
        path, expected = self.draw.choice(((f"/hello?name={name}", f"hello {name}".encode()), ("/big", BIG),
                                           ("/small", b"small\n"), (f"/proxy/?name={name}", f"hello {name}".encode())))
        return self.ask(path, expected)

    def stall(self):
        if self.draw.random() < 0.5:
            ms = self.draw.choice((3, 12))
            return self.ask(f"/sleep?{ms}", f"slept {ms}".encode())
        count = self.draw.choice(tuple(SQUARES_OF))
        return self.ask(f"/squares?{count}", str(SQUARES_OF[count]).encode())


def start_nginx(place, **how):
    (place.folder / "www").mkdir()
    (place.folder / "www" / "big").write_bytes(BIG)
    (place.folder / "www" / "small").write_text("small\n")
    return servers.nginx(place, LOCATIONS.format(folder=place.folder), **how)


APPLICATION = """
import asyncio, hashlib, time
from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/echo/{number}")
async def echo(number: int, text: str):
    await asyncio.sleep(0)
    return {"number": number, "text": text[::-1]}


@app.post("/digest")
async def digest(request: Request):
    return hashlib.sha256(await request.body()).hexdigest()


@app.get("/thread/{number}")
def in_a_thread(number: int):
    return number + 1


@app.get("/sleep/{ms}")
async def sleep(ms: int):
    time.sleep(ms / 1000)
    return ms


@app.get("/squares/{count}")
async def squares(count: int):
    return sum(i * i % 7 for i in range(1, count + 1))
"""


class UvicornClient(HttpClient):
    def request(self):
        return self.draw.choice((self.echo, self.digest, self.thread))()

    def stall(self):
        if self.draw.random() < 0.5:
            ms = self.draw.choice((3, 12))
            return self.ask(f"/sleep/{ms}", b"%d" % ms)
        count = self.draw.choice(tuple(SQUARES_OF))
        return self.ask(f"/squares/{count}", b"%d" % SQUARES_OF[count])

    def echo(self):
        number = self.draw.randrange(10 ** 9)
        return self.ask(f"/echo/{number}?text=abc{number}", b'{"number":%d,"text":"%s"}' %
                        (number, f"abc{number}"[::-1].encode()))

    def digest(self):
        body = self.draw.randbytes(self.draw.choice((10, 100000)))
        return self.ask("/digest", b'"%s"' % hashlib.sha256(body).hexdigest().encode(), "POST", body)

    def thread(self):
        number = self.draw.randrange(10 ** 6)
        return self.ask(f"/thread/{number}", b"%d" % (number + 1))


# One row a server: how it is started, who asks, how it is ended.
Row = collections.namedtuple("Row", "start client end")
ROWS = {
    "redis": Row(servers.redis, RedisClient, signal.SIGTERM),
    "nginx": Row(start_nginx, NginxClient, signal.SIGQUIT),
    "uvicorn": Row(lambda place, **how: servers.uvicorn(place, "asyncio", application=APPLICATION, **how),
                   UvicornClient, signal.SIGTERM),
}

# ---- load ----


class Load:
    """Clients of one server, each in a thread of its own and with a low priority."""

    def __init__(self, row, port, end):
        self.row, self.port, self.end = row, port, end
        self.answers, self.wrong = 0, []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), harness.NICE)
        draw = random.Random(number)
        try:
            with contextlib.closing(self.row.client(self.port, number, draw)) as client:
                while time.monotonic() < self.end and len(self.wrong) < 5:
                    asked, got, expected = client.stall() if draw.random() < STALL_SHARE else client.request()
                    self.answers += 1  # by the GIL and by chance: only for people
                    if got != expected:
                        self.wrong.append(f"{asked}: {got!r:.200} instead of {expected!r:.200}")
                    time.sleep(PACE_S)
        except Exception as problem:  # pylint: disable=broad-except # a thread's end must not be silent
            self.wrong.append(repr(problem))

    def join(self):
        for thread in self.threads:
            thread.join()


# ---- size ----

Size = collections.namedtuple("Size", "memory_kb files own_files threads processes")


def size_of(pid):
    """All processes of a server together. One that ends meanwhile counts as far as it was read."""
    memory_kb = files = own_files = threads = processes = 0
    for each in [pid] + harness.children_of(pid):
        with contextlib.suppress(OSError, KeyError):
            lines = pathlib.Path(f"/proc/{each}/status").read_text().splitlines()
            fields = dict(line.split(":", 1) for line in lines)
            files += len(os.listdir(f"/proc/{each}/fd"))
            memory_kb += int(fields["RssAnon"].split()[0])
            threads += int(fields["Threads"])
            processes += 1
            own_files += harness.watchdog_files(each)  # last: without the agent there are none
    return Size(memory_kb, files, own_files, threads, processes)


def growth(name, sizes):
    """What the last third has more than the first, after a tenth in which a server warms up."""
    sizes = sizes[len(sizes) // 10:]
    third = len(sizes) // 3
    first, last = sizes[:third], sizes[-third:]

    def median(part, field):
        return statistics.median(getattr(size, field) for size in part)
    before_kb, after_kb = median(first, "memory_kb"), median(last, "memory_kb")
    complaints = []
    if after_kb > before_kb * (1 + GROWTH_SHARE) + GROWTH_KB:
        complaints.append(f"{name}: memory grew from {before_kb:.0f} to {after_kb:.0f} kB")
    for field, more in (("files", MORE_FILES), ("own_files", MORE_FILES), ("threads", MORE_THREADS), ("processes", 0)):
        if median(last, field) > median(first, field) + more:
            complaints.append(f"{name}: {field} grew from {median(first, field)} to {median(last, field)}")
    return complaints, f"{name}: {before_kb / 1024:.1f} to {after_kb / 1024:.1f} MB, {last[-1].files} descriptors, " \
                       f"{last[-1].own_files} of the agent's own, {last[-1].threads} threads"


# ---- the agent's share of it ----


def maps_of(pid):
    """How many mappings all processes of a server have together."""
    count = 0
    for each in [pid] + harness.children_of(pid):
        with contextlib.suppress(OSError):
            count += len(pathlib.Path(f"/proc/{each}/maps").read_text().splitlines())
    return count


class Twin:
    """The same server without the agent, and its growth beside that of the watched one."""

    def __init__(self, place, name, end):
        self.name, self.place = name, harness.Place(suite, place.title)
        self.place.plain = True
        self.program, self.port = ROWS[name].start(self.place, threshold="1ms", env=STORM)
        self.load = Load(ROWS[name], self.port, end)
        self.samples = {"kB": ([], []), "mappings": ([], [])}  # with the agent, without

    def sample(self, watched_pid):
        for side, pid in enumerate((watched_pid, self.program.pid)):
            self.samples["kB"][side].append(size_of(pid).memory_kb)
            self.samples["mappings"][side].append(maps_of(pid))

    def judge(self, place):
        """Complaints, after both servers had the same load."""
        self.load.join()
        complaints = [f"{self.name} without the agent: {wrong}" for wrong in self.load.wrong]
        for what, limit in (("kB", OWN_GROWTH_KB), ("mappings", OWN_MORE_MAPS)):
            watched, without = (grown(values) for values in self.samples[what])
            text = f"{self.name}: {watched:+.0f} {what}, {without:+.0f} without the agent"
            place.note(text)
            if watched - without > limit:
                complaints.append(text)
        return complaints


def grown(values):
    """By how much the last third is above the first, after the tenth in which a server warms up."""
    values = values[len(values) // 10:]
    third = len(values) // 3
    return statistics.median(values[-third:]) - statistics.median(values[:third])


# ---- the account ----

Account = collections.namedtuple("Account", "begun ended captures accepted")


def account_of(path):
    """(Account, complaints) of one file, line by line: it may be large."""
    begun, ended, counted, complaints = set(), set(), 0, []
    line = {}
    with open(path, encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            if line["type"] == "stall-begin":
                begun.add(line["id"])
            elif line["type"] == "stall":
                if line["id"] in ended:
                    complaints.append(f"{path.name}: stall #{line['id']} twice")
                ended.add(line["id"])
                counted += line.get("end") != "left" and line["cause"] != "suspended"
    if line.get("type") != "exit":
        return Account(len(begun), len(ended), 0, 0), complaints + [f"{path.name}: the last line is {line.get('type')}"]
    if begun - ended:
        complaints.append(f"{path.name}: {len(begun - ended)} stalls were begun and never ended")
    if (line["stalls"], line["records_dropped"]) != (counted, 0):
        complaints.append(f"{path.name}: {counted} stalls on file, but {line}")
    if line["stalls_crowded"]:
        complaints.append(f"{path.name}: {line['stalls_crowded']} of {line['loops']} loop's stalls found no room")
    return Account(len(begun), len(ended), line["captures"], line["captures"] - line["lost"]["samples"]), complaints


def account(place):
    found, complaints = [], []
    for path in sorted(place.records_folder.iterdir()):
        one, more = account_of(path)
        found.append(one)
        complaints += more
    total = Account(*(sum(column) for column in zip(*found)))
    place.note(f"{total.begun} stalls begun and {total.ended} ended in {len(found)} processes, "
               f"{total.accepted} captures accepted of {total.captures}")
    harness.check(total.ended > 10 and total.accepted > 10, f"there was no storm: {total}")
    return complaints


# ---- all together ----


def steady(place, names):
    running = {}
    for name in names:
        program, port = ROWS[name].start(place, threshold="1ms", env=STORM)
        running[name] = program, port
    end = time.monotonic() + SECONDS
    loads = {name: Load(ROWS[name], port, end) for name, (_, port) in running.items()}
    sizes = {name: [] for name in names}
    twins = [Twin(place, name, end) for name in names if suite.options.long and not place.plain]
    try:
        complaints = watch(place, running, loads, sizes, twins, end)
    finally:
        for twin in twins:
            twin.place.close()
    if not place.plain:
        complaints += account(place)
    harness.check(not complaints, "\n".join(complaints))


def watch(place, running, loads, sizes, twins, end):
    """Until the end of the load; then end the servers. What is wrong with their answers and their growth."""
    while time.monotonic() < end:
        for name, (program, _) in running.items():
            sizes[name].append(size_of(program.pid))
        for twin in twins:
            twin.sample(running[twin.name][0].pid)
        time.sleep(min(1, SECONDS / PERIODS))
    for load in loads.values():
        load.join()
    complaints = [complaint for twin in twins for complaint in twin.judge(place)]
    for name, (program, _) in running.items():
        program.stop(ROWS[name].end, seconds=60, code=None)
        more, text = growth(name, sizes[name])
        harness.check(place.plain or max(size.own_files for size in sizes[name]),
                      f"{name}: no watchdog's descriptors were seen")
        complaints += more + [f"{name}: {wrong}" for wrong in loads[name].wrong]
        place.note(f"{text}; {loads[name].answers} answers compared")
        harness.check(loads[name].answers > 10, f"{name}: hardly an answer")
    return complaints


if suite.options.long:
    for chosen in ROWS:
        suite.add(f"{chosen} under load in a storm of captures", lambda place, chosen=chosen: steady(place, [chosen]))
else:
    suite.add("redis, nginx and uvicorn under load in a storm of captures", lambda place: steady(place, list(ROWS)))

if __name__ == "__main__":
    sys.exit(suite.main())
