#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_guest_company.py - other libraries between the program and libc, and programs of every build

Every case runs a program with the agent and without (alike.py), in the company of the same other libraries: its output
and its end must be the same, and what it planted must be on record.

Context: system test
"""

import pathlib
import re
import struct
import sys
import time

import alike
import harness
import records

suite = harness.Suite("guest_company")
FOLDER = pathlib.Path("/usr/lib/x86_64-linux-gnu")
ADDRESS = 0x10000000  # that guest_prelinked.so asks for


def add(title, victim, *arguments, **how):
    alike.add(suite, title, victim, *arguments, **how)


def company(name, library, *, work="work", stalls=2, **how):
    """Another preload, before ours and after."""
    for order, where in ((f"{library} {{}}", "before"), (f"{{}} {library}", "after")):
        if library.exists():
            add(f"{name}, preloaded {where} ours", "guest_company", work, stalls=stalls, preload=order, **how)
        else:
            suite.add(f"{name}, preloaded {where} ours", lambda place: missing(library))


def first_address(library):
    """Of the first PT_LOAD of a 64-bit ELF file."""
    bytes_ = library.read_bytes()
    at, = struct.unpack_from("<Q", bytes_, 0x20)
    size, count = struct.unpack_from("<HH", bytes_, 0x36)
    heads = [struct.unpack_from("<IIQQ", bytes_, at + i * size) for i in range(count)]
    return next(address for kind, _, _, address in heads if kind == 1)


def missing(library):
    raise harness.Skip(f"{library} is not installed")


def real_time(place):
    """The program's own clock is another: only the order and the lengths can be compared."""
    harness.check("year 2040" in place.programs[1].output(), "libfaketime was not at work")
    stalls = place.read().stalls(startup=False)
    harness.check(len(stalls) == len(place.planted), f"{len(stalls)} stalls instead of {len(place.planted)}")
    for truth, stall in zip(place.planted, stalls):
        length, truth.begin = truth.end - truth.begin, records.begin_of(stall)
        truth.end, truth.culprit = truth.begin + length, ""  # libfaketime's function stands between
        harness.check(abs(truth.begin - time.time()) < 60, f"begun at {stall['begin']}: not by the real clock")
    return place.planted


def has_profile(place, book):
    """What the profiler wrote, with samples of the program in it."""
    for folder in ("plain", "watched"):
        profiles = list((place.folder / folder).glob("profile*"))
        harness.check(profiles and max(p.stat().st_size for p in profiles) > 500, f"no profile of the {folder} run")


company("jemalloc", FOLDER / "libjemalloc.so.2")
company("tcmalloc", FOLDER / "libtcmalloc.so.4")
company("gperftools' profiler", FOLDER / "libprofiler.so.0", work="compute", stalls=1, after=has_profile,
        varies="PROFILE: interrupts",
        env={"CPUPROFILE": "profile", "CPUPROFILE_FREQUENCY": "1000"})
company("libfaketime", FOLDER / "faketime" / "libfaketimeMT.so.1", recorded=real_time,
        env={"FAKETIME": "@2040-06-01 12:00:00", "FAKETIME_NO_CACHE": "1"})

# ---- builds ----

add("ASan's runtime in the program", "guest_company_asan_static", "work", stalls=2)
add("ASan's shared runtime, preloaded before ours as it demands", "guest_company_asan", "work", stalls=2,
    preload="libasan.so.8 {}")
add("ASan's shared runtime after ours, told not to mind", "guest_company_asan", "work", stalls=2,
    env={"ASAN_OPTIONS": "verify_asan_link_order=0"})
add("a program at a fixed address", "guest_company_fixed", "work", stalls=2)
add("a static program, which no preload reaches", "guest_company_static", "work", stalls=2, files=0,
    recorded=lambda place: [])
add("a plugin loaded with RTLD_DEEPBIND, which passes our hooks", "guest_company", "plugin",
    pathlib.Path(suite.options.victims) / "guest_plugin.so", stalls=4)


def prelinked(place, *taken):
    """Its functions are named: the truth has them as culprits."""
    library = pathlib.Path(suite.options.victims) / "guest_prelinked.so"
    if not library.exists():
        raise harness.Skip(f"{library.name} was not built: this linker has no -Ttext-segment")
    first = first_address(library)
    harness.check(first == ADDRESS, f"{library.name} begins at {first:#x} instead of {ADDRESS:#x}")
    result = alike.victim(place, "guest_company", "prelinked", library, *taken)
    harness.check(result.output == [f"loaded at its address: {int(not taken)}"], f"it printed {result.output}")
    alike.judge(place, result, stalls=2)


suite.add("a library with an address of its own, as prelink makes them", prelinked, attempts=3)
suite.add("the same where its address is taken", lambda place: prelinked(place, ADDRESS), attempts=3)


def late(place, preload):
    """It sees no wait then, and must do nothing at all; loaded once more where it is there from the start neither."""
    result = alike.victim(place, "guest_company", "late", suite.options.library, preload=preload)
    harness.check(not result.said and result.output.count("given back: 0") == 2, f"it printed {result.output}")
    if preload:
        alike.judge(place, result, stalls=4)
    elif not place.plain:
        harness.check(not place.read().files, "there is a file")


suite.add("the agent loaded late, used and given back", lambda place: late(place, ""), attempts=3)
suite.add("the agent loaded once more where it is there from the start", lambda place: late(place, "{}"), attempts=3)


@suite.case("no _Unwind_* symbol of the host binds to libunwind")
def unwinder(place):
    """By the loader's own word, with a program that throws while it is captured."""
    result = place.start("bindings", [pathlib.Path(suite.options.victims) / "guest_throw"],
                         env={"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(place.folder / "bindings")})
    result.wait(60)
    said = "".join(path.read_text(errors="replace") for path in place.folder.glob("bindings.*"))
    bound = re.findall(r"binding file (\S+) \[0\] to (\S+) \[0\]: \w+ symbol `(_Unwind_\w+)'", said)
    harness.check(any("libgcc_s" in to for _, to, _ in bound), "no binding of an _Unwind_* symbol was seen")
    wrong = [(file, to, name) for file, to, name in bound if "libunwind" in to and "libunwind" not in file]
    harness.check(not wrong, f"bound to libunwind: {wrong}")
    if not place.plain:
        harness.check("libunwind" in said, "libunwind was not loaded: this shows nothing")


if __name__ == "__main__":
    sys.exit(suite.main())
