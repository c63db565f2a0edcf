#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check_header.sh - compile each public header strictly, on its own and included twice
#
# Usage: check_header.sh LANGUAGE STANDARD COMPILER...      LANGUAGE: c or c++
#
# The headers are compiled in other people's programs, with their compiler's flags: no extension, no warning, nothing
# that has to be included before.
#
# Context: meson test, suite check
set -eu

language=$1
standard=$2
shift 2
include=$(dirname "$0")/../../include

compile() { # the source comes on stdin
        "$@" -x "$language" "-std=$standard" -pedantic-errors -Wall -Wextra -Werror -Wshadow -Wundef -Wconversion \
                "-I$include" -fsyntax-only -
}

# What must not pass: proves that these flags are strict here.
wrong='int f(int a); int f(int a) { return a = ({ a; }); }'
if echo "$wrong" | compile "$@" 2>/dev/null; then
        echo "this compiler accepts an extension in $standard"
        exit 1
fi

cd "$include"
headers=$(find . -name '*.h' | sort)
cd - >/dev/null
[ -n "$headers" ]
for header in $headers; do
        header=${header#./}
        printf '#include <%s>\n#include <%s>\nint main(void);\nint main(void) { return 0; }\n' "$header" "$header" |
                compile "$@" || { echo "$header: does not compile as $standard"; exit 1; }
done
