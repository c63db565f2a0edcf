#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py - at full length what the tests do in short: half an hour and more on a machine that does nothing else

100,000 captures of a thread that runs Python; 10,000 of threads that hold each of the locks a careless agent would
wait for; 20 stalls of each cause; the quiet group, 60 s a case. `./dev soak` runs it. Options are passed on to
test_quiet.py; --seconds given here again wins.

Context: run by people
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
UNIT = HERE.parents[1] / "build" / "tests" / "unit"
PYTHON = "/usr/bin/python3"

LONG = [([UNIT / "unit_python_race"], {"LOOPDOG_RACE_CAPTURES": "100000"}),
        ([UNIT / "unit_locks"], {"LOOPDOG_LOCKS_CAPTURES": "10000"})]
LONG += [([PYTHON, causes, "--runs", "20"], {}) for causes in sorted(HERE.glob("test_causes_*.py"))]
LONG += [([PYTHON, HERE / "test_quiet.py", "--seconds", "60", *sys.argv[1:]], {})]

failed = []
for argv, counts in LONG:
    print(f"# {' '.join(str(word) for word in argv)}", flush=True)
    if subprocess.run(argv, env=os.environ | counts, check=False).returncode:
        failed.append(pathlib.Path(argv[0] if argv[0] != PYTHON else argv[1]).name)
sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
