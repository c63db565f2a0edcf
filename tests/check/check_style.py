#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_style.py - what every source file must look like, as far as a program can tell

It opens with an SPDX line and `name - what it is`; C files and headers say in which context their code runs. No tabs
(but in makefiles), no line above 120 columns, no blanks at a line's end, no C function that doesn't fit on two screens.

Context: meson test, suite check
"""

import re
import sys

import tree

COLUMNS = 120
FUNCTION_LINES = 80
OPENING_LINES = 12  # within which the name line must stand
C_SUFFIXES = ('.c', '.h', '.cc', '.def')
SOURCE_SUFFIXES = (*C_SUFFIXES, '.py', '.sh', '.js', '.map')
SOURCE_NAMES = ('dev', 'run')


def is_source(name):
    return name.suffix in SOURCE_SUFFIXES or (name.suffix == '' and name.name in SOURCE_NAMES)


def check_opening(name, lines):
    opening = lines[:OPENING_LINES]
    if not any('SPDX-License-Identifier: Apache-2.0' in line for line in opening[:2]):
        yield f'{name}:1: no "SPDX-License-Identifier: Apache-2.0" in the first two lines'
    purpose = re.compile(rf'(^|[\s"*#/]){re.escape(name.name)} - \S')
    if not any(purpose.search(line) for line in opening):
        yield f'{name}:1: no line "{name.name} - what it is" at the beginning'
    if name.suffix in C_SUFFIXES and not any(re.search(r'\bContext:', line) for line in lines):
        yield f'{name}:1: no line "Context:" (app thread, signal handler, watchdog, reader ...)'


def check_lines(name, lines):
    for number, line in enumerate(lines, 1):
        if '\t' in line:
            yield f'{name}:{number}: a tab'
        if len(line) > COLUMNS:
            yield f'{name}:{number}: {len(line)} columns, more than {COLUMNS}'
        if line != line.rstrip():
            yield f'{name}:{number}: blanks at the end'


def check_functions(name, lines):
    """A function's braces stand in the first column: that is the style, and makes them easy to find."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith('{'):
            start = number
        elif line.startswith('}') and start:
            if number - start + 1 > FUNCTION_LINES:
                yield f'{name}:{start}: a function of {number - start + 1} lines, more than {FUNCTION_LINES}'
            start = None


def check_style(root):
    complaints = []
    sources = [name for name in tree.files(root) if is_source(name)]
    for name in sources:
        lines = tree.text(root / name).splitlines()
        complaints += [*check_opening(name, lines), *check_lines(name, lines)]
        if name.suffix in C_SUFFIXES:
            complaints += check_functions(name, lines)
    return complaints if sources else [f'{root}: no sources found']


HEAD = '/* SPDX-License-Identifier: Apache-2.0\n *\n * a.c - a file\n *\n * Context: nowhere\n */\n'


def self_test():
    function = 'void f(void)\n{\n' + '        g();\n' * (FUNCTION_LINES - 2) + '}\n'
    tree.expect(check_style, {'src/a.c': HEAD + function, 'dev': '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n'
                                                                 '#\n# dev - a script\n', 'README.md': '\t\n'})
    for content, complaint in [
            (HEAD.replace('SPDX', 'XPDS'), 'SPDX'),
            (HEAD.replace('a.c - ', 'b.c - '), 'a.c - what it is'),
            (HEAD.replace('Context', 'Contents'), 'Context:'),
            (HEAD + '\tint a;\n', 'a tab'),
            (HEAD + '/* ' + 'x' * COLUMNS + ' */\n', 'columns'),
            (HEAD + 'int a; \n', 'blanks'),
            (HEAD + function.replace('{\n', '{\n\n', 1), 'a function of 81 lines')]:
        tree.expect(check_style, {'src/a.c': content}, complaint)
    tree.expect(check_style, {'README.md': ''}, 'no sources')


if __name__ == '__main__':
    sys.exit(tree.main(check_style, self_test))
