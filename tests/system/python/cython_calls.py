# SPDX-License-Identifier: Apache-2.0
"""cython_calls.py - a loop's thread in an extension that Cython has made

Context: watched program of test_python.py
"""

import asyncio
import sys
import time

import cythonic
import truth

DURATION = 0.2
CALLER = cythonic.Caller()


async def held():
    cythonic.sleep(DURATION)  # held


async def bound():
    cythonic.bound_sleep(DURATION)  # bound


def inner():
    time.sleep(DURATION)  # through


async def through():
    CALLER.call(lambda: CALLER.call(inner))


if __name__ == "__main__":
    asyncio.run(truth.plant_all({"held": held, "bound": bound, "through": through}, sys.argv[1:]))
