# SPDX-License-Identifier: Apache-2.0
"""fastapi_app.py - one async route of FastAPI, as its own tutorial shows

Context: a victim of the bench, run by uvicorn
"""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "hello"}
