#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check_abi.sh - what programs were built against is still there
#
# Usage: check_abi.sh LIBRARY               compare with tests/abi/loopdog.abi
#        check_abi.sh --update LIBRARY      store what it is now: after a function was added
#        check_abi.sh --self-test LIBRARY   a changed structure, function or version must be found
#
# Context: meson test, suite check; abigail-tools
set -eu

folder=$(cd "$(dirname "$0")/../abi" && pwd)
include=$folder/../../include
suppressions=$folder/loopdog.suppr
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compare() { # STORED LIBRARY
        abidiff --suppressions "$suppressions" "$1" "$2"
}

planted() { # SED-EXPRESSION LIBRARY
        sed "$1" "$folder/loopdog.abi" >"$scratch/changed.abi"
        ! cmp -s "$scratch/changed.abi" "$folder/loopdog.abi" || { echo "self-test: $1 changes nothing"; exit 1; }
        ! compare "$scratch/changed.abi" "$2" >"$scratch/found" || { echo "self-test: $1 is not found"; exit 1; }
}

case $1 in
--update)
        abidw --suppressions "$suppressions" --no-corpus-path --no-comp-dir-path --no-show-locs \
                --headers-dir "$include" --exported-interfaces-only --out-file "$folder/loopdog.abi" "$2"
        ;;
--self-test)
        planted "s/name='loopdog_loop_options' size-in-bits='192'/name='loopdog_loop_options' size-in-bits='256'/" "$2"
        planted "/elf-symbol name='loopdog_label'/d" "$2"
        planted "s/name='loopdog_stop' version='LOOPDOG_0.1'/name='loopdog_stop' version='LOOPDOG_0.0'/" "$2"
        ;;
*)
        compare "$folder/loopdog.abi" "$1" || {
                echo "the ABI has changed. Where a function was only added: tests/check/check_abi.sh --update $1"
                exit 1
        }
        ;;
esac
