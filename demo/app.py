# SPDX-License-Identifier: Apache-2.0
"""app.py - a FastAPI application with a blocking call in a coroutine: /block stops everybody, /hello as well

Context: demo.sh runs it with Debian's uvicorn; it knows nothing of loopdog
"""

import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
async def hello():
    return "hello"


@app.get("/block")
async def block():
    time.sleep(0.5)
    return "at last"
