# SPDX-License-Identifier: Apache-2.0
"""tornado_application.py - a server of Tornado

Usage: tornado_application.py PORT

Context: watched program of test_python_web.py
"""

import asyncio
import signal
import sys
import time

import tornado.web

import truth


class Hello(tornado.web.RequestHandler):
    async def get(self):
        self.write({})


class Block(tornado.web.RequestHandler):
    async def get(self):
        self.write(await truth.measured(self.block)())

    async def block(self):
        time.sleep(0.25)  # block


class Quiet(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0.25)
        self.write({})


async def main():
    application = tornado.web.Application([("/", Hello), ("/block", Block), ("/quiet", Quiet)])
    application.listen(int(sys.argv[1]), "127.0.0.1")
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    await end.wait()


asyncio.run(main())
