#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""unit_filter.py - run a program under the seccomp filters, and as the user, of a systemd unit

    unit_filter.py UNIT -- COMMAND ...

A container has no systemd that would start the unit, but the filters are what matters: here they are made from the
unit's own lines, as systemd 252 makes them (src/shared/seccomp-util.c and systemd.exec(5)); the sets of system calls
are those that `systemd-analyze syscall-filter` prints. A line about system calls that is not known here is an error, so
that a later version of the unit does not pass for less than it is.

Context: system tests; Python's standard library only
"""

import ctypes
import errno
import os
import pathlib
import pwd
import re
import socket
import struct
import subprocess
import sys

NUMBERS = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
ARCH_X86_64, X32_BIT = 0xC000003E, 0x40000000
KILL, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
LOAD, EQUAL, ANY_BIT, GREATER, AND, RETURN = 0x20, 0x15, 0x45, 0x25, 0x54, 0x06
PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER, SYS_SECCOMP = 38, 1, 317
NAMESPACES = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000
SET_ID_BITS = 0o6000

# Of the lines that make a filter: a rule is (system calls, index of an argument or None, test, value, answer).
EPERM = ERRNO | errno.EPERM
RULES = {
    "MemoryDenyWriteExecute": [(["mmap"], 2, "all", 6, EPERM), (["mprotect", "pkey_mprotect"], 2, "any", 4, EPERM),
                               (["shmat"], 2, "any", 0o100000, EPERM)],
    "RestrictNamespaces": [(["unshare", "clone"], 0, "any", NAMESPACES, EPERM), (["setns"], None, "", 0, EPERM),
                           (["clone3"], None, "", 0, ERRNO | errno.ENOSYS)],
    "RestrictRealtime": [(["sched_setscheduler"], 1, "above", 0, EPERM)],
    "RestrictSUIDSGID": [(["chmod", "fchmod"], 1, "any", SET_ID_BITS, EPERM),
                         (["fchmodat"], 2, "any", SET_ID_BITS, EPERM),
                         (["mkdir", "creat"], 1, "any", SET_ID_BITS, EPERM),
                         (["openat2"], None, "", 0, ERRNO | errno.ENOSYS)],
    "LockPersonality": [(["personality"], 0, "above", 0, EPERM)],
    "ProtectClock": [(["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"], None, "", 0, EPERM)],
    "ProtectHostname": [(["sethostname", "setdomainname"], None, "", 0, EPERM)],
    "ProtectKernelLogs": [(["syslog"], None, "", 0, EPERM)],
    "ProtectKernelModules": [(["init_module", "finit_module", "delete_module"], None, "", 0, EPERM)],
    "ProtectKernelTunables": [(["_sysctl"], None, "", 0, EPERM)],
}
ELSEWHERE = {"SystemCallFilter", "SystemCallArchitectures", "RestrictAddressFamilies"}
NO_FILTER = {"ProtectHome", "ProtectSystem", "ProtectControlGroups", "ProtectProc"}  # mounts


def read_unit(path):
    """All values of each line of [Service]."""
    lines = {}
    for line in pathlib.Path(path).read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            lines.setdefault(name.strip(), []).append(value.strip())
    return lines


def numbers():
    return {name: int(number) for name, number in
            re.findall(r"^#define __NR_(\w+)\s+(\d+)", NUMBERS.read_text(), re.MULTILINE)}


def members(name):
    """The system calls of a set, those of the sets in it included."""
    if not name.startswith("@"):
        return {name}
    said = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], check=True, capture_output=True,
                          text=True).stdout
    names = [line.strip() for line in said.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for inner in names for call in members(inner)}


def allowed_calls(values):
    """SystemCallFilter=: the first line allows, and what the sets of "default" name is allowed to everybody; "~" takes
    away."""
    allowed = members("@default")
    for value in values:
        names = value.lstrip("~").split()
        calls = {call for name in names for call in members(name)}
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


def statement(code, value, when=0, otherwise=0):
    return struct.pack("HBBI", code, when, otherwise, value)


def head():
    """Other architectures end the process; then the number of the call."""
    return (statement(LOAD, 4) + statement(EQUAL, ARCH_X86_64, 1, 0) + statement(RETURN, KILL) +
            statement(LOAD, 0) + statement(GREATER, X32_BIT - 1, 0, 1) + statement(RETURN, KILL))


def rule_program(rules, known):
    program = head()
    for names, argument, test, value, answer in rules:
        for number in (known[name] for name in names if name in known):
            body = statement(RETURN, answer)
            if argument is not None:
                check = {"any": statement(ANY_BIT, value, 0, 1), "above": statement(GREATER, value, 0, 1),
                         "all": statement(AND, value) + statement(EQUAL, value, 0, 1)}[test]
                body = statement(LOAD, 16 + 8 * argument) + check + body + statement(LOAD, 0)
            program += statement(EQUAL, number, 0, len(body) // 8) + body
    return program + statement(RETURN, ALLOW)


def allow_program(names, known):
    program = head()
    for number in sorted(known[name] for name in names if name in known):
        program += statement(EQUAL, number, 0, 1) + statement(RETURN, ALLOW)
    return program + statement(RETURN, KILL)


def family_program(families, known):
    program = head() + statement(EQUAL, known["socket"], 1, 0) + statement(RETURN, ALLOW) + statement(LOAD, 16)
    for family in families:
        program += statement(EQUAL, int(getattr(socket, family)), 0, 1) + statement(RETURN, ALLOW)
    return program + statement(RETURN, ERRNO | errno.EAFNOSUPPORT)


def programs(unit):
    """One BPF program for each line of the unit that makes a filter, the one that ends the process last."""
    known = numbers()
    strange = [name for name in unit if re.match(r"(Restrict|Protect|SystemCall|Memory|Lock)", name)
               and name not in RULES.keys() | ELSEWHERE | NO_FILTER]
    if strange:
        sys.exit(f"unit_filter: not known here: {', '.join(strange)}")
    made = [rule_program(RULES[name], known) for name, values in unit.items()
            if name in RULES and values[-1] in ("true", "yes", "1")]
    if "RestrictAddressFamilies" in unit:
        made.append(family_program(unit["RestrictAddressFamilies"][-1].split(), known))
    return made + [allow_program(allowed_calls(unit["SystemCallFilter"]), known)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install(made):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("unit_filter: no_new_privs was refused")
    for program in made:
        argument = Program(len(program) // 8, program)
        if libc.syscall(SYS_SECCOMP, SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(argument)) != 0:
            sys.exit(f"unit_filter: a filter was refused: {os.strerror(ctypes.get_errno())}")


def main(arguments):
    unit = read_unit(arguments[0])
    made = programs(unit)
    if os.geteuid() == 0:
        user = pwd.getpwnam(unit["User"][-1])
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    install(made)
    os.execv(arguments[2], arguments[2:])


if __name__ == "__main__":
    main(sys.argv[1:])
