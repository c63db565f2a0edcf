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
        # shellcheck disable=SC2086 # words
        "$@" -x "$language" "-std=$standard" -pedantic-errors -Wall -Wextra -Werror -Wshadow -Wundef -Wconversion \
                "-I$include" $others -fsyntax-only -
}

# The loop libraries' own headers are theirs to answer for.
others=$(pkg-config --cflags glib-2.0 libuv libevent 2>/dev/null | sed 's/-I/-isystem /g') || others=

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
# Every function of the API is called: with LOOPDOG_DISABLE this must link without a library.
calls='    struct loopdog_options options = { sizeof(struct loopdog_options), 0, 0, NULL };
    struct loopdog_loop_options more = { sizeof(struct loopdog_loop_options), 0, 0, 0 };
    struct loopdog_statistics numbers;
    struct loopdog_bucket bucket;
    loopdog_loop *loop = loopdog_loop_open("name", &more);
    numbers.size = sizeof(struct loopdog_statistics);
    loopdog_start(&options); loopdog_set_handler(NULL, NULL); loopdog_wait_begin(loop); loopdog_wait_end(loop);
    loopdog_pause(loop); loopdog_resume(loop); loopdog_set_threshold(loop, 0);
    loopdog_callback_begin("name", NULL, NULL, -1); loopdog_label("key", "value"); loopdog_callback_end();
    loopdog_section_begin(1); loopdog_section_end(); loopdog_read_statistics(loop, &numbers);
    loopdog_read_histogram(loop, &bucket, 1); loopdog_flush(); loopdog_dump(); loopdog_loop_close(loop); loopdog_stop();
    return loopdog_version()[0] == 0 || LOOPDOG_VERSION_NUMBER < 1000;'

# Every macro of an adapter is used on a callback that does nothing.
callback() { # MACRO NAME PARAMETER...      whose names are one letter each
        macro=$1 name=$2 parameters='' body=''
        shift 2
        for parameter; do
                parameters="$parameters${parameters:+, }$parameter"
                body="$body (void)${parameter##*[ *]};"
        done
        printf 'static void %s(%s) {%s }\n%s\n' "$name" "$parameters" "$body" "$macro"
}

macros() { # HEADER
        case $1 in
        loopdog/ev.h)
                callback 'LOOPDOG_EV_CALLBACK(ev_timer, f1)' f1 'struct ev_loop *a' 'ev_timer *b' 'int c'
                callback 'LOOPDOG_EV_IO(f2)' f2 'struct ev_loop *a' 'ev_io *b' 'int c'
                callback 'LOOPDOG_EV_SIGNAL(f3)' f3 'struct ev_loop *a' 'ev_signal *b' 'int c'
                callback 'LOOPDOG_EV_CHILD(f4)' f4 'struct ev_loop *a' 'ev_child *b' 'int c'
                ;;
        loopdog/event.h)
                callback 'LOOPDOG_EVENT_CALLBACK(f1)' f1 'evutil_socket_t a' 'short b' 'void *c'
                ;;
        loopdog/uv.h)
                callback 'LOOPDOG_UV_HANDLE(uv_timer_t, f1)' f1 'uv_timer_t *a'
                callback 'LOOPDOG_UV_POLL(f2)' f2 'uv_poll_t *a' 'int b' 'int c'
                callback 'LOOPDOG_UV_READ(f3)' f3 'uv_stream_t *a' 'ssize_t b' 'const uv_buf_t *c'
                callback 'LOOPDOG_UV_CONNECTION(f4)' f4 'uv_stream_t *a' 'int b'
                callback 'LOOPDOG_UV_REQUEST(uv_write_t, f5)' f5 'uv_write_t *a' 'int b'
                callback 'LOOPDOG_UV_EXIT(f6)' f6 'uv_process_t *a' 'int64_t b' 'int c'
                callback 'LOOPDOG_UV_SIGNAL(f7)' f7 'uv_signal_t *a' 'int b'
                ;;
        esac
}

watched() { # COUNT
        for number in $(seq "$1"); do
                echo "(void (*)(void))f${number}_watched,"
        done
}

# Every function is called, and every macro's callback handed on.
uses() { # HEADER
        case $1 in
        loopdog.h) echo "$calls" ;;
        loopdog/ev.h)
                echo 'static struct loopdog_ev watch; loopdog_ev_attach(&watch, ev_default_loop(0), "main");'
                echo 'void (*all[])(void) = {'
                watched 4
                echo '}; loopdog_ev_detach(&watch); return all[0] == NULL;'
                ;;
        loopdog/event.h)
                echo 'void (*all[])(void) = {'
                watched 1
                echo '}; return loopdog_event_attach(NULL, "main") == NULL || all[0] == NULL;'
                ;;
        loopdog/uv.h)
                echo 'void (*all[])(void) = {'
                watched 7
                echo '}; return loopdog_uv_attach(NULL, "main") == NULL || all[0] == NULL;'
                ;;
        loopdog/glib.h)
                echo 'static struct loopdog_glib watch; loopdog_glib_attach(&watch, NULL, "main");'
                echo 'loopdog_glib_watch_id(NULL, 1); loopdog_glib_detach(&watch); return 0;'
                ;;
        esac
}

# libuv's own header asks for more than the bare language.
program() { # HEADER BEFORE
        case $1 in loopdog/*) echo '#define _GNU_SOURCE 1' ;; esac
        printf '%s\n#include <%s>\n#include <%s>\n' "$2" "$1" "$1"
        macros "$1"
        printf 'int main(void);\nint main(void) {\n%s\n}\n' "$(uses "$1")"
}

for header in $headers; do
        header=${header#./}
        for before in '' '#define LOOPDOG_DISABLE'; do
                program "$header" "$before" | compile "$@" ||
                        { echo "$header: does not compile as $standard${before:+ with LOOPDOG_DISABLE}"; exit 1; }
        done
done

linked=$(mktemp)
trap 'rm -f "$linked"' EXIT
program loopdog.h '#define LOOPDOG_DISABLE' | "$@" -x "$language" "-std=$standard" "-I$include" -o "$linked" - ||
        { echo "with LOOPDOG_DISABLE a library is still needed in $standard"; exit 1; }
"$linked" || { echo "the program without loopdog ends with $?"; exit 1; }
! nm "$linked" | grep -q ' [TtU] loopdog_.*@' || { echo "it still asks for loopdog"; exit 1; }
