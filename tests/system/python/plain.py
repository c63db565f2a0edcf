# SPDX-License-Identifier: Apache-2.0
"""plain.py - stalls in coroutines, each on a line of its own, with the standard library alone

Usage: plain.py [STALL...]
Each stall is the line that ends with its name in a comment.

Context: watched program of test_python.py; every CPython from 3.7 on
"""

import asyncio
import ctypes
import functools
import hashlib
import json
import re
import sqlite3
import sys
import threading
import time

import truth
from sized import length_for, sized

DURATION = 0.2
COMPUTED_S = 0.25  # what is computed can't be had to the millisecond


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
        pass  # busy


def count(end):
    while time.monotonic() < end:  # generator
        for _ in range(1000):  # generator
            pass  # generator
        yield 1  # generator


async def generator():
    sum(count(time.monotonic() + DURATION))


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
    re.match(EXPLODING, TEXT)  # regex


async def pbkdf2():
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", ROUNDS)  # pbkdf2


async def sqlite():
    connection = sqlite3.connect(":memory:")
    connection.execute(QUERY).fetchall()  # sqlite


async def lock():
    held = threading.Lock()
    held.acquire()
    held.acquire(timeout=DURATION)  # lock


async def with_lock():
    LOCK.acquire()
    threading.Timer(DURATION, LOCK.release).start()
    with LOCK:  # with_lock
        pass


async def rows():
    for _ in sqlite3.connect(":memory:").execute(ROWS):  # rows
        pass


async def foreign():
    LIBC.usleep(int(DURATION * 1e6))  # foreign


async def executed():
    exec(compile("def made():\n    time.sleep(DURATION)\nmade()", "made.py", "exec"), globals())


async def names():
    task = asyncio.create_task(sleep_named())
    await task
    return task.get_name() if hasattr(task, "get_name") else ""


async def sleep_named():
    time.sleep(DURATION)  # names


class Task(asyncio.Task):
    pass


class OwnTask(Task):
    pass


async def subclass():
    task = OwnTask(sleep_in_subclass(), loop=asyncio.get_event_loop())
    await task
    return task.get_name() if hasattr(task, "get_name") else ""


async def sleep_in_subclass():
    time.sleep(DURATION)  # subclass


async def eager():
    """From 3.12 on the other task begins within this one."""
    how = {"eager_start": True} if hasattr(asyncio, "eager_task_factory") else {}
    task = asyncio.Task(sleep_eagerly(), loop=asyncio.get_event_loop(), **how)
    await task
    return task.get_name() if hasattr(task, "get_name") else ""


async def sleep_eagerly():
    time.sleep(DURATION)  # eager


async def python_task():
    await asyncio.tasks._PyTask(sleep_in_python_task(), loop=asyncio.get_event_loop())
    return ""


async def sleep_in_python_task():
    time.sleep(DURATION)  # python_task


def big(count):
    return [{"key": list(range(10))}] * count


def text(length):
    return "a" * length + "b"


def query(most, select="select"):
    return f"with recursive c(x) as (select 1 union all select x+1 from c where x < {most}) {select} max(x) from c"


LIBC = ctypes.CDLL(None)
LOCK = threading.Lock()  # not in a variable of the function: no frame has it
EXPLODING = r"(a+)+$"
BIG = big(sized(lambda count: json.dumps(big(count)), COMPUTED_S, 1000))
TEXT = text(length_for(lambda length: re.match(EXPLODING, text(length)), COMPUTED_S))
ROUNDS = sized(lambda rounds: hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", rounds), COMPUTED_S, 5000)
NUMBERS = sized(lambda most: sqlite3.connect(":memory:").execute(query(most)).fetchall(), COMPUTED_S, 10000)
QUERY, ROWS = query(NUMBERS), query(NUMBERS, "select 1 union all select")  # the second row takes long
STALLS = {"sleep": sleep, "method": Server().handle, "closure": closure, "busy": busy, "generator": generator,
          "recursion": recursion, "through_c": through_c, "init": init, "dumps": dumps, "regex": regex,
          "pbkdf2": pbkdf2, "sqlite": sqlite, "lock": lock, "executed": executed, "names": names,
          "with_lock": with_lock, "rows": rows, "foreign": foreign, "subclass": subclass,
          "eager": eager, "python_task": python_task}

if __name__ == "__main__":
    asyncio.run(truth.plant_all(STALLS, sys.argv[1:]))
