#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_count.py - tests/count.py can say no

The line that CI reads comes from count.py: what is missing, silent or broken must make it fail.

Context: meson test, suite check
"""

import json
import pathlib
import subprocess
import sys

import tree

COUNT = tree.ROOT / 'tests' / 'count.py'
GOOD = {'name': 'loopdog:unit / good', 'result': 'OK', 'stdout': '', 'duration': 0.1}
BAD = {'name': 'loopdog:unit / bad', 'result': 'FAIL', 'stdout': 'it broke here\n', 'duration': 0.1}
LATE = {'name': 'loopdog:system / late', 'result': 'TIMEOUT'}
SKIPPED = {'name': 'loopdog:system / skipped', 'result': 'SKIP', 'stdout': 'first\nno nginx here\n\n'}
SILENT = {'name': 'loopdog:system / silent', 'result': 'SKIP', 'stdout': ' \n'}
TAP = {'name': 'loopdog:system / tap', 'result': 'OK',
       'stdout': '1..3\nok 1 - a\nok 2 - b # SKIP no haproxy\nok 3 c # skip not root\n'}

AGAIN = BAD | {'result': 'OK'}
LATE_AGAIN = LATE | {'result': 'OK'}

# What a second run does not mend, and what looks like it.
KILLED = BAD | {'returncode': -11}
SHELLS_KILLED = BAD | {'returncode': 139}
NOT_KILLED = BAD | {'returncode': 1}
CRASHED = BAD | {'returncode': 1, 'stderr': '[FAIL] storm::calls: CRASH!\n'}
HUNG = BAD | {'returncode': 1, 'stderr': '[FAIL] locks::of_fork: Timed out. (660.00s)\n'}
SERVER_CRASHED = BAD | {'result': 'ERROR', 'stdout': 'not ok 1 - a\n# redis ended with -11 instead of 0\n'}
SERVER_HUNG = BAD | {'result': 'ERROR', 'stdout': 'not ok 1 - a\n# redis did not end within 10 s\n'}
VICTIM_CRASHED = BAD | {'result': 'ERROR', 'stdout': 'not ok 1 - a\n# it ends with -6 instead of 0\n'}
SERVER_STOPPED = BAD | {'result': 'ERROR', 'stdout': 'not ok 1 - a\n# --- output of redis (ended with -15, pid 7)\n'}
BROKEN = [KILLED, SHELLS_KILLED, CRASHED, HUNG, SERVER_CRASHED, SERVER_HUNG, VICTIM_CRASHED]

# (the tests of each log, or None for a log that does not exist), status, last line, words on stderr
CASES = [
    ([[GOOD]], 0, '1 passed, 0 failed', []),
    ([[GOOD], [GOOD, GOOD]], 0, '3 passed, 0 failed', []),
    ([[GOOD, SKIPPED]], 0, '1 passed, 0 failed, 1 skipped', ['log0: system / skipped: no nginx here']),
    ([[TAP]], 0, '1 passed, 0 failed, 2 skipped', ['system / tap: b: no haproxy', 'system / tap: c: not root']),
    ([[GOOD, BAD]], 1, '1 passed, 1 failed', ['FAILED: log0: unit / bad', 'it broke here']),
    ([[LATE, GOOD]], 1, '1 passed, 1 failed', ['TIMEOUT']),
    ([[GOOD, SILENT]], 1, '1 passed, 1 failed', ['skipped without giving a reason']),
    ([[SKIPPED]], 1, '0 passed, 0 failed, 1 skipped', []),
    ([[GOOD], []], 1, '1 passed, 1 failed', ['nothing ran']),
    ([[GOOD], None], 1, '1 passed, 1 failed', ['no results', 'No such file']),
    ([['{"name": "cut']], 1, '0 passed, 1 failed', ['no results']),
    ([], 1, '0 passed, 0 failed', [])]


# (the tests of the log, and those that were run again), status, last line, words on stderr, names to repeat
REPEATED = [
    ([GOOD, BAD], [AGAIN], 0, '2 passed, 0 failed', ['FLAKY', 'unit / bad', 'it broke here'], ['bad']),
    ([GOOD, BAD], [BAD], 1, '1 passed, 1 failed', ['FAILED: unit / bad'], ['bad']),
    ([GOOD, BAD], [], 1, '1 passed, 1 failed', ['FAILED: unit / bad'], ['bad']),
    ([GOOD, BAD], [GOOD], 1, '1 passed, 1 failed', ['FAILED: unit / bad'], ['bad']),
    ([BAD, LATE, SILENT, BAD], [AGAIN], 1, '2 passed, 2 failed', ['FLAKY', 'TIMEOUT'], []),
    ([GOOD, LATE], [LATE_AGAIN], 1, '1 passed, 1 failed', ['FAILED: system / late (TIMEOUT'], []),
    ([LATE, BAD], [AGAIN, LATE_AGAIN], 1, '1 passed, 1 failed', ['FLAKY', 'FAILED: system / late'], ['bad']),
    ([KILLED], [AGAIN], 1, '0 passed, 1 failed', ['FAILED: unit / bad (FAIL, killed by signal: status -11'], []),
    *(([test, GOOD], [AGAIN], 1, '1 passed, 1 failed', ['FAILED: unit / bad'], []) for test in BROKEN),
    *(([test], [AGAIN], 0, '1 passed, 0 failed', ['FLAKY'], ['bad']) for test in (NOT_KILLED, SERVER_STOPPED))]


def lines(tests):
    return ''.join((test if isinstance(test, str) else json.dumps(test)) + '\n' for test in tests)


def run_count(*arguments):
    return subprocess.run([sys.executable, str(COUNT), *arguments], capture_output=True, text=True, check=False)


def check_repeated():
    for tests, again, status, last_line, words, names in REPEATED:
        with tree.plant({'log': lines(tests), 'log.again': lines(again)}) as folder:
            path = str(pathlib.Path(folder) / 'log')
            done, repeat = run_count(path), run_count('--failed', path)
        unmet = [word for word in words if word not in done.stderr]
        if done.returncode != status or done.stdout != last_line + '\n' or unmet or repeat.stdout.split() != names:
            expected = f'{status}, {last_line!r}, {words}, {names}'
            sys.exit(f'{tests}, again {again}: expected {expected}, got {done}, {repeat}')


def main():
    check_repeated()
    for logs, status, last_line, words in CASES:
        contents = {f'log{index}': lines(log) for index, log in enumerate(logs) if log is not None}
        with tree.plant(contents) as folder:
            arguments = [f'log{index}={pathlib.Path(folder) / f"log{index}"}' for index in range(len(logs))]
            done = run_count(*arguments)
        unmet = [word for word in words if word not in done.stderr]
        if done.returncode != status or done.stdout != last_line + '\n' or unmet:
            sys.exit(f'{logs}: expected {status}, {last_line!r}, {words}, got {done}')


if __name__ == '__main__':
    main()
