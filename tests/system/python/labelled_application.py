# SPDX-License-Identifier: Apache-2.0
"""labelled_application.py - FastAPI with the middleware of examples/: two requests take turns, one of them stalls

Context: uvicorn
"""

import asyncio
import time

import asgi_labels
import fastapi

app = fastapi.FastAPI()
app.add_middleware(asgi_labels.Labels)


@app.get("/users/{number}")
async def user(number: int):
    await asyncio.sleep(0.1)
    time.sleep(0.3)
    await asyncio.sleep(0.1)
    return number


@app.get("/quick")
async def quick():
    for _ in range(30):
        await asyncio.sleep(0.02)
    return "quick"


@app.get("/wrong")
async def wrong():
    time.sleep(0.3)
    raise fastapi.HTTPException(status_code=418)
