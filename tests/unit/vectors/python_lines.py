#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""python_lines.py - what CPython itself says of its tables of lines, written down for test_python_lines.c

    python_lines.py PYTHON... > python_lines.h

Each interpreter compiles the same functions and says for each its table, and which line holds from which byte of the
bytecode on (dis.findlinestarts up to 3.9, co_lines() from 3.10 on). Run again only to add a version or a function.

Context: developers
"""

import json
import subprocess
import sys
import textwrap

# Runs in each interpreter.
ASKED = r'''
import dis, json, sys

GAP = "\n" * 300
SOURCES = {
    "plain": "def f(a):\n    b = a\n    return b\n",
    "loop": "def f(a):\n    for x in a:\n        if x:\n            continue\n        print(\n            x,\n"
            "            a)\n    else:\n        return 1\n",
    "backwards": "def f(a, b):\n    return g(\n        a(\n            1),\n"
                 "        b,\n        c=h(\n            2))\n",
    "finally": "def f(a):\n    try:\n        with a as b:\n"
               "            b()\n    except ValueError as e:\n        raise e\n"
               "    finally:\n        a()\n",
    "gap": "def f(a):\n    a()" + GAP + "\n    a(\n" + GAP + "      1)\n    return a\n",
    "wide": "def f(a):\n    return [" + ", ".join("a(%d, a)" % i for i in range(90)) + "]\n",
    "async": "async def f(a):\n    async with a as b:\n        await b\n    return [\n        x async for x in b]\n",
    "generator": "def f(a):\n    while True:\n        try:\n            yield a\n        except KeyError:\n"
                 "            yield from a\n",
    "far": "\n" * 70000 + "def f(a):\n    return a()\n",
}

def runs(code):
    if hasattr(code, "co_lines"):
        return [(start, end, line or 0) for start, end, line in code.co_lines()]
    starts = list(dis.findlinestarts(code)) + [(len(code.co_code), 0)]
    return [(start, end, line) for (start, line), (end, _) in zip(starts, starts[1:])]

vectors = []
for name, source in SOURCES.items():
    scope = {}
    exec(compile(source, name, "exec"), scope)
    code = scope["f"].__code__
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    vectors.append({"name": name, "first": code.co_firstlineno, "table": list(table), "runs": runs(code)})
print(json.dumps({"minor": sys.version_info[1], "version": sys.version.split()[0], "vectors": vectors}))
'''

HEAD = '''\
/* SPDX-License-Identifier: Apache-2.0
 *
 * python_lines.h - tables of lines and what CPython says of them; written by python_lines.py
 *
 * Made by: {versions}
 *
 * Context: unit test
 */
/* clang-format off */
#ifndef LOOPDOG_TESTS_UNIT_VECTORS_PYTHON_LINES_H
#define LOOPDOG_TESTS_UNIT_VECTORS_PYTHON_LINES_H

#include <stdint.h>

struct python_lines_run {{
        uint32_t begin, end, line; /* bytes of the bytecode; line 0: none */
}};

struct python_lines_vector {{
        unsigned minor;
        const char *name;
        uint32_t first_line, table_length, runs_count;
        const uint8_t *table;
        const struct python_lines_run *runs;
}};

static const struct python_lines_vector python_lines_vectors[] = {{'''
TAIL = '''\
};
/* clang-format on */

#endif'''


def folded(items):
    return textwrap.fill(", ".join(items), 116, initial_indent=" " * 16, subsequent_indent=" " * 16,
                         break_on_hyphens=False)


def main():
    answers = [json.loads(subprocess.run([python, "-c", ASKED], check=True, stdout=subprocess.PIPE).stdout)
               for python in sys.argv[1:]]
    print(HEAD.format(versions="CPython " + ", ".join(answer["version"] for answer in answers)))
    for answer in answers:
        for vector in answer["vectors"]:
            print(f'        {{ {answer["minor"]}, "{vector["name"]}", {vector["first"]}, {len(vector["table"])}, '
                  f'{len(vector["runs"])}, (const uint8_t[]){{')
            print(folded([str(byte) for byte in vector["table"]]))
            print("          }, (const struct python_lines_run[]){")
            print(folded([f"{{{begin},{end},{line}}}" for begin, end, line in vector["runs"]]))
            print("          } },")
    print(TAIL)


if __name__ == "__main__":
    main()
