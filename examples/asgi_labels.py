# SPDX-License-Identifier: Apache-2.0
"""asgi_labels.py - an ASGI middleware: every stall record names the request that was being served

    app.add_middleware(Labels)          # FastAPI, Starlette; elsewhere: app = Labels(app)

Requests take turns on the loop, so the label is set for each step of a request's coroutine and taken away after it.
Without libloopdog in the process (loopdog run, LD_PRELOAD) it does nothing.

Context: the thread of the asyncio loop
"""
import ctypes

try:
    label = ctypes.PyDLL(None).loopdog_label
    label.argtypes, label.restype = (ctypes.c_char_p, ctypes.c_char_p), None
except AttributeError:
    def label(key, value):
        """There is no libloopdog in this process."""


class Steps:
    """Await a coroutine, with the label set while it runs."""

    def __init__(self, coroutine, value):
        self.coroutine, self.value = coroutine, value

    def __await__(self):
        resume, sent = self.coroutine.send, None
        while True:
            label(b"request", self.value)
            try:
                asked = resume(sent)
            except StopIteration as end:
                return end.value
            finally:
                label(b"request", None)
            try:
                resume, sent = self.coroutine.send, (yield asked)
            except BaseException as error:  # a cancellation, for one
                resume, sent = self.coroutine.throw, error


class Labels:
    """The middleware."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        coroutine = self.app(scope, receive, send)
        if scope["type"] != "http":
            return await coroutine
        return await Steps(coroutine, f"{scope['method']} {scope['path']}".encode())
