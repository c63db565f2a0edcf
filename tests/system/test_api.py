#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_api.py - what a program says through loopdog.h, and the adapters

The victims are linked with libloopdog. Each case runs twice: so, and with the same library preloaded as well, which
must change nothing: no stall counted twice, no second loop.

Context: system test
"""

import sys

import harness
import records

suite = harness.Suite("api")
LINKED = {"LD_PRELOAD": ""}


def add(title, run, **more):
    """The case with the library linked only, and with it preloaded too."""
    suite.add(f"{title}, linked", lambda place: run(place, LINKED), **more)
    suite.add(f"{title}, linked and preloaded", lambda place: run(place, {}), **more)


def api_case(name, judge, files=1, stacks=True, victim="api"):
    def run(place, env):
        program = place.run_victim(victim, name, env=env)
        if place.plain:
            return
        if name in ("misuse", "dump", "anywhere"):  # what is wrong is said on stderr, and only there
            judge(place, place.read(), program)
            return
        book = place.expect(stacks=stacks, files=files, clean=True)
        harness.check(not any("notices" in line and line["notices"] for line in book.all("process")), "a notice")
        judge(place, book, program)
    add(name if victim == "api" else f"{name} of {victim}", run, attempts=3)


def only_stall(book):
    stalls = book.all("stall")
    harness.check(len(stalls) == 1, f"{len(stalls)} stalls")
    return stalls[0]


def judge_callbacks(place, book, program):
    stall = only_stall(book)
    callback = stall.get("callback", {})
    harness.check(stall["loop"] == "main", f"loop {stall['loop']}")
    harness.check((callback.get("name"), callback.get("function"), callback.get("object")) ==
                  ("read_cb", "read_cb", "fd 12"), f"callback {callback}")
    harness.check(stall["callbacks"] == 21, f"{stall['callbacks']} callbacks")
    planted_ns = (place.planted[0].end - place.planted[0].begin) * 1e9
    harness.check(-1e6 < callback["duration_ns"] - planted_ns < 20e6, f"callback {callback}, planted {planted_ns}")
    harness.check(callback["begin_ns"] + callback["duration_ns"] <= stall["duration_ns"], f"callback {callback}")
    begun = book.all("stall-begin")[0]
    harness.check(begun.get("callback", {}).get("name") == "read_cb", "not named while it went on")


def labels_of(stall):
    return {label["key"]: label["value"] for label in stall.get("labels", [])}


def judge_labels(place, book, program):
    harness.check(labels_of(only_stall(book)) == {"request": "GET /users/42", "trace": "4bf92f3577b34da6"},
                  f"labels {labels_of(only_stall(book))}")


def judge_large_label(place, book, program):
    labels = labels_of(only_stall(book))
    harness.check(labels == {"large": "x" * 127, "odd": "\x1b[31m��", "a key that is f": "value"}, f"labels {labels}")


def judge_section(place, book, program):
    harness.check(abs(only_stall(book)["threshold_ns"] - 300e6) < 1e6, "the section's own time counts")


def judge_threshold(place, book, program):
    stall = only_stall(book)
    harness.check((stall["loop"], stall["threshold_ns"]) == ("quick", 20000000), f"{records.describe(stall)}")


def judge_nested(place, book, program):
    loops = [stall["loop"] for stall in book.stalls(startup=False)]
    harness.check(loops == ["inner", "main"], f"loops {loops}")


def judge_pause(place, book, program):
    only_stall(book)


def judge_handler(place, book, program):
    harness.check(len(book.all("stall")) == 2, "two stalls")


def judge_statistics(place, book, program):
    loops = [line for line in book.all("loop") if line["loop"] == "main"]
    harness.check(loops and loops[-1]["iterations"] >= 10, f"{loops}")


MISUSE = (
    "loopdog_wait_end without loopdog_wait_begin", "loopdog_callback_end without loopdog_callback_begin",
    "loopdog_section_end without loopdog_section_begin", "loopdog_resume without loopdog_pause",
    "loopdog_wait_begin: the loop is not open", "loopdog_wait_end: the loop is not open",
    "loopdog_loop_close: the loop is not open",
    "loopdog_callback_begin: more than 16 within each other; an end is missing?",
    "loopdog_wait_begin: the loop belongs to another thread", "loopdog_wait_end: the loop belongs to another thread",
    "loopdog_loop_close: the loop belongs to another thread",
)


def judge_misuse(place, book, program):
    said = program.output().splitlines()
    harness.check(sorted(said) == sorted("loopdog: " + line for line in MISUSE), f"said: {said}")
    joined, complaints = records.join(book.stalls(startup=False), place.planted)
    harness.check(not complaints and not book.complaints, f"{complaints} {book.complaints}")
    harness.check(len(joined) == 1, "one stall")


def judge_fork(place, book, program):
    harness.check([len(lines) > 0 for lines in book.runs.values()] == [True, True], "two processes")


def judge_dump(place, book, program):
    """Three dumps of two loops; whether one of them stalled meanwhile is the machine's business."""
    harness.check(not book.complaints, f"{book.complaints}")
    seen = [(dump["id"], dump["loop"], dump["state"]) for dump in book.all("dump")]
    wanted = [(1, "main", "busy"), (1, "second", "idle"), (2, "main", "paused"), (2, "second", "busy"),
              (3, "main", "busy"), (3, "second", "busy")]
    harness.check(sorted(seen) == wanted, f"dumps {seen}")
    dumps = {(dump["id"], dump["loop"]): dump for dump in book.all("dump")}
    lost = [dump["lost"] for dump in book.all("dump") if dump["lost"]["samples"]]
    if lost:
        raise harness.Failure(f"not captured: {lost}", True)  # a thread that computes got no CPU for its handler
    callback = dumps[1, "main"]["callback"]
    harness.check((callback["name"], callback["object"]) == ("dump_cb", "fd 12"), f"callback {callback}")
    harness.check([labels_of(dumps[key]) for key in ((1, "main"), (1, "second"), (2, "second"))] ==
                  [{"request": "GET /first"}, {}, {"request": "GET /second"}], "labels")
    for key, function in (((1, "main"), "dump_cb"), ((3, "main"), "on_signal"), ((2, "second"), "compute_cb")):
        culprit = dumps[key]["culprit"]["function"]
        harness.check(culprit == function, f"{key}: {culprit} instead of {function}")
    harness.check(dumps[2, "second"]["stacks"][0]["complete"], "not a whole stack")
    idle = dumps[1, "second"]
    harness.check("culprit" not in idle and idle.get("detail", {}).get("call") == "read", f"{idle}")
    for loop in ("main", "second"):
        harness.check(dumps[3, loop]["duration_ns"] > 0 and dumps[3, loop]["begin"] <= dumps[3, loop]["time"], loop)


