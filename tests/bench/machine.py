# SPDX-License-Identifier: Apache-2.0
"""machine.py - the machine under the bench: CPUs, processes, /proc, record files

Whatever the bench starts is ended by its pid when the bench ends, and dies with it where it is killed.

Context: bench; Python's standard library only
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PORTS = range(22000, 23000)
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def folder():
    """A temporary folder, removed at the end of its `with`."""
    return tempfile.TemporaryDirectory(prefix="loopdog-bench-", ignore_cleanup_errors=True)


class Unable(Exception):
    """This figure can't be measured here; the text says why."""


class Broken(Exception):
    """The measurement went wrong; the text says how."""


# What ends one measurement but not the bench.
PROBLEMS = (Unable, Broken, OSError, subprocess.SubprocessError)


def need(program):
    path = shutil.which(program, path=PATH)
    if not path:
        raise Unable(f"{program} is not installed")
    return path


def cpus():
    return sorted(os.sched_getaffinity(0))


def server_cpu():
    return cpus()[0]


def load_cpu():
    """The load generator's own CPU; sharing the server's would measure the scheduler."""
    if len(cpus()) < 2:
        raise Unable("one CPU only: server and load generator would share it")
    return cpus()[1]


_next_port = PORTS.start + os.getpid() * 37 % len(PORTS)


def free_port():
    """A port of our range that nobody listens on; each call another."""
    global _next_port
    for _ in PORTS:
        port = _next_port
        _next_port = PORTS.start + (port + 1 - PORTS.start) % len(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Unable(f"no free port between {PORTS.start} and {PORTS.stop - 1}")


def port_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, seconds, what):
    """Ask every 10 ms; the condition's first true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise Broken(f"{what}: not within {seconds} s")


_started = []


class Process:
    """One started program; its output goes to a nameless file. `cpu` pins it and all its threads to one CPU."""

    def __init__(self, argv, environment, *, cpu=None, folder=None, stdin=subprocess.DEVNULL):
        self.argv, self.file = [str(a) for a in argv], tempfile.TemporaryFile()

        def prepare():
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})

        self.popen = subprocess.Popen(self.argv, env=environment, cwd=folder, stdin=stdin, stdout=self.file,
                                      stderr=subprocess.STDOUT, preexec_fn=prepare)
        _started.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def output(self):
        return os.pread(self.file.fileno(), os.fstat(self.file.fileno()).st_size, 0).decode(errors="replace")

    def check_running(self):
        if self.popen.poll() is not None:
            raise Broken(f"{self.argv[0]} ended with {self.popen.returncode}: {self.output()[-500:]}")

    def wait(self, seconds, codes=(0,)):
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Broken(f"{self.argv[0]} did not end within {seconds} s") from None
        if code not in codes:
            raise Broken(f"{self.argv[0]} ended with {code}: {self.output()[-500:]}")

    def stop(self, with_signal=signal.SIGTERM, seconds=15, codes=(0, -signal.SIGTERM)):
        self.check_running()
        self.popen.send_signal(with_signal)
        self.wait(seconds, codes)

    def close_input(self, seconds=15):
        self.popen.stdin.close()
        self.wait(seconds)


def end_all():
    """Kill by pid what is still there."""
    for process in _started:
        if process.popen.poll() is None:
            for pid in descendants(process.pid) + [process.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.popen.wait()
        process.file.close()
    _started.clear()


def descendants(pid):
    found = []
    for task in pathlib.Path("/proc", str(pid), "task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child] + descendants(child)
    return found


# ---- what /proc says ----

def threads(pid):
    """{tid: name}"""
    names = {}
    for task in pathlib.Path("/proc", str(pid), "task").iterdir():
        try:
            names[int(task.name)] = (task / "comm").read_text().strip()
        except OSError:
            continue
    return names


def watchdog(pid):
    """Thread id of the agent's watchdog."""
    found = [tid for tid, name in threads(pid).items() if name == "loopdog"]
    if len(found) != 1:
        raise Broken(f"process {pid} has {len(found)} threads of the name loopdog")
    return found[0]


def switches(pid, tid):
    """(voluntary, involuntary) context switches of one thread so far."""
    fields = dict(line.split(":") for line in
                  pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text().splitlines() if "ctxt" in line)
    return int(fields["voluntary_ctxt_switches"]), int(fields["nonvoluntary_ctxt_switches"])


def cpu_ns(pid, tid=None):
    """CPU time of one thread, or of all living threads of a process."""
    pattern = str(tid) if tid else "*"
    return sum(int(task.read_text().split()[0])
               for task in pathlib.Path("/proc", str(pid), "task").glob(f"{pattern}/schedstat"))


def private_dirty_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])
    raise Broken("no Private_Dirty in smaps_rollup")


def has_library(pid, library):
    return os.path.realpath(library) in pathlib.Path(f"/proc/{pid}/maps").read_text()


def cpu_shares():
    """Ticks of all CPUs so far: (busy, stolen by the hypervisor, all)."""
    fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle, stolen = fields[3] + fields[4], fields[7]
    return sum(fields) - idle - stolen, stolen, sum(fields)


def describe():
    """What the figures were measured on."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    clock = pathlib.Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    return {"cpu": model, "cpus": len(cpus()), "kernel": os.uname().release,
            "clocksource": clock.read_text().strip() if clock.exists() else "?", "load": os.getloadavg()[0],
            "virtual": " hypervisor" in info}


# ---- records ----

def environment(library=None, records=None, **extra):
    """What a program is run with. The same for both sides but for the library and its settings."""
    result = {"PATH": PATH, "HOME": "/nonexistent", "LANG": "C.UTF-8", **{k: str(v) for k, v in extra.items()}}
    if library:
        result["LD_PRELOAD"] = str(library)
        result["LOOPDOG_OUTPUT"] = str(records)
    else:
        result = {k: v for k, v in result.items() if not k.startswith("LOOPDOG_")}
    return result


def read_records(folder):
    """All lines of all files of a folder."""
    lines = []
    for path in sorted(pathlib.Path(folder).iterdir()):
        for line in path.read_bytes().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError as problem:
                raise Broken(f"{path}: {problem}: {line[:200]!r}") from None
    return lines
