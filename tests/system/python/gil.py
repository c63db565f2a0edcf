# SPDX-License-Identifier: Apache-2.0
"""gil.py - a loop that waits for the GIL, and one that holds it

Usage: gil.py STALL...

Context: watched program of test_python.py
"""

import asyncio
import hashlib
import re
import sys
import threading
import time

import truth
from sized import length_for

AFTER_S = 0.05
DATA = b"x" * 50000
EXPLODING = r"(a+)+$"
LENGTH = length_for(lambda length: re.match(EXPLODING, "a" * length + "b"), 0.25)


def match_long():
    time.sleep(AFTER_S / 2)  # until the loop sleeps
    re.match(EXPLODING, "a" * LENGTH + "b")  # match


def compute(seconds):
    time.sleep(AFTER_S / 2)
    end = time.monotonic() + seconds
    while time.monotonic() < end:  # compute
        sum([1, 2, 3])  # compute


async def plant_behind(name, function, *arguments):
    """The loop sleeps for AFTER_S; when it wakes up, another thread has the lock."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    begin, monotonic, cpu = time.time(), time.monotonic(), time.thread_time()
    await asyncio.sleep(AFTER_S)
    truth.say(name, begin + AFTER_S, time.monotonic() - monotonic - AFTER_S, time.thread_time() - cpu)
    await asyncio.sleep(truth.PAUSE_S)
    thread.join()


async def behind_c():
    await plant_behind("behind_c", match_long)


async def behind_python():
    sys.setswitchinterval(2)
    await plant_behind("behind_python", compute, 0.3)
    sys.setswitchinterval(0.005)


async def short():
    waits, end = 0, time.monotonic() + 0.5
    while waits < 60 and time.monotonic() < end:  # short
        begin = time.monotonic()  # short
        hashlib.sha256(DATA)  # short
        waits += time.monotonic() - begin > 0.003  # short


async def convoy():
    """A callback of a few milliseconds: each call that lets the lock go waits 5 ms to have it again."""
    thread = threading.Thread(target=compute, args=(1.3,))
    thread.start()
    await asyncio.sleep(AFTER_S)
    await truth.plant("convoy", short())
    while thread.is_alive():
        await asyncio.sleep(truth.PAUSE_S)


async def main():
    await asyncio.sleep(0.2)
    for name in sys.argv[1:]:
        await {"behind_c": behind_c, "behind_python": behind_python, "convoy": convoy}[name]()


if __name__ == "__main__":
    asyncio.run(main())
