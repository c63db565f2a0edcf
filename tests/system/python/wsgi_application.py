# SPDX-License-Identifier: Apache-2.0
"""wsgi_application.py - an application without asyncio, for a server in C that embeds the interpreter

Context: watched program of test_python_web.py
"""

import json
import time


def block():
    time.sleep(0.25)  # block


def application(environ, start_response):
    begin, monotonic, cpu = time.time(), time.monotonic(), time.thread_time()
    if environ["PATH_INFO"] == "/block":
        block()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"begin": begin, "seconds": time.monotonic() - monotonic, "cpu": time.thread_time() - cpu,
                        "task": ""}).encode()]
