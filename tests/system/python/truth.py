# SPDX-License-Identifier: Apache-2.0
"""truth.py - what a watched Python program has planted, one JSON object a line on stdout

Context: watched programs of test_python.py; every CPython from 3.7 on
"""

import asyncio
import json
import time

PAUSE_S = 0.06


def say(name, begin, seconds, cpu, task=""):
    print(json.dumps({"name": name, "begin": begin, "seconds": seconds, "cpu": cpu, "task": task}), flush=True)


def measured(function):
    """A route that answers with the truth: when it ran, for how long, and in which task."""
    async def measure(*arguments):
        begin, monotonic, cpu = time.time(), time.monotonic(), time.thread_time()
        await function(*arguments)
        return {"begin": begin, "seconds": time.monotonic() - monotonic, "cpu": time.thread_time() - cpu,
                "task": asyncio.current_task().get_name()}
    return measure


async def plant(name, coroutine):
    """Run it as a task that stalls the loop. It returns the name of the task that did, where that was another: "" for
    one whose name is not told."""
    task = asyncio.get_event_loop().create_task(coroutine)
    begin, monotonic, cpu = time.time(), time.monotonic(), time.thread_time()
    other = await task
    seconds, cpu = time.monotonic() - monotonic, time.thread_time() - cpu
    own = task.get_name() if hasattr(task, "get_name") else ""
    say(name, begin, seconds, cpu, own if other is None else other)
    await asyncio.sleep(PAUSE_S)


async def plant_all(stalls, chosen):
    """The coroutine functions by name, one after the other; all, or those that are chosen."""
    await asyncio.sleep(0.2)  # the loop has begun
    for name, function in stalls.items():
        if not chosen or name in chosen:
            await plant(name, function())
