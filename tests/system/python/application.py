# SPDX-License-Identifier: Apache-2.0
"""application.py - a FastAPI application whose routes block the loop, each in a way of its own

The line to blame ends with the route's name in a comment. Each that blocks answers with the truth. Its files are in
$HOME: `fifo`, `database`, and the socket of PostgreSQL in `postgresql`; a slow server listens on $SLOW_PORT.

Context: watched program of test_python_web.py; Debian's packages
"""

import asyncio
import concurrent.futures
import crypt
import ctypes
import hashlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request

import blocking
import fastapi
import fastapi.concurrency
import requests

import truth
from sized import length_for, sized

HOME = os.environ["HOME"]
SLOW = f"http://127.0.0.1:{os.environ.get('SLOW_PORT')}/"
SECONDS = 0.25
ELEMENT = {"key": list(range(10))}  # a list has the same one often, else the end of the process takes long, too
EXPLODING = r"(a+)+$"
DUMPED = sized(lambda count: json.dumps([ELEMENT] * count), SECONDS, 1000)
MATCHED = length_for(lambda length: re.match(EXPLODING, "a" * length + "b"), SECONDS)
HASHED = sized(lambda rounds: hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", rounds), SECONDS, 5000)
CRYPTED = sized(lambda rounds: crypt.crypt("secret", f"$6$rounds={rounds}$salt$"), SECONDS, 5000)
CRYPTO = ctypes.PyDLL("libcrypto.so.3")  # keeps the interpreter's lock
LOCK = threading.Lock()
LOCK.acquire()
DATABASE = sqlite3.connect(os.path.join(HOME, "database"), timeout=SECONDS, check_same_thread=False)

CRYPTO.EVP_sha256.restype = ctypes.c_void_p
SHA256 = ctypes.c_void_p(CRYPTO.EVP_sha256())

app = fastapi.FastAPI()


def route(function):
    async def answer():
        return await truth.measured(function)()
    app.get("/" + function.__name__[len("route_"):])(answer)


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum([1, 2, 3])


@app.get("/")
async def hello():
    return {}


@route
async def route_sleep():
    time.sleep(SECONDS)  # sleep


@route
async def route_requests():
    requests.get(SLOW)  # requests


@route
async def route_urllib():
    urllib.request.urlopen(SLOW).read()  # urllib


@route
async def route_sqlite():
    try:
        DATABASE.execute("insert into numbers values (1)")  # sqlite
    except sqlite3.OperationalError:
        pass  # locked


@route
async def route_psycopg2():
    with app.state.postgresql.cursor() as cursor:
        cursor.execute("select pg_sleep(0.25)")  # psycopg2


@app.get("/psycopg2/connect")
async def open_postgresql():
    import psycopg2
    app.state.postgresql = psycopg2.connect(host=os.path.join(HOME, "postgresql"), user="postgres")


@route
async def route_subprocess():
    subprocess.run(["sleep", str(SECONDS)])  # subprocess


@route
async def route_json():
    json.dumps([ELEMENT] * DUMPED)  # json


@route
async def route_regex():
    re.match(EXPLODING, "a" * MATCHED + "b")  # regex


@route
async def route_pbkdf2():
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", HASHED)  # pbkdf2


@route
async def route_pbkdf2_held():
    key = ctypes.create_string_buffer(32)
    CRYPTO.PKCS5_PBKDF2_HMAC(b"secret", 6, b"salt", 4, HASHED, SHA256, 32, key)  # pbkdf2_held


@route
async def route_crypt():
    crypt.crypt("secret", f"$6$rounds={CRYPTED}$salt$")  # crypt


@route
async def route_extension():
    blocking.busy(SECONDS)  # extension


@route
async def route_busy():
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:  # busy
        pass  # busy


@route
async def route_lock():
    LOCK.acquire(timeout=SECONDS)  # lock


@route
async def route_with_lock():
    threading.Timer(SECONDS, LOCK.release).start()
    with LOCK:  # with_lock
        pass
    LOCK.acquire()


@route
async def route_lazy():
    import slow_library  # lazy


@route
async def route_lazy_own():
    import imported


@route
async def route_fifo():
    open(os.path.join(HOME, "fifo")).read()  # fifo


@route
async def route_fifo_open():
    open(os.path.join(HOME, "fifo"))  # fifo_open


@route
async def route_getaddrinfo():
    try:
        socket.getaddrinfo("slow.example", 80)  # getaddrinfo
    except socket.gaierror:
        pass


# ---- what does not block the loop ----


@app.get("/quiet/plain_def")
def quiet_plain_def():
    time.sleep(SECONDS)


@app.get("/quiet/run_in_threadpool")
async def quiet_run_in_threadpool():
    await fastapi.concurrency.run_in_threadpool(time.sleep, SECONDS)


@app.get("/quiet/to_thread")
async def quiet_to_thread():
    await asyncio.to_thread(time.sleep, SECONDS)


@app.get("/quiet/sleep")
async def quiet_sleep():
    await asyncio.sleep(SECONDS)


@app.get("/quiet/process_pool")
async def quiet_process_pool():
    pool = concurrent.futures.ProcessPoolExecutor(1)
    await asyncio.get_running_loop().run_in_executor(pool, compute, SECONDS)
    pool.shutdown()
