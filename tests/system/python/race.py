# SPDX-License-Identifier: Apache-2.0
"""race.py - calls, returns, raises, recurses, runs generators, imports, makes functions and drops them, at full speed

Each function that is named `..._NUMBER` tells its caller's program that it is entered and left: push(NUMBER), pop().
Only at the lines marked `edge` may it be on the stack without having told so, or after having told that it is left.
push(), pop() and running() are given by the program that runs this (tests/unit/test_python_race.c).

Context: embedded interpreter of test_python_race.c
"""

import functools
import gc
import random
import sys
import threading
import time

MADE, MADE_NUMBERS = 1000, 400


def leaf_1(value):  # edge
    push(1)  # edge
    value += 1
    pop()  # edge
    return value  # edge


def call_2(function, *arguments):  # edge
    push(2)  # edge
    result = function(*arguments)
    pop()  # edge
    return result  # edge


def recurse_3(depth):  # edge
    push(3)  # edge
    if depth > 0:
        recurse_3(depth - 1)
    pop()  # edge


def through_c_4(depth):  # edge
    push(4)  # edge
    if depth > 0:
        sorted([depth - 1, -1], key=through_c_4)
    pop()  # edge
    return 0  # edge


def raise_5(depth):  # edge
    push(5)  # edge
    try:
        if depth == 0:
            raise ValueError(depth)
        raise_5(depth - 1)
    finally:
        pop()  # edge


def catch_6():  # edge
    push(6)  # edge
    try:
        raise_5(random.randrange(30))
    except ValueError:
        leaf_1(1)
    pop()  # edge


def generate_7(count):  # edge
    for i in range(count):  # edge
        push(7)  # edge
        value = leaf_1(i)
        pop()  # edge
        yield value  # edge


def consume_8():  # edge
    push(8)  # edge
    for value in generate_7(50):
        leaf_1(value)
    list(map(leaf_1, generate_7(20)))
    sum(generate_7(20))
    pop()  # edge


class Thing:
    def __init__(self, value):
        self.value = value

    def method_9(self):  # edge
        push(9)  # edge
        value = self.property_10
        pop()  # edge
        return value  # edge

    @property  # edge
    def property_10(self):  # edge
        push(10)  # edge
        value = leaf_1(self.value)
        pop()  # edge
        return value  # edge


def objects_11():  # edge
    push(11)  # edge
    for i in range(20):
        Thing(i).method_9()
        functools.partial(call_2, leaf_1)(i)
    pop()  # edge


async def await_12(depth):  # edge
    push(12)  # edge
    if depth > 0:
        await await_12(depth - 1)
    leaf_1(1)
    pop()  # edge


def run_coroutines_13():  # edge
    push(13)  # edge
    for _ in range(20):
        try:
            await_12(random.randrange(12)).send(None)
        except StopIteration:
            pass
    pop()  # edge


def import_14():  # edge
    push(14)  # edge
    for name in ("colorsys", "this_module_is_not_there"):
        sys.modules.pop(name, None)
        try:
            __import__(name)
        except ImportError:
            leaf_1(1)
    pop()  # edge


SOURCE = """def made_{0}(depth):  # edge
    push({0})  # edge
    if depth > 0:
        make(depth - 1)
    leaf_1(1)
    pop()  # edge
{1}
    return None  # edge
"""


def make_15(depth):  # edge
    push(15)  # edge
    number = MADE + random.randrange(MADE_NUMBERS)
    scope = {"push": push, "pop": pop, "leaf_1": leaf_1, "make": make_15}
    exec(compile(SOURCE.format(number, ""), "made_%d.py" % number, "exec"), scope)
    function = scope.pop("made_%d" % number)
    function(depth)
    scope.clear()
    del function, scope
    pop()  # edge


def sleep_16():  # edge
    push(16)  # edge
    for _ in range(5):
        time.sleep(0.00005)
        leaf_1(1)
    gc.collect(0)
    pop()  # edge


WORK = (
    lambda: recurse_3(random.randrange(1000)),
    lambda: recurse_3(8),
    lambda: through_c_4(random.randrange(40)),
    catch_6,
    consume_8,
    objects_11,
    run_coroutines_13,
    import_14,
    lambda: make_15(random.randrange(12)),
    sleep_16,
)


def disturb():
    """Another thread: makes and drops functions, and takes the lock now and then."""
    while running():
        scope = {}
        for number in range(20):
            exec(compile(SOURCE.format(number + 2000, ""), "other_%d.py" % number, "exec"), scope)
        scope.clear()
        time.sleep(0.002)


sys.setrecursionlimit(3000)
other = threading.Thread(target=disturb)
other.start()
while running():
    random.choice(WORK)()
other.join()
