#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py - the quiet group at full length: 60 s a case; before it 100,000 captures of a thread that runs Python

`./dev soak` runs it. Other options are passed on to test_quiet.py; --seconds given here again wins.

Context: run by people, takes about half an hour
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
RACE = HERE.parents[1] / "build" / "tests" / "unit" / "unit_python_race"
if RACE.exists():
    subprocess.run([RACE], env=os.environ | {"LOOPDOG_RACE_CAPTURES": "100000"}, check=True)
os.execv("/usr/bin/python3", ["/usr/bin/python3", str(HERE / "test_quiet.py"), "--seconds", "60", *sys.argv[1:]])
