#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check_dev.sh - ./dev refuses what it does not know, and its help lists every command
#
# Context: meson test, suite check
set -eu

cd "$(dirname "$0")/../.."

expect() { # STATUS WORDS ARGUMENT...
        expected=$1 words=$2
        shift 2
        status=0
        said=$(./dev "$@" 2>&1 </dev/null) || status=$?
        if [ $status -ne "$expected" ] || ! printf '%s\n' "$said" | grep -qF -- "$words"; then
                printf './dev %s: expected status %s and "%s", got status %s and:\n%s\n' \
                        "$*" "$expected" "$words" $status "$said"
                exit 1
        fi
}

sh -n dev
expect 0 'Usage: ./dev COMMAND'
expect 2 'no such command: frobnicate' frobnicate
expect 2 'no such group of packages: everything' deps everything
expect 2 'test [--sanitize]: what is --fast?' test --fast
expect 2 'a whole number of seconds, not soon' fuzz soon
expect 2 'a whole number of seconds, not 1 2' fuzz 1 2
expect 2 'needs an absolute folder' install --prefix here
expect 2 'install [--prefix FOLDER]: what is --prefix?' install --prefix
for command in build demo clean lint; do
        expect 2 "$command takes no arguments" $command now
done

commands=$(sed -n 's/^\([a-z |]*| help\))$/\1/p' dev | tr -d '|')
[ -n "$commands" ] || { echo 'the commands of ./dev were not found'; exit 1; }
for command in $commands; do
        expect 0 "  $command " help
done
