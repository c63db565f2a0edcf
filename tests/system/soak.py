#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py - the quiet group at full length: 60 s a case; before it 100,000 captures of a thread that runs Python,
and 10,000 of threads that hold each of the locks a careless agent would wait for

`./dev soak` runs it. Other options are passed on to test_quiet.py; --seconds given here again wins.

Context: run by people, takes about half an hour
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
UNIT = HERE.parents[1] / "build" / "tests" / "unit"
LONG = {"unit_python_race": {"LOOPDOG_RACE_CAPTURES": "100000"}, "unit_locks": {"LOOPDOG_LOCKS_CAPTURES": "10000"}}
for name, counts in LONG.items():
    if (UNIT / name).exists():
        subprocess.run([UNIT / name], env=os.environ | counts, check=True)
os.execv("/usr/bin/python3", ["/usr/bin/python3", str(HERE / "test_quiet.py"), "--seconds", "60", *sys.argv[1:]])
