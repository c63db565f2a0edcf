# SPDX-License-Identifier: Apache-2.0
"""importing.py - a coroutine that imports a large package: frames come and go, and code is freed as soon as it has run

Context: watched program of test_python.py; Debian's python3-fastapi
"""

import asyncio

import truth


async def importing():
    import fastapi  # importing


if __name__ == "__main__":
    asyncio.run(truth.plant_all({"importing": importing}, []))
