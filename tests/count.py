#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count.py - the verdict over everything that `./dev test` ran

Reads one or more files in the form of meson's testlog.json (one JSON object a line: name, result, stdout, stderr), each
given as PATH or as LABEL=PATH. What failed is shown with the end of its output, what was skipped with its reason, and
the last line on stdout is the count alone. A program counts once, and each case of it that was skipped (TAP) once more.
A log that is missing or empty counts as one failure, and so does a test that was skipped without a word: silence must
never look like success.

A virtual machine whose host takes the CPU away for a second shakes tests of time. So ./dev runs the few that failed
once more, alone, into a log of that name with `.again` behind it: who passes there counts as passed, and is shown as
FLAKY with all that its failure said. A test that hung or that a signal ended, or one of whose cases or programs did, is
none of them: a deadlock or a crash that comes once in a hundred runs would be forgiven each time. `--failed PATH`
prints the names to repeat; nothing where more failed than noise could explain.

Context: run by ./dev; exit 0 only if something ran and nothing failed
"""

import collections
import json
import os
import re
import sys

SKIPPED_CASE = re.compile(r'^ok \d+ (?:- )?(.*?)\s*# SKIP\s*(.*)$', re.MULTILINE | re.IGNORECASE)  # of TAP
PASSED = {'OK', 'EXPECTEDFAIL'}
LINES_SHOWN = 2000 if os.environ.get('CI', 'false') != 'false' else 40

NOISE_MOST = 3  # as many failures of one log may be the machine's
# Hung, or ended by a signal: as Criterion, and as tests/system/harness.py and alike.py say it.
BROKEN = re.compile(r'^\[FAIL\] .*: (CRASH!|Timed out\.)|'
                    r'^# .*\b(did not end within \d|end(s|ed) with -\d+ instead|ended by itself with -\d)',
                    re.MULTILINE)

# verdict: passed, flaky, failed, skipped; may_pass: when it is run again
Outcome = collections.namedtuple('Outcome', 'name verdict reason output may_pass', defaults=(True,))


def read_log(label, path):
    try:
        with open(path, encoding='utf-8', errors='replace') as log:
            outcomes = [outcome for line in log if line.strip() for outcome in read_test(label, json.loads(line))]
    except (OSError, ValueError) as error:
        return [Outcome(path, 'failed', f'no results: {error}', '')]
    return outcomes or [Outcome(path, 'failed', 'no results: nothing ran', '')]


def read_outcomes(argument):
    label, _, path = argument.rpartition('=')
    outcomes = read_log(label, path)
    again = f'{path}.again'
    if not os.path.exists(again):
        return outcomes
    mended = {outcome.name for outcome in read_log(label, again) if outcome.verdict == 'passed'}
    return [outcome._replace(verdict='flaky')
            if outcome.verdict == 'failed' and outcome.may_pass and outcome.name in mended else outcome
            for outcome in outcomes]


def names_to_repeat(path):
    failed = [outcome for outcome in read_log('', path) if outcome.verdict == 'failed']
    names = [outcome.name.rpartition(' / ')[2] for outcome in failed if outcome.may_pass]
    return names if len(failed) <= NOISE_MOST else []


def how_it_ended(test):
    """What meson's log says of it: words for people, and whether another run may be asked for."""
    status = test.get('returncode') or 0
    killed = not 0 <= status < 128  # by a signal, or what a shell makes of one
    word = f"{test['result']}, killed by signal: status {status}" if killed else test['result']
    return f"{word}, {test.get('duration', 0):.1f} s", test['result'] != 'TIMEOUT' and not killed


def read_test(label, test):
    name = test['name'].replace('loopdog:', '')
    name = f'{label}: {name}' if label else name
    output = (test.get('stdout') or '') + (test.get('stderr') or '')
    if test['result'] == 'SKIP':
        yield read_skip(name, output)
        return
    verdict = 'passed' if test['result'] in PASSED else 'failed'
    reason, may_pass = how_it_ended(test)
    yield Outcome(name, verdict, reason, output, may_pass and not BROKEN.search(output))
    for case, reason in SKIPPED_CASE.findall(output):
        yield Outcome(f'{name}: {case}', 'skipped', reason, '')


def read_skip(name, output):
    said = [line.strip() for line in output.splitlines() if line.strip()]
    if not said:
        return Outcome(name, 'failed', 'skipped without giving a reason', '')
    return Outcome(name, 'skipped', said[-1].split('# SKIP')[-1].strip(), '')


def show(outcome):
    if outcome.verdict == 'skipped':
        print(f'skipped: {outcome.name}: {outcome.reason}', file=sys.stderr)
        return
    word = 'FLAKY, passed when run again alone' if outcome.verdict == 'flaky' else 'FAILED'
    print(f'{word}: {outcome.name} ({outcome.reason})', file=sys.stderr)
    lines = outcome.output.splitlines()
    if len(lines) > LINES_SHOWN:
        print(f'    ... {len(lines) - LINES_SHOWN} earlier lines', file=sys.stderr)
    for line in lines[-LINES_SHOWN:]:
        print(f'    {line}', file=sys.stderr)


def main(arguments):
    if arguments[:1] == ['--failed']:
        print(*names_to_repeat(arguments[1]), sep='\n')
        return 0
    outcomes = [outcome for argument in arguments for outcome in read_outcomes(argument)]
    for outcome in sorted(outcomes, key=lambda outcome: outcome.verdict == 'failed'):  # failures stand last
        if outcome.verdict != 'passed':
            show(outcome)
    count = collections.Counter(outcome.verdict for outcome in outcomes)
    sys.stderr.flush()
    skipped = f", {count['skipped']} skipped" if count['skipped'] else ''
    passed = count['passed'] + count['flaky']
    print(f"{passed} passed, {count['failed']} failed{skipped}")
    return 0 if passed and not count['failed'] else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
