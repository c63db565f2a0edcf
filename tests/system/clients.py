# SPDX-License-Identifier: Apache-2.0
"""clients.py - small clients that make a server stall and measure how long

Each returns what was planted as the client saw it: the time from the request to the answer. The server's own stall is
shorter by the way there and back, well below the tolerance on one machine.

Context: tests; Python's standard library only
"""

import http.client
import socket
import time

from harness import Failure, check
from records import Planted


class Timed:
    """Measures a request: with Timed() as timed: ...; then timed.planted(...)."""

    def __enter__(self):
        self.begin, self.began = time.time(), time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began

    def planted(self, nominal_ms, early_ms=20, late_ms=300, **claims):
        """What the server stalled. The nominal length is checked too: a server that did not stall proves nothing."""
        took_ms = self.seconds * 1000
        check(nominal_ms - early_ms <= took_ms < nominal_ms + late_ms,
              f"took {took_ms:.0f} ms instead of about {nominal_ms}")
        return Planted(self.begin, self.begin + self.seconds, **claims)


def http_get(port, path, timeout=20):
    """The body; any answer but 200 is a failure."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as problem:
        raise Failure(f"GET {path}: {problem!r}") from problem
    finally:
        connection.close()
    check(answer.status == 200, f"GET {path}: {answer.status} {body[:300]!r}")
    return body


def http_stall(port, path, nominal_ms, **claims):
    with Timed() as timed:
        http_get(port, path)
    return timed.planted(nominal_ms, where=path, **claims)


class Redis:
    """The few words of redis's protocol that the tests need."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        parts = [str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def answer(self):
        line = self.stream.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise Failure(f"redis: {rest.decode()}")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.stream.read(length + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        check(kind == b"+", f"redis answered {line!r}")
        return rest

    def call(self, *words):
        self.send(*words)
        return self.answer()

    def refusal(self, *words):
        """The text of the error with which it answers; "" for none."""
        self.send(*words)
        line = self.stream.readline().decode().rstrip()
        return line[1:] if line.startswith("-") else ""
