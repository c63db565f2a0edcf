# SPDX-License-Identifier: Apache-2.0
"""within.py - what subinterpreter.py runs in another interpreter

Context: watched program of test_python.py
"""

import time


def block():
    time.sleep(0.25)  # within
