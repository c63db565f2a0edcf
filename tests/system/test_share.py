#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_share.py - the share of planted stalls with a complete stack, over all system tests of this run

Each test program leaves its count in the tally folder; this one runs last, adds them up and asks for 99 %. Stalls whose
stack the kernel does not show (memcached after -u as root) are not counted, as the note beside them says.

Context: system test, after all others
"""

import argparse
import json
import pathlib
import sys

WANTED_PERCENT = 99

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tally", required=True)
    folder = pathlib.Path(parser.parse_known_args()[0].tally)
    tallies = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    print("1..1")
    if not tallies:
        print("ok 1 - share of complete stacks # SKIP no system test has run")
        sys.exit(0)
    for name, tally in tallies.items():
        print(f"# {name}: {tally['complete']} of {tally['planted']}")
        for line in tally["without"]:
            print(f"#   without: {line}")
    planted = sum(t["planted"] for t in tallies.values())
    complete = sum(t["complete"] for t in tallies.values())
    share = 100 * complete / planted if planted else 0
    right = share >= WANTED_PERCENT
    print(f"{'ok' if right else 'not ok'} 1 - complete stacks: {complete} of {planted} planted stalls, {share:.1f} %")
    for path in folder.glob("*.json"):
        path.unlink()
    sys.exit(0 if right else 1)