def judge_anywhere(place, book, program):
    stall = only_stall(book)
    harness.check(stall.get("callback", {}).get("name") == "read_cb", f"callback {stall.get('callback')}")
    _, complaints = records.join([stall], place.planted)
    harness.check(not complaints and not book.complaints, f"{complaints} {book.complaints}")
    said = program.output().splitlines()
    harness.check(all(said.count(line) <= 2 for line in said), f"said twice by parent or child: {said}")


api_case("callbacks", judge_callbacks)
api_case("labels", judge_labels)
api_case("large_label", judge_large_label)
api_case("section", judge_section)
api_case("threshold", judge_threshold)
api_case("pause", judge_pause)
api_case("nested", judge_nested)
api_case("statistics", judge_statistics)
api_case("misuse", judge_misuse)
api_case("fork", judge_fork, files=2)
api_case("dump", judge_dump)
api_case("anywhere", judge_anywhere)
# The static library, which stands down where the shared one is preloaded.
api_case("callbacks", judge_callbacks, victim="api_static")
api_case("nested", judge_nested, victim="api_static")
api_case("dump", judge_dump, victim="api_static")


@suite.case("handler", attempts=3)
def handler(place):
    place.run_victim("api", "handler", env=LINKED)  # it judges itself; one of its stalls is not in its own log
    if not place.plain:
        judge_handler(place, place.read(), None)


@suite.case("stop and start", attempts=3)
def stop(place):
    program = place.run_victim("api", "stop", env=LINKED)
    if place.plain:
        return
    book = place.read()
    _, complaints = records.join(book.stalls(startup=False), place.planted)
    harness.check(not complaints + book.complaints, f"{complaints} {book.complaints}")
    ends = [line["reason"] for line in book.all("exit")]
    harness.check(ends == ["stop", "exit"], f"ends: {ends}")
    harness.check("LOOPDOG_TRESHOLD is not a setting: did you mean LOOPDOG_THRESHOLD?" in program.output(),
                  "the wrong setting was not said")


@suite.case("stop and start, of a loop that the hooks have found", attempts=3)
def stop_hooked(place):
    place.run_victim("api", "stop-hooked", env=LINKED)
    if place.plain:
        return
    book = place.read()
    _, complaints = records.join(book.stalls(startup=False), place.planted)
    lost = [(line["reason"], line["iterations_lost"]) for line in book.all("exit")]
    if lost != [("stop", 0), ("exit", 0)]:
        complaints.append(f"lost while nobody watched: {lost}")
    harness.check(not complaints + book.complaints, f"{complaints} {book.complaints}")


@suite.case("start with options", attempts=3)
def options(place):
    place.run_victim("api", "options", env=LINKED)
    if place.plain:
        return
    stalls = place.read().stalls(startup=False)
    _, complaints = records.join(stalls, place.planted)
    harness.check(not complaints + place.book.complaints, f"{complaints} {place.book.complaints}")
    thresholds = [stall["threshold_ns"] for stall in stalls]
    harness.check(thresholds == [20000000, 100000000], f"thresholds {thresholds}")


