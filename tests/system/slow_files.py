#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""slow_files.py - a file system whose answers take as long as a test asks for

A FUSE server of its own, on the kernel's protocol, so that no library is needed. Mounted on a folder, it shows one
file, `file`, of zeros. The requests named with --slow are answered after --delay-ms, all others at once. It serves one
request after the other until its stdin is closed, then unmounts.

    slow_files.py FOLDER [--slow read,write,fsync,open,flush] [--delay-ms 300] [--megabytes 1]

It prints "ready" when the file can be used. Nothing is read ahead: each page that is not in the cache is one request,
and opening the file anew empties the cache. SlowFiles does all this for a test.

Context: tests; root; Python's standard library only
"""

import argparse
import ctypes
import errno
import os
import pathlib
import select
import stat
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve()
ROOT, FILE = 1, 2  # nodes
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE = 1, 2, 3, 4, 14, 15, 16, 17, 18
FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = (
    20, 25, 26, 27, 28, 29, 36, 38, 42)
NAMES = {"read": READ, "write": WRITE, "fsync": FSYNC, "open": OPEN, "flush": FLUSH}
UNANSWERED = (FORGET, BATCH_FORGET, INTERRUPT)
LARGEST_WRITE = 128 * 1024
MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def can_mount():
    return os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK)


class Server:
    def __init__(self, options):
        self.folder, self.size = os.path.abspath(options.folder), options.megabytes * 1024 * 1024
        self.slow = {NAMES[name] for name in options.slow.split(",") if name}
        self.delay_s = options.delay_ms / 1000
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        settings = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if _libc.mount(b"slow_files", self.folder.encode(), b"fuse", 0, settings) != 0:
            raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")

    def attributes(self, node):
        mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o666
        size = 0 if node == ROOT else self.size
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, operation, node, body):
        """The body of the answer, or an error's number."""
        if operation == INIT:
            minor = min(struct.unpack_from("<2I", body)[1], 31)
            return struct.pack("<4I2H2I2H8I", 7, minor, 0, 0, 16, 12, LARGEST_WRITE, 1, 0, 0, *[0] * 8)
        if operation == LOOKUP:
            known = node == ROOT and body == b"file\0"
            return struct.pack("<4Q2I", FILE, 0, 60, 60, 0, 0) + self.attributes(FILE) if known else errno.ENOENT
        if operation in (GETATTR, SETATTR):
            return struct.pack("<Q2I", 60, 0, 0) + self.attributes(node)
        if operation in (OPEN, OPENDIR):
            return struct.pack("<Q2I", 0, 0, 0)
        if operation == READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return bytes(max(0, min(size, self.size - offset)))
        if operation == WRITE:
            return struct.pack("<2I", struct.unpack_from("<I", body, 16)[0], 0)
        if operation == STATFS:
            return struct.pack("<5Q4I24x", 1000, 1000, 1000, 10, 10, 4096, 255, 4096, 0)
        if operation in (RELEASE, RELEASEDIR, READDIR, FSYNC, FLUSH, DESTROY):
            return b""
        return errno.ENOSYS

    def serve(self):
        """Until stdin is closed, or the folder is unmounted by somebody else."""
        while True:
            ready, _, _ = select.select([self.device, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            try:
                request = os.read(self.device, LARGEST_WRITE + 4096)
            except OSError as problem:
                if problem.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # ENODEV: unmounted
            _, operation, number, node = struct.unpack_from("<2I2Q", request)
            if operation in UNANSWERED:
                continue
            if operation in self.slow:
                time.sleep(self.delay_s)
            body = self.answer(operation, node, request[40:])
            error, body = (-body, b"") if isinstance(body, int) else (0, body)
            try:
                os.write(self.device, struct.pack("<IiQ", 16 + len(body), error, number) + body)
            except OSError:
                pass  # whoever asked has given up meanwhile

    def close(self):
        _libc.umount2(self.folder.encode(), MNT_DETACH)
        os.close(self.device)


class SlowFiles:
    """The server as another process, for a test: `with SlowFiles(folder, "read") as slow: ... slow.file`."""

    def __init__(self, folder, slow="read", delay_ms=300, megabytes=1):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.file = self.folder / "file"
        self.argv = ["/usr/bin/python3", "-B", str(HERE), str(folder), "--slow", slow, "--delay-ms", str(delay_ms),
                     "--megabytes", str(megabytes)]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.process.wait()
            raise OSError("no slow file system")
        return self

    def __exit__(self, *problem):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def main():
    parser = argparse.ArgumentParser(description="a file system whose answers take as long as a test asks for")
    parser.add_argument("folder")
    parser.add_argument("--slow", default="read", help="read, write, fsync, open, flush")
    parser.add_argument("--delay-ms", type=int, default=300)
    parser.add_argument("--megabytes", type=int, default=1)
    server = Server(parser.parse_args())
    try:
        print("ready", flush=True)
        server.serve()
    finally:
        server.close()


if __name__ == "__main__":
    main()
