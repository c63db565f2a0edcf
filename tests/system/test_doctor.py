#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_doctor.py - what `loopdog doctor` says of this machine and of processes of every kind

Each case starts a process with one thing about it, and asks for the verdict on that. Which verdict the machine itself
gets depends on the machine; that all of it is told, and that a trial program is watched, does not.

Context: system test
"""

import json
import os
import pathlib
import subprocess
import sys
import time

import clients
import harness
import schema
import servers

suite = harness.Suite("doctor")
SCHEMA = schema.Schema(json.loads(
    (pathlib.Path(__file__).resolve().parents[2] / "docs" / "doctor.schema.json").read_text()))
NOBODY = 65534
ENVIRONMENT = "LOOPDOG_LIBRARY"

WAITING = "import time; print('ready', flush=True); time.sleep(60)"
FILTERED = """
import ctypes, struct, time
allow = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(allow)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0, ctypes.get_errno()
print("ready", flush=True)
time.sleep(60)
"""
NO_PERF_EVENTS = """
import ctypes, os, struct, sys
rows = [(0x20, 0, 0, 0), (0x15, 0, 1, 298), (6, 0, 0, 0x00050001), (6, 0, 0, 0x7fff0000)]  # 298: EPERM
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rows), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"""
GAVE_UP_ROOT = """
import os, time
os.setgid(65534); os.setuid(65534)
print("ready", flush=True)
time.sleep(60)
"""


def doctor(*arguments, code, before=()):
    """The document, checked against its schema, and its findings by part and name."""
    environment = {**os.environ, ENVIRONMENT: str(suite.options.library)}
    done = subprocess.run([*before, suite.options.loopdog, "doctor", "--json", *map(str, arguments)], text=True,
                          capture_output=True, timeout=60, check=False, env=environment)
    harness.check(done.returncode == code, f"doctor {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    document = json.loads(done.stdout)
    complaints = SCHEMA.complaints(document)
    harness.check(not complaints, f"{complaints}")
    findings = {(check["part"], check["name"]): check for check in document["checks"]}
    harness.check(len(findings) == len(document["checks"]), "a check is there twice")
    for verdict in ("problem", "note"):
        count = sum(check["verdict"] == verdict for check in document["checks"])
        harness.check(document[verdict + "s"] == count, f"{document}")
    harness.check((document["problems"] > 0) == (code == 1), f"{document}")
    return findings


def expect(findings, part, name, verdict, words=""):
    found = findings.get((part, name))
    harness.check(found and found["verdict"] == verdict and words in found["found"],
                  f"{part}/{name} is not {verdict} ({words}): {found}\nof {sorted(findings)}")


def waiting(place, name="server", script=WAITING, **options):
    """A process of Python that does nothing, once it has come that far."""
    options.setdefault("preload", False)
    path = place.folder / f"{name}.output"
    return place.start(name, [servers.PYTHON, "-c", script], ready=lambda: "ready" in path.read_text(), **options)


@suite.case("this machine: a trial program is watched, asleep and on the CPU")
def machine(place):
    findings = doctor(code=0)
    for name in ("library", "preload", "asleep", "running", "libunwind", "memory", "state", "settings"):
        expect(findings, "machine", name, "ok")
    harness.check(all(part == "machine" for part, _ in findings), f"{findings}")
    harness.check({name for _, name in findings} >= {"clock", "cgroup", "faults", "pressure", "ptrace", "seccomp"},
                  f"{findings}")


@suite.case("this machine where perf_event_open is refused")
def no_perf_events(place):
    findings = doctor(code=0, before=[servers.PYTHON, "-c", NO_PERF_EVENTS])
    expect(findings, "machine", "faults", "note", "perf_event_open: Operation not permitted")
    harness.check("sysctl kernel.perf_event_paranoid=2, or CAP_PERFMON" in findings["machine", "faults"]["fix"],
                  f"{findings}")


@suite.case("redis under the agent: loaded, watched, its file found though it has written over its environment")
def watched(place):
    if place.plain:
        raise harness.Skip("--plain: nothing is preloaded")
    server, port = servers.redis(place)
    with clients.Redis(port) as redis:
        redis.call("DEBUG", "SLEEP", "0.3")
        time.sleep(0.2)
        redis.call("DEBUG", "SLEEP", "0.3")
    findings = doctor(server.pid, code=0)
    for name in ("process", "program", "loaded", "watchdog", "rights", "runtime"):
        expect(findings, "process", name, "ok")
    expect(findings, "records", "output", "ok", f"{place.records_folder}/loopdog.redis-server.{server.pid}.jsonl")
    expect(findings, "records", "loops", "ok", "epoll:")
    harness.check("stall" in findings["records", "stalls"]["found"], f"{findings}")
    server.stop()


@suite.case("redis without the agent")
def unwatched(place):
    server, _ = servers.redis(place, preload=False)
    findings = doctor(server.pid, code=1)
    expect(findings, "process", "loaded", "problem", "not in it")
    lasting = pathlib.Path(suite.options.library).with_name("libloopdog.so")
    harness.check(f"LD_PRELOAD={lasting} in its" in findings["process", "loaded"]["fix"], f"{findings}")
    harness.check(("records", "output") not in findings, f"{findings}")


@suite.case("a static program")
def static(place):
    program = pathlib.Path(suite.options.victims).parent / "system" / "program_static"
    if not program.exists():
        raise harness.Skip("program_static was not built: there is no static libc")
    started = place.start("static", [program, "wait"], preload=False)
    findings = doctor(started.pid, code=1)
    expect(findings, "process", "program", "problem", "statically linked")
    harness.check(findings["process", "program"]["fix"] == "link it dynamically", f"{findings}")


@suite.case("a process under a seccomp filter")
def filtered(place):
    started = waiting(place, script=FILTERED)
    expect(doctor(started.pid, code=1), "process", "seccomp", "note", "filter")


@suite.case("a process that has given up root")
def changed_user(place):
    harness.need_root()
    started = waiting(place, script=GAVE_UP_ROOT)
    expect(doctor(started.pid, code=1), "process", "rights", "note", "not dumpable")


@suite.case("another user's process, without root's rights")
def others(place):
    if os.geteuid() == 0:
        started = waiting(place, user=NOBODY)
        rights = "-sys_ptrace,-perfmon,-sys_admin"
        findings = doctor(started.pid, code=0,
                          before=[harness.need("setpriv"), f"--bounding-set={rights}", f"--inh-caps={rights}"])
        pid = started.pid
    else:
        pid = 1
        findings = doctor(pid, code=0)
    expect(findings, "process", "view", "note", "can't be seen")
    expect(findings, "process", "loaded", "note", "can't be seen")
    harness.check(findings["process", "view"]["fix"] == f"sudo loopdog doctor {pid}", f"{findings}")


@suite.case("a pid that no process has, and one that has ended")
def missing(place):
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        expect(doctor(int(file.read()) + 1, code=1), "process", "process", "problem", "no process")
    ended = subprocess.Popen(["true"])
    try:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        expect(doctor(ended.pid, code=1), "process", "process", "problem", "has ended")
    finally:
        ended.wait()


@suite.case("interpreters: CPython is supported or not, node has native frames")
def interpreters(place):
    expect(doctor(waiting(place).pid, code=1), "process", "runtime", "ok", "CPython 3.")
    node = place.start("node", [harness.need("node"), "-e", "setTimeout(() => 0, 60000)"], preload=False)
    harness.wait_until(lambda: "node" in os.readlink(f"/proc/{node.pid}/exe"), 10, "exec")
    expect(doctor(node.pid, code=1), "process", "runtime", "note", "native frames only")


@suite.case("settings in a process's environment, and in this shell's")
def settings(place):
    if place.plain:
        raise harness.Skip("--plain: nothing is preloaded")
    wrong = waiting(place, "wrong", preload=True, env={"LOOPDOG_TRESHOLD": "1s"})
    findings = doctor(wrong.pid, code=1)
    expect(findings, "process", "settings", "problem", "did you mean LOOPDOG_THRESHOLD?")
    expect(findings, "process", "watchdog", "note", "no loop was seen")
    off = waiting(place, "off", preload=True, env={"LOOPDOG_THRESHOLD": "0"})
    findings = doctor(off.pid, code=1)
    expect(findings, "process", "settings", "ok")
    expect(findings, "process", "watchdog", "problem", "turns the detector off")
    expect(doctor(code=1, before=["env", "LOOPDOG_LOOPS=some"]), "machine", "settings", "problem", "LOOPDOG_LOOPS=some")


@suite.case("a library that is not there, or can't be preloaded")
def library(place):
    findings = doctor(code=1, before=["env", f"{ENVIRONMENT}={place.folder}/none.so"])
    expect(findings, "machine", "library", "problem", "No such file")
    broken = place.write("libbroken.so", "no library")
    findings = doctor(code=1, before=["env", f"{ENVIRONMENT}={broken}"])
    expect(findings, "machine", "preload", "problem", "libbroken.so")


@suite.case("text: a line for each check, wrapped to no terminal, colour only where asked for; wrong usage")
def text(place):
    def say(*arguments, code=0):
        environment = {**os.environ, ENVIRONMENT: str(suite.options.library)}
        done = subprocess.run([suite.options.loopdog, "doctor", *arguments], capture_output=True, text=True, timeout=60,
                              check=False, env=environment)
        harness.check(done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout
    out = say()
    harness.check("\nmachine:\n  ok       library " in out and "\n0 problems, " in out and "\033" not in out, out)
    harness.check("\033[32mok" in say("--color=always"), "no colour")
    for arguments in (["x"], ["0"], ["-1"], ["1", "2"], ["99999999999999999999"]):
        say(*arguments, code=2)


if __name__ == "__main__":
    sys.exit(suite.main())
