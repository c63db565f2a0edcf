#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_docs.py - the README says what the programs say

The README has the table of settings exactly as print_settings writes it from the agent's own table, names every
command that `loopdog help` lists as `loopdog COMMAND`, and its tables are whole.

Usage: check_docs.py PRINT_SETTINGS LOOPDOG

Context: meson test, suite check; needs both programs built
"""

import re
import subprocess
import sys

import tree

COMMAND_LINE = re.compile(r'^  loopdog ([a-z]+)\b', re.MULTILINE)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def setting_rows(text):
    """{variable: its whole row, blanks evened out}"""
    rows = {}
    for line in text.splitlines():
        match = re.match(r'\|\s*`?(LOOPDOG_\w+)`?\s*\|', line)
        if match:
            rows[match[1]] = ' '.join(line.split())
    return rows


def check_settings(readme, printed):
    expected, found = setting_rows(printed), setting_rows(readme)
    if not expected:
        return ['print_settings printed no settings']
    complaints = [f'README.md: the row of {name} is {"different" if name in found else "missing"}'
                  for name in expected if found.get(name) != expected[name]]
    complaints += [f'README.md: there is no setting {name}' for name in found if name not in expected]
    if complaints:
        complaints.append(f'README.md: the table of settings must be:\n{printed}')
    return complaints


def check_commands(readme, help_text):
    commands = sorted(set(COMMAND_LINE.findall(help_text)))
    if not commands:
        return [f'no commands found in what `loopdog help` says:\n{help_text}']
    return [f'README.md: `loopdog {command}` is not mentioned' for command in commands
            if not re.search(rf'\bloopdog {re.escape(command)}\b', readme)]


def cells(line):
    """A bar parts them, even within backticks; one behind a backslash does not."""
    return len(re.findall(r'(?<!\\)\|', line)) - 1


def check_tables(text):
    """Each row of a table has as many cells as its heading."""
    complaints, wanted = [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith('|'):
            wanted = 0
        elif wanted and cells(line) != wanted:
            complaints.append(f'README.md:{number}: a row of {cells(line)} cells, the table has {wanted}')
        else:
            wanted = cells(line)
    return complaints


PRINTED = '| variable | meaning |\n|---|---|\n| `LOOPDOG_A` | 1 |\n| `LOOPDOG_B` |  2 |\n'
HELP = 'Usage: loopdog COMMAND\n\n' \
       '  loopdog run      start a program\n  loopdog report   print\n  loopdog --version\n\n' \
       'To begin with:\n\n  loopdog run -- python3 server.py\n'


def self_test():
    readme = f'{PRINTED}\nUse loopdog run or `loopdog report`.'
    for found, words in [
            (check_settings(readme, PRINTED), []),
            (check_settings(readme.replace('| 1 |', '| 3 |'), PRINTED), ['LOOPDOG_A is different', 'must be']),
            (check_settings(PRINTED.split('| `LOOPDOG_B`')[0], PRINTED), ['LOOPDOG_B is missing', 'must be']),
            (check_settings(readme + '\n| LOOPDOG_C | x |', PRINTED), ['no setting LOOPDOG_C', 'must be']),
            (check_tables('| a | b |\n|---|---|\n| `0\\|1` | 2 |\n\n| c |\n'), []),
            (check_tables('| a | b |\n|---|---|\n| `0|1` | 2 |\n'), ['README.md:3: a row of 3 cells']),
            (check_settings(readme, ''), ['no settings']),
            (check_commands(readme, HELP), []),
            (check_commands(readme.replace('report', 'reporting'), HELP), ['`loopdog report` is not mentioned']),
            (check_commands(readme, 'Usage'), ['no commands found'])]:
        if len(found) != len(words) or not all(word in complaint for word, complaint in zip(words, found)):
            sys.exit(f'self-test: expected {words}, got {found}')


def main(arguments):
    if arguments == ['--self-test']:
        self_test()
        return 0
    print_settings, loopdog = arguments
    readme = tree.ROOT / 'README.md'
    if not readme.is_file():
        print('README.md: missing')
        return 1
    text = tree.text(readme)
    complaints = [*check_settings(text, output(print_settings)), *check_commands(text, output(loopdog, 'help')),
                  *check_tables(text)]
    print('\n'.join(complaints), end='\n' if complaints else '')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
