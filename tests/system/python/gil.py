# SPDX-License-Identifier: Apache-2.0
"""gil.py - a loop that waits for the GIL while another thread has it

Usage: gil.py STALL...

Context: watched program of test_python.py; CPython 3.8 to 3.13
"""

import asyncio
import hashlib
import queue
import re
import sys
import threading
import time

import truth
from sized import length_for

AFTER_S, HELD_S = 0.1, 0.3
DATA = b"x" * 50000
EXPLODING = r"(a+)+$"
LENGTH = length_for(lambda length: re.match(EXPLODING, "a" * length + "b"), HELD_S)
ORDERS = queue.SimpleQueue()
ENOUGH = []


def obey():
    """The other thread. It was begun before the loop, which would have to wait for its beginning."""
    for function in iter(ORDERS.get, None):
        function()


def match_long():
    re.match(EXPLODING, "a" * LENGTH + "b")  # match


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not ENOUGH:  # compute
        sum([1, 2, 3])  # compute


async def plant_behind(name, function, *arguments):
    """The loop sleeps for AFTER_S; when it wakes up, the other thread has the lock. Was that late, then once more."""
    held = []

    def hold():
        time.sleep(AFTER_S / 4)
        if time.monotonic() < monotonic + AFTER_S / 2:
            held.append(True)
            function(*arguments)
    while not held:
        begin, monotonic, cpu = time.time(), time.monotonic(), time.thread_time()
        ORDERS.put(hold)
        await asyncio.sleep(AFTER_S)
    truth.say(name, begin + AFTER_S, time.monotonic() - monotonic - AFTER_S, time.thread_time() - cpu)
    await asyncio.sleep(truth.PAUSE_S)


async def behind_c():
    await plant_behind("behind_c", match_long)


async def behind_python():
    sys.setswitchinterval(2)
    await plant_behind("behind_python", compute, HELD_S)
    sys.setswitchinterval(0.005)


async def short():
    ORDERS.put(lambda: compute(2))
    waits, end = 0, time.monotonic() + 0.5
    while waits < 60 and time.monotonic() < end:  # short
        begin = time.monotonic()  # short
        hashlib.sha256(DATA)  # short
        waits += time.monotonic() - begin > 0.003  # short
    ENOUGH.append(True)


async def convoy():
    """A callback of a few milliseconds: each call that lets the lock go waits 5 ms to have it again."""
    await truth.plant("convoy", short())


async def main():
    await asyncio.sleep(0.2)
    for name in sys.argv[1:]:
        await {"behind_c": behind_c, "behind_python": behind_python, "convoy": convoy}[name]()


if __name__ == "__main__":
    threading.Thread(target=obey, daemon=True).start()
    asyncio.run(main())
    ORDERS.put(None)
