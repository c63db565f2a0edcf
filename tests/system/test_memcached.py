#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_memcached.py - Debian's memcached -vv, blocked in write() because nobody reads its stderr

Started as an unprivileged user it stays dumpable and its blocked thread's stack can be read. Started as root with -u it
gives up its rights, the kernel hides its /proc files from itself, and the record must say so instead of a stack.

Context: system test
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

import harness
from records import Planted

suite = harness.Suite("memcached")
USER = "memcache"


class Pipe:
    """Reads the program's stderr, except while it is held."""

    def __init__(self, stream):
        self.fd = stream.fileno()
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.fd, False)
        self.held = threading.Event()
        self.ended = threading.Event()
        self.text = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.ended.is_set():
            if not self.held.is_set():
                try:
                    self.text += os.read(self.fd, 65536)
                except BlockingIOError:
                    pass
            time.sleep(0.001)

    def waiting(self):
        """Bytes in the pipe that nobody has read."""
        return struct.unpack("i", fcntl.ioctl(self.fd, termios.FIONREAD, b"\0" * 4))[0]

    def close(self):
        self.held.clear()
        self.ended.set()
        self.thread.join()


def block(place, port, pipe, **claims):
    """Hold the pipe, ask until the worker blocks, let go after 400 ms. Its begin is when the pipe stopped filling."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        stream = client.makefile("rb")
        client.sendall(b"get warm\r\n")
        harness.check(stream.readline() == b"END\r\n", "memcached does not answer")
        time.sleep(0.2)
        pipe.held.set()
        time.sleep(0.005)
        sent, begin, began, filled = 0, 0.0, 0.0, -1
        while sent < 500:
            client.sendall(b"get key%04d%s\r\n" % (sent, b"x" * 200))
            sent += 1
            client.settimeout(0.1)
            now, monotonic = time.time(), time.monotonic()
            try:
                harness.check(stream.readline() == b"END\r\n", "memcached answers something else")
            except socket.timeout:
                begin, began, filled = now, monotonic, pipe.waiting()
                break
        harness.check(begin and filled > 3000, f"memcached did not block: {sent} requests, {filled} bytes in the pipe")
        time.sleep(0.3)
        end = time.monotonic()
        pipe.held.clear()
        client.settimeout(20)
        harness.check(client.recv(100).endswith(b"END\r\n"), "memcached did not go on")
        place.planted.append(Planted(begin, begin + end - began, cause="blocked", **claims))


def run(place, before, after, **claims):
    harness.need_root()
    port = harness.free_port()
    argv = [*before, harness.need("memcached"), "-vv", "-l", "127.0.0.1", "-p", port, "-t", "2", "-m", "16", *after]
    server = place.start("memcached", argv, stderr=subprocess.PIPE)
    pipe = Pipe(server.process.stderr)
    try:
        harness.wait_until(lambda: harness.port_open(port), 10, "memcached ready")
        time.sleep(0.2)
        for _ in range(2):
            block(place, port, pipe, **claims)
        server.stop()
    finally:
        pipe.close()
    harness.check(b"loopdog" not in pipe.text, "the agent wrote to stderr")
    return place.expect(files=None if place.plain else 1)


@suite.case("blocked in write() to a full pipe, as an unprivileged user")
def unprivileged(place):
    setpriv = harness.need("setpriv")
    run(place, [setpriv, "--reuid", USER, "--regid", USER, "--clear-groups"], [],
        frames=("write", "/usr/bin/memcached"))


@suite.case("the same after -u as root: the record says why there is no stack")
def not_dumpable(place):
    # Not in the share of complete stacks: here the kernel does not show any.
    book = run(place, [], ["-u", USER], stack=False)
    if place.plain:
        return
    for stall in book.stalls(startup=False):
        if not any(stack.get("frames") for stack in stall.get("stacks", [])):
            said = [stack.get("missing", "") for stack in stall.get("stacks", [])]
            said += list(stall["lost"].get("reasons", {}))
            harness.check(any("dumpable" in text for text in said), f"no word about why there is no stack: {said}")


if __name__ == "__main__":
    sys.exit(suite.main())
