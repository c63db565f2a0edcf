# SPDX-License-Identifier: Apache-2.0
"""extension.py - a loop's thread in C code that keeps the interpreter's lock

Usage: extension.py [STALL...]

Context: watched program of test_python.py
"""

import asyncio
import ctypes
import sys
import time

import blocking
import truth

DURATION = 0.2


async def busy_held():
    blocking.busy(DURATION)  # busy_held


async def sleep_held():
    blocking.sleep(DURATION)  # sleep_held


async def busy_released():
    blocking.busy_released(DURATION)  # busy_released


async def pydll():
    ctypes.PyDLL(None).usleep(int(DURATION * 1000000))  # pydll


def first():
    blocking.call(second)


def second():
    blocking.call(third)


def third():
    time.sleep(DURATION)  # mixed


async def mixed():
    first()


STALLS = {"busy_held": busy_held, "sleep_held": sleep_held, "busy_released": busy_released, "pydll": pydll,
          "mixed": mixed}

if __name__ == "__main__":
    asyncio.run(truth.plant_all(STALLS, sys.argv[1:]))