@suite.case("labels are redacted", attempts=3)
def redacted(place):
    place.run_victim("api", "labels", env={**LINKED, "LOOPDOG_REDACT": "labels"})
    if not place.plain:
        labels = labels_of(only_stall(place.expect()))
        harness.check(set(labels.values()) == {"[redacted]"} and "request" in labels, f"labels {labels}")


@suite.case("without a file, a dump is text on stderr", attempts=3)
def dumped_as_text(place):
    said = place.run_victim("api", "dump", env={**LINKED, "LOOPDOG_OUTPUT": ""}).output()
    if place.plain:
        return
    heads = [line for line in said.splitlines() if line.startswith("loopdog: loop ")]
    harness.check(len(heads) == 6, f"{said}")
    for words in ("loop busy for ", " in dump_cb on fd 12", ", request GET /first   [", "loop idle for ",
                  "loop paused for ", "in compute_cb()", ", running, request GET /second", "loop second, dump #3]"):
        harness.check(any(words in line for line in heads), f"no '{words}' in {said}")
    harness.check("    compute_cb  (api+0x" in said, f"no frames in {said}")


@suite.case("switched off, nothing is there", attempts=3)
def off(place):
    place.run_victim("api", "callbacks", env={**LINKED, "LOOPDOG_THRESHOLD": "0"})
    harness.check(not list(place.records_folder.iterdir()), "a file was written")


# ---- the adapters: the same victims as test_libraries.py, attached ----

def judge_attached(place):
    """Each stall is in the named loop, and its callback is the one that the truth names."""
    for stall in place.book.stalls(startup=False):
        harness.check(stall["loop"] == "main", f"loop {stall['loop']}")
        truth = next(p for p in place.planted if p.begin < records.end_of(stall) and p.end > records.begin_of(stall))
        callback = stall.get("callback", {})
        names = {callback.get("name"), callback.get("function")}
        harness.check(truth.where in names or "on_pipe" in names, f"{truth.where} is called {callback}")
        harness.check(stall["duration_ns"] - callback["duration_ns"] < 20e6, f"{callback}")
    # GLib has a thread of its own for signals and children, whose loop is a loop like any other.
    loops = {(line["pid"], line["tid"], line["loop"]) for line in place.book.all("loop") if line["thread"] != "gmain"}
    harness.check(len(loops) == 1, f"loops: {loops}")


def is_offered(place, victim, backend):
    """Do this library and this kernel have it?"""
    program = place.start("offered", [f"{suite.options.victims}/{victim}", backend, "offered"], preload=False)
    return program.process.wait(10) == 0


def add_adapter(victim, argument, count, only_api=False):
    def run(place, env):
        if argument == "iouring" and not is_offered(place, victim, argument):
            raise harness.Skip(f"this libev or this kernel has no backend {argument}")
        env = dict(env, LOOPDOG_LOOPS="api") if only_api else env
        place.run_victim(victim, *argument.split(), env=env)
        harness.check(len(place.planted) == count, f"the victim planted {len(place.planted)} stalls")
        place.expect(files=None if place.plain else 1)
        if not place.plain:
            judge_attached(place)
            place.expect_exact()
    add(f"{victim} {argument}".rstrip() + (" with LOOPDOG_LOOPS=api" if only_api else ""), run, attempts=3)


for backend in ("epoll", "poll", "select"):
    add_adapter("attached_libev", backend, 6)
add_adapter("attached_libev", "iouring", 6)  # which no hook sees
add_adapter("attached_libev", "epoll kinds", 4)
for backend in ("epoll", "poll", "select"):
    add_adapter("attached_libevent", backend, 5)
add_adapter("attached_libevent", "epoll kinds", 2)
add_adapter("attached_libuv", "", 7, only_api=True)
add_adapter("attached_libuv", "kinds", 5)
add_adapter("attached_glib", "", 5)
add_adapter("attached_glib", "kinds", 3)

def add_many(library, loops):
    """Loops beside each other, within each other and after each other: each stall is in the one that it was in."""
    def run(place, env):
        place.run_victim(f"many_{library}", env=env)
        harness.check(len(place.planted) == len(loops) + 1, "what was planted")
        book = place.expect(files=None if place.plain else 1)
        if place.plain:
            return
        stalls = book.stalls(startup=False)
        first = [stall["loop"] for stall in stalls if stall["tid"] == stall["pid"]]
        beside = [stall["loop"] for stall in stalls if stall["tid"] != stall["pid"]]
        harness.check((first, beside) == (list(loops), ["second"]), f"loops of the stalls: {first}, {beside}")
        for stall in stalls:
            harness.check(stall.get("callback", {}).get("name") in ("on_timer", "timer"), f"{stall.get('callback')}")
        names = {line["loop"] for line in book.all("loop")}
        harness.check(names == {*loops, "second"}, f"loops {names}")
        place.expect_exact()
    add(f"many loops of {library}", run)


add_many("libev", ("inner", "outer", "again"))
add_many("glib", ("inner", "outer", "again"))
add_many("libuv", ("outer", "again"))
add_many("libevent", ("outer", "again"))

if __name__ == "__main__":
    sys.exit(suite.main())
