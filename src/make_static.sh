#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# make_static.sh - libloopdog.a: one object in which nothing but the hooks and the API has a name
#
# Usage: make_static.sh OUTPUT OBJCOPY STATIC-OBJECT ARCHIVE...
#
# As one object, so that a single function of the API brings the constructor and all hooks with it; with its inner
# names made local, so that they meet none of the program's. The API's own functions become own_loopdog_*, which
# static.c, the STATIC-OBJECT, calls.
#
# Context: the build
set -eu

output=$1 objcopy=$2 front=$3
shift 3
folder=$output.p
mkdir -p "$folder"
ld -r -o "$folder/inner.o" --whole-archive "$@" --no-whole-archive
nm --defined-only -g "$folder/inner.o" | sed -n 's/.* T \(loopdog_.*\)/\1 own_\1/p' >"$folder/renamed"
$objcopy --redefine-syms="$folder/renamed" "$folder/inner.o"
sed 's/.* //' "$folder/renamed" >"$folder/local"
ld -r -o "$folder/loopdog.o" "$folder/inner.o" --whole-archive "$front" --no-whole-archive
$objcopy --localize-hidden --localize-symbols="$folder/local" "$folder/loopdog.o"
rm -f "$output"
ar rcs "$output" "$folder/loopdog.o"
