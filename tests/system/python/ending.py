# SPDX-License-Identifier: Apache-2.0
"""ending.py - an interpreter that needs long to end: uvloop's epoll instance is still open, but no loop runs any more

Context: watched program of test_python.py
"""

import asyncio
import gc
import time

import truth
import uvloop

KEPT = []


async def stalled():
    time.sleep(0.25)  # stalled


async def main():
    await asyncio.sleep(0.2)
    await truth.plant("stalled", stalled())
    for _ in range(400):  # a little at a time: no callback is long
        KEPT.extend([number] for number in range(10000))
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    gc.disable()  # which would stall the loop
    uvloop.new_event_loop().run_until_complete(main())
