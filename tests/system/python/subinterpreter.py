# SPDX-License-Identifier: Apache-2.0
"""subinterpreter.py - a coroutine runs code in another interpreter of its process

Context: watched program of test_python.py; CPython 3.8 to 3.13
"""

import asyncio
import os
import sys

import truth

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

HERE = os.path.dirname(os.path.abspath(__file__))
CODE = f"import sys; sys.path.insert(0, {HERE!r}); import within; within.block()"


async def run_within(interpreter):
    interpreters.run_string(interpreter, CODE)  # outside


async def main():
    await asyncio.sleep(0.2)
    interpreter = interpreters.create()
    await asyncio.sleep(0.12)
    await truth.plant("within", run_within(interpreter))
    interpreters.destroy(interpreter)


if __name__ == "__main__":
    asyncio.run(main())
