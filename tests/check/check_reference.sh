#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check_reference.sh - Doxygen makes the reference of the public headers without a warning
#
# Usage: check_reference.sh [--self-test]      that a function without a comment is found
#
# Context: meson test, suite check; doxygen
set -eu

cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
inputs=
if [ "${1-}" = --self-test ]; then
        { cat include/loopdog.h && echo 'int loopdog_undocumented(void);'; } >"$scratch/loopdog.h"
        inputs="INPUT=$scratch/loopdog.h"
fi
{ cat docs/Doxyfile && printf 'OUTPUT_DIRECTORY=%s\n%s\n' "$scratch/out" "$inputs"; } | doxygen - 2>"$scratch/said"
if [ -n "$inputs" ]; then
        grep -q 'loopdog_undocumented.* is not documented' "$scratch/said"
        exit
fi
[ -s "$scratch/out/html/loopdog_8h.html" ] || { echo "there is no page of loopdog.h"; exit 1; }
cat "$scratch/said"
[ ! -s "$scratch/said" ]
