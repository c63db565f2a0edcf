# SPDX-License-Identifier: Apache-2.0
"""aiohttp_application.py - a server of aiohttp

Usage: aiohttp_application.py PORT

Context: watched program of test_python_web.py
"""

import asyncio
import sys
import time

from aiohttp import web

import truth


async def hello(request):
    return web.json_response({})


async def block(request):
    time.sleep(0.25)  # block


async def answer(request):
    return web.json_response(await truth.measured(block)(request))


async def quiet(request):
    await asyncio.sleep(0.25)
    return await hello(request)


app = web.Application()
app.add_routes([web.get("/", hello), web.get("/block", answer), web.get("/quiet", quiet)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
