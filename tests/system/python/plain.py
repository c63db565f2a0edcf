# SPDX-License-Identifier: Apache-2.0
"""plain.py - stalls in coroutines, each on a line of its own, with the standard library alone

Each stall is the line that ends with its name in a comment. Says on stdout, one JSON object a line, which stall it made
and when. For every CPython from 3.8 on.

Context: watched program of test_python.py
"""

import asyncio
import functools
import hashlib
import json
import re
import sqlite3
import sys
import threading
import time

DURATION = 0.35


def say(name, begin):
    print(json.dumps({"name": name, "seconds": time.monotonic() - begin}), flush=True)


async def sleep():
    time.sleep(DURATION)  # sleep


class Server:
    async def handle(self):
        self.serve()

    def serve(self):
        time.sleep(DURATION)  # method


def outer():
    def inner():
        time.sleep(DURATION)  # closure
    inner()


async def closure():
    outer()


async def busy():
    end = time.monotonic() + DURATION
    while time.monotonic() < end:  # busy
        pass


def count(end):
    while time.monotonic() < end:
        yield 1


async def generator():
    sum(count(time.monotonic() + DURATION))  # (generator)


def deep(depth):
    if depth == 0:
        time.sleep(DURATION)  # recursion
    else:
        deep(depth - 1)


async def recursion():
    deep(60)


async def through_c():
    # Python, C, Python: functools.reduce, sorted and map call back.
    functools.reduce(lambda a, b: sleep_a_little(), [1, 2])


def sleep_a_little():
    return sorted([1], key=lambda x: time.sleep(DURATION))  # through_c


class Slow:
    def __init__(self):
        time.sleep(DURATION)  # init


async def init():
    Slow()


async def dumps():
    json.dumps(BIG)  # dumps


async def regex():
    re.match(r"(a+)+$", "a" * 24 + "b")  # regex


async def pbkdf2():
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 1500000)  # pbkdf2


async def sqlite():
    connection = sqlite3.connect(":memory:")
    connection.execute("with recursive c(x) as (select 1 union all select x+1 from c where x < 5000000)"
                       " select max(x) from c").fetchall()  # (sqlite)


async def lock():
    held = threading.Lock()
    held.acquire()
    held.acquire(timeout=DURATION)  # lock


async def executed():
    exec(compile("def made():\n    time.sleep(DURATION)\nmade()", "made.py", "exec"), globals())


async def names():
    await asyncio.create_task(sleep_named())


async def sleep_named():
    time.sleep(DURATION)  # names


BIG = [{"key%d" % i: [i] * 10} for i in range(60000)]
STALLS = [sleep, Server().handle, closure, busy, generator, recursion, through_c, init, dumps, regex, pbkdf2, sqlite,
          lock, executed, names]


async def main():
    await asyncio.sleep(0.2)  # the loop has begun
    for stall in STALLS:
        if len(sys.argv) > 1 and stall.__name__ not in sys.argv[1:]:
            continue
        task = asyncio.get_event_loop().create_task(stall())
        begin = time.monotonic()
        await task
        say(stall.__name__, begin)
        await asyncio.sleep(0.12)


if __name__ == "__main__":
    asyncio.run(main())
