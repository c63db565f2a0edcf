# SPDX-License-Identifier: Apache-2.0
"""imported.py - a module of the user's own that takes long to import

Context: imported by application.py
"""

import time

time.sleep(0.25)  # imported
