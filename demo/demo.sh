#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh - three stalled servers, and what loopdog says about them
#
# Usage: demo.sh BUILD-FOLDER
#
# Exit 0 only if all reports were really there: the demo is the first thing that people try, and is a test as well.
#
# Context: run by `./dev demo` with the build folder
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
loopdog=$build/tools/loopdog
work=$(mktemp -d "${TMPDIR:-/tmp}/loopdog-demo.XXXXXX")
watched= # pid of a running `loopdog run`
trap 'stop_server; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

say() { printf '\n%s\n' "$*" >&2; }

die() {
        say "The demo FAILED: $*"
        [ ! -s "$work/said" ] || sed 's/^/    | /' "$work/said" >&2
        exit 1
}

# Wait up to 10 s for something to become true.
await() { # COMMAND...
        tries=0
        until "$@" >/dev/null 2>&1; do
                tries=$((tries + 1))
                [ $tries -lt 200 ] || return 1
                [ -z "$watched" ] || kill -0 "$watched" 2>/dev/null || return 1
                sleep 0.05
        done
}

gone() { ! kill -0 "$1"; }

start_server() { # COMMAND... : under loopdog, with its own and loopdog's output in $work/said
        printf '\n    $ loopdog run -t 100ms -- %s\n' "$(echo "$*" | sed "s|$work/||g; s|$work|.|g; s|$root/||g")" >&2
        # A session of its own, so that whatever it starts can be ended together.
        setsid "$loopdog" run -t 100ms -- "$@" >"$work/said" 2>&1 </dev/null &
        watched=$!
}

stop_server() {
        [ -n "$watched" ] || return 0
        server=$watched
        watched=
        kill -TERM "$server" 2>/dev/null || true
        await gone "$server" || kill -KILL -- "-$server" 2>/dev/null || true
        wait "$server" || true
}

# Wait for a report, end the server, and show what loopdog said.
show_report() { # WHAT PATTERN : lines of the report that must be there, each an extended regular expression
        what=$1
        shift
        for pattern; do
                await grep -qE "$pattern" "$work/said" || die "no report of $what (looked for: $pattern)"
        done
        stop_server
        printf '\n'
        sed -n '/^loopdog: stall/,$p' "$work/said"
}

[ -x "$loopdog" ] || die "$loopdog was not built"

say "1. A server whose callback blocks. GET /report waits for a slow database in a plain read(); demo/server.c knows
   nothing of loopdog and is not linked with it."
if [ ! -x "$build/demo/server" ] || [ -n "$(find "$root/demo/server.c" -newer "$build/demo/server")" ]; then
        mkdir -p "$build/demo"
        ${CC:-gcc} -g -Og -o "$build/demo/server" "$root/demo/server.c" -lev || die "demo/server.c does not compile"
fi
get() { curl --silent --show-error --max-time 10 --unix-socket "$work/shop" "http://localhost/$1"; }
start_server "$build/demo/server" "$work/shop"
await get hello || die "the server does not answer"
printf '    $ curl http://localhost/report      ' >&2
get report >&2 || die "no answer from /report"
say "   Half a second in which nobody else was served. What you see below is loopdog's report: the function, file and
   line that stopped the loop, for how long, and in which system call it waited."
show_report "handle_report()" \
        '^loopdog: stall .* in handle_report\(\) at .*server\.c:[0-9]+, blocked in read ' '^ .*server\.c:[0-9]+ +main '

say "2. Redis as Debian ships it, without debug information. A Lua script counts for 0.4 s; all other clients wait."
command -v redis-server >/dev/null || die "redis-server is not installed"
start_server redis-server --port 0 --unixsocket "$work/redis" --save "" --dir "$work" --loglevel warning
await redis-cli -s "$work/redis" ping || die "redis does not answer"
count='local function ms() local t = redis.call("TIME") return t[1] * 1000 + t[2] / 1000 end
        local n, stop = 0, ms() + 400 repeat for i = 1, 1e5 do n = n + i end until ms() > stop return "counted"'
printf '    $ redis-cli eval '\''%s'\'' 0      ' "$count" >&2
redis-cli -s "$work/redis" eval "$count" 0 >&2 || die "redis did not run the script"
say "   This time nothing was waited for: the loop's thread was computing. Below, from the innermost frame to main:
   Lua's interpreter, the EVAL command and the event loop. (In Debian the program's file is called redis-check-rdb.)"
# No cause is asked for: on a busy machine it may be that the thread was not let onto a CPU.
show_report "the Lua script" '^loopdog: stall .* in ' '^ .*lua_pcall ' '^ .*aeMain '

say "3. FastAPI on Debian's uvicorn. One route calls time.sleep(0.5) in an async def (demo/app.py); nobody told uvicorn,
   the application or Python of loopdog."
start_server /usr/bin/python3 -m uvicorn --app-dir "$root/demo" --uds "$work/web" --log-level warning app:app
web() { curl --silent --show-error --max-time 10 --unix-socket "$work/web" "http://localhost/$1"; }
await web hello || die "uvicorn does not answer"
sleep 0.3 # its start-up, which imports the whole application within the loop, is over
printf '    $ curl http://localhost/block      ' >&2
web block >&2 || die "no answer from /block"
say "   Below: the coroutine's own line, not uvicorn's. asyncio's debug mode names uvicorn's, at a third of the speed."
show_report "block()" '^loopdog: stall .* in block\(\) at .*app\.py:21 calling time\.sleep, blocked in ' \
        '^ .*app\.py:21 +block +time\.sleep\(0\.5\)'

say "All culprits were named. Try your own server: build/tools/loopdog run -- COMMAND"
