/* SPDX-License-Identifier: Apache-2.0
 *
 * record_samples.h - records as an agent would fill them, for the tests of the writers
 *
 * Modelled on real stalls of uvicorn, redis, nginx and memcached as Debian 12 ships them. The golden files hold what is
 * written of them: change a sample only together with its golden line, and only until the first release.
 *
 * Context: unit test
 */
#ifndef LOOPDOG_TESTS_RECORD_SAMPLES_H
#define LOOPDOG_TESTS_RECORD_SAMPLES_H

#include "record/record.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LIBC "/usr/lib/x86_64-linux-gnu/libc.so.6"
#define LIBC_ID "6196744a316dbd57c0fc8968df1680aac482cef4"
#define UVLOOP "/usr/lib/python3/dist-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so"
#define PACKAGES "/usr/lib/python3/dist-packages/"
#define REDIS "/usr/bin/redis-check-rdb"
#define REDIS_ID "e06c3b2a2b6a29b38d4b9a3bc7d4a1f9c2f7e7c1"

/* Innermost, or a return address. */
#define NATIVE(name, object, id, at)                                                                                   \
        {                                                                                                              \
                .function = name, .module = object, .build_id = id, .offset = at                                       \
        }
#define CALLER(name, object, id, at)                                                                                   \
        {                                                                                                              \
                .function = name, .module = object, .build_id = id, .offset = at, .caller = true                       \
        }
#define PYTHON(name, path, at)                                                                                         \
        {                                                                                                              \
                .lang = RECORD_PYTHON, .function = name, .file = path, .line = at                                      \
        }

static const struct record_frame uvicorn_frames[] = {
        NATIVE("clock_nanosleep", LIBC, LIBC_ID, 0xd5bfc),
        PYTHON("block", "/srv/app.py", 8),
        PYTHON("run_endpoint_function", PACKAGES "fastapi/routing.py", 163),
        PYTHON("app", PACKAGES "starlette/routing.py", 66),
        PYTHON("handle", PACKAGES "starlette/routing.py", 276),
        PYTHON("__call__", PACKAGES "starlette/routing.py", 706),
        PYTHON("__call__", PACKAGES "starlette/middleware/errors.py", 162),
        PYTHON("__call__", PACKAGES "starlette/applications.py", 122),
        PYTHON("__call__", PACKAGES "uvicorn/middleware/proxy_headers.py", 75),
        PYTHON("run_asgi", PACKAGES "uvicorn/protocols/http/h11_impl.py", 366),
        PYTHON("_run", "/usr/lib/python3.11/asyncio/events.py", 80),
        PYTHON("_run_once", "/usr/lib/python3.11/asyncio/base_events.py", 1922),
        PYTHON("run_forever", "/usr/lib/python3.11/asyncio/base_events.py", 607),
        PYTHON("run_until_complete", "/usr/lib/python3.11/asyncio/base_events.py", 640),
        PYTHON("run", "/usr/lib/python3.11/asyncio/runners.py", 118),
        PYTHON("run", PACKAGES "uvicorn/server.py", 60),
        PYTHON("run", PACKAGES "uvicorn/main.py", 568),
};

static const struct record_stack uvicorn_stacks[] = {
        { .count = 41,
          .first_ns = 50001200,
          .last_ns = 499900100,
          .state = 'S',
          .complete = true,
          .frames = uvicorn_frames,
          .frames_count = COUNT(uvicorn_frames) },
};

static const struct record uvicorn_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503620700000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "uvicorn",
        .stall = {
                .id = 7, .begin_ns = UINT64_C(1795378503120456000), .tid = 4242, .thread = "uvicorn", .loop = "epoll:5",
                .threshold_ns = 100000000, .duration_ns = 500213441, .cpu_ns = 310022, .late_ns = 84210,
                .cause = RECORD_BLOCKED,
                .detail = { .call = "clock_nanosleep", .cpu_percent = 0, .cpu_known = true },
                .signature = UINT64_C(0x9f2c1e77a0b3d415),
                .culprit = &uvicorn_frames[1],
                .stacks = uvicorn_stacks, .stacks_count = COUNT(uvicorn_stacks), .samples = 41,
        },
};

static const struct record_frame redis_lua_frames[] = {
        NATIVE("luaV_execute", "/usr/lib/x86_64-linux-gnu/liblua5.1.so.0.0.0", NULL, 0x1d3a4),
        CALLER("lua_pcall", "/usr/lib/x86_64-linux-gnu/liblua5.1.so.0.0.0", NULL, 0x9a1c),
        CALLER("luaCallFunction", REDIS, REDIS_ID, 0x12f0b1),
        CALLER("evalGenericCommand", REDIS, REDIS_ID, 0x12aa83),
        CALLER("call", REDIS, REDIS_ID, 0x59c41),
        CALLER("processCommand", REDIS, REDIS_ID, 0x5b2d6),
        CALLER(NULL, REDIS, REDIS_ID, 0x7741f),
        CALLER("aeProcessEvents", REDIS, REDIS_ID, 0x52d10),
        CALLER("main", REDIS, REDIS_ID, 0x4b6a5),
        CALLER("__libc_start_call_main", LIBC, LIBC_ID, 0x271ca),
        CALLER("__libc_start_main", LIBC, LIBC_ID, 0x27285),
        CALLER("_start", REDIS, REDIS_ID, 0x4c1b1),
};

static const struct record_frame redis_write_frames[] = {
        NATIVE("__write", LIBC, LIBC_ID, 0xf8240),
        CALLER("call", REDIS, REDIS_ID, 0x59c41),
        CALLER("main", REDIS, REDIS_ID, 0x4b6a5),
};

static const struct record_stack redis_stacks[] = {
        { .count = 52,
          .first_ns = 51002003,
          .last_ns = 2349000111,
          .state = 'R',
          .complete = true,
          .frames = redis_lua_frames,
          .frames_count = COUNT(redis_lua_frames) },
        { .count = 1,
          .first_ns = 1200000000,
          .last_ns = 1200000000,
          .state = 'R',
          .truncated = true,
          .frames = redis_write_frames,
          .frames_count = COUNT(redis_write_frames) },
};

static const struct record_loss redis_losses[] = {
        { "the thread ran while its stack was copied", 2 },
        { "the thread has ended", 1 },
};

static const struct record redis_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503620700000), .host = "db",
        .pid = 977, .run = "0000000000000001", .program = "redis-server",
        .stall = {
                .id = 1, .begin_ns = UINT64_C(1795378501270700000), .tid = 977, .thread = "redis-server",
                .loop = "epoll:5", .threshold_ns = 100000000, .duration_ns = 2350000000, .cpu_ns = 2340000000,
                .late_ns = 35000000, .yields = 12, .cause = RECORD_CPU,
                .detail = { .cpu_percent = 99, .cpu_known = true }, .signature = 0x2a, .repeats = 3,
                .culprit = &redis_lua_frames[2], .stacks = redis_stacks, .stacks_count = COUNT(redis_stacks),
                .samples = 56, .losses = redis_losses, .losses_count = COUNT(redis_losses), .samples_lost = 3,
        },
};

static const struct record_frame memcached_frames[] = {
        NATIVE("__write", LIBC, LIBC_ID, 0xf8240),
        CALLER("_IO_new_file_write", LIBC, LIBC_ID, 0x77b9d),
        CALLER("_IO_new_file_xsputn", LIBC, LIBC_ID, 0x78b21),
        CALLER("__vfprintf_internal", LIBC, LIBC_ID, 0x6a8a9),
        CALLER("__fprintf_chk", LIBC, LIBC_ID, 0x10e7c3),
        CALLER(NULL, "/usr/bin/memcached", NULL, 0x11f30),
        CALLER("event_base_loop", "/usr/lib/x86_64-linux-gnu/libevent-2.1.so.7.0.1", NULL, 0x1d2ff),
        CALLER(NULL, "/usr/bin/memcached", NULL, 0x1b0a2),
        CALLER("start_thread", LIBC, LIBC_ID, 0x89134),
        CALLER("__clone3", LIBC, LIBC_ID, 0x1097dc),
};

static const struct record_stack memcached_stacks[] = {
        { .count = 2,
          .first_ns = 50100000,
          .last_ns = 100200300,
          .state = 'S',
          .complete = true,
          .frames = memcached_frames,
          .frames_count = COUNT(memcached_frames) },
};

static const struct record memcached_begin = {
        .version = RECORD_VERSION, .type = RECORD_STALL_BEGIN, .time_ns = UINT64_C(1795378503220700000),
        .host = "cache", .pid = 31337, .run = "ffffffffffffffff", .program = "memcached",
        .stall = {
                .id = 2, .begin_ns = UINT64_C(1795378503120456000), .tid = 31339, .thread = "mc-worker",
                .loop = "epoll:12", .threshold_ns = 100000000, .duration_ns = 100250000, .cause = RECORD_BLOCKED,
                .detail = { .call = "write", .cpu_percent = 0, .cpu_known = true },
                .signature = UINT64_C(0xfedcba9876543210), .culprit = &memcached_frames[5],
                .stacks = memcached_stacks, .stacks_count = COUNT(memcached_stacks), .samples = 2,
        },
};

/* A worker of haproxy after setuid: there is no stack to be had. */
static const struct record_stack haproxy_stacks[] = {
        { .count = 9, .first_ns = 10000000, .last_ns = 95000000, .state = 'S', .missing = "not dumpable" },
};

static const struct record_loss haproxy_losses[] = { { "not dumpable", 9 } };

static const struct record haproxy_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503620700000),
        .pid = 800, .run = "0123456789abcdef", .program = "haproxy",
        .stall = {
                .id = 3, .begin_ns = UINT64_C(1795378503520700000), .tid = 800, .thread = "haproxy", .loop = "epoll:7",
                .threshold_ns = 20000000, .duration_ns = 99960000, .phase = "startup", .end = "exit",
                .cause = RECORD_UNKNOWN, .detail = { .reason = "no sample of it could be taken" },
                .stacks = haproxy_stacks, .stacks_count = COUNT(haproxy_stacks), .samples = 9,
                .losses = haproxy_losses, .losses_count = COUNT(haproxy_losses), .samples_lost = 9,
        },
};

static const struct record uvicorn_repeat = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378563000000000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "uvicorn",
        .stall = {
                .id = 19, .begin_ns = UINT64_C(1795378562499786000), .tid = 4242, .thread = "uvicorn",
                .loop = "epoll:5",
                .threshold_ns = 100000000, .duration_ns = 500213441, .cpu_ns = 1310022, .cause = RECORD_BLOCKED,
                .detail = { .call = "clock_nanosleep", .cpu_percent = 0, .cpu_known = true },
                .signature = UINT64_C(0x9f2c1e77a0b3d415), .repeats = 12, .stacks_omitted = true,
                .culprit = &uvicorn_frames[1], .samples = 41,
        },
};

/* Over before anything could be seen of it. */
static const struct record unseen_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503620700000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "uvicorn",
        .stall = {
                .id = 8, .begin_ns = UINT64_C(1795378503500000000), .tid = 4242, .loop = "poll",
                .threshold_ns = 100000000, .duration_ns = 101000000, .cause = RECORD_UNKNOWN,
                .detail = { .reason = "it was over before the watchdog could look at it" },
        },
};

/* As the reader makes it: file and line of native frames, inlined ones, names with their arguments; code made at run
 * time and frames of which little is known. */
static const struct record_frame symbolized_frames[] = {
        NATIVE("clock_nanosleep", LIBC, NULL, 0xd5bfc),
        { .function = "debugSleep(long)",
          .file = "/srv/redis/src/debug.c",
          .line = 560,
          .module = REDIS,
          .offset = 0x1000,
          .inlined = true },
        { .function = "debugCommand(client*)",
          .file = "/srv/redis/src/debug.c",
          .line = 700,
          .module = REDIS,
          .offset = 0x1000,
          .caller = true },
        CALLER("call", REDIS, NULL, 0x59c41),
        { .lang = RECORD_JIT, .offset = 0x7f1234567000 },
        { .function = "trampoline" },
        { .lang = RECORD_JAVASCRIPT },
        CALLER("main", REDIS, NULL, 0x4b6a5),
};

static const struct record_stack symbolized_stacks[] = {
        { .count = 1, .state = 'S', .frames = symbolized_frames, .frames_count = COUNT(symbolized_frames) },
};

static const struct record symbolized_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503620700000), .host = "db",
        .pid = 977, .run = "00000000000000aa", .program = "redis-server",
        .stall = {
                .id = 1, .begin_ns = UINT64_C(1795378503500000000), .tid = 977, .loop = "epoll:5",
                .threshold_ns = 1000000, .duration_ns = 2300000, .cause = RECORD_BLOCKED, .end = "left",
                .detail = { .call = "clock_nanosleep" }, .signature = 1, .culprit = &symbolized_frames[1],
                .stacks = symbolized_stacks, .stacks_count = COUNT(symbolized_stacks), .samples = 1,
        },
};

static const char *const process_notices[] = {
        "LOOPDOG_THRESOLD is not a setting and is ignored: did you mean LOOPDOG_THRESHOLD?",
        "libunwind is missing: no stacks",
};

static const struct record process_record = {
        .version = RECORD_VERSION, .type = RECORD_PROCESS, .time_ns = UINT64_C(1795378500000001000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "uvicorn",
        .process = {
                .command = "/usr/bin/python3", .executable = "/usr/bin/python3.11", .agent_version = "0.1.0", .ppid = 1,
                .threshold_ns = 100000000, .interval_ns = 10000000, .clock = "tsc",
                .begin_ns = UINT64_C(1795378499000000000), .notices = process_notices,
                .notices_count = COUNT(process_notices),
        },
};

static const struct record_bucket loop_buckets[] = { { 0, 40000 }, { 1024, 77 }, { 503316480, 1 } };

static const struct record loop_record = {
        .version = RECORD_VERSION, .type = RECORD_LOOP, .time_ns = UINT64_C(1795378510000000000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "uvicorn",
        .loop = {
                .tid = 4242, .thread = "uvicorn", .loop = "epoll:5", .iterations = 40078, .busy_ns = 713000000,
                .idle_ns = UINT64_C(9287000000), .stalls = 1, .stall_ns = 500213441, .longest_ns = 500213441,
                .buckets = loop_buckets, .buckets_count = COUNT(loop_buckets),
        },
};

static const struct record exit_record = {
        .version = RECORD_VERSION, .type = RECORD_EXIT, .time_ns = UINT64_C(1795378520000000000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "uvicorn",
        .exit = {
                .reason = "exit", .loops = 1, .stalls = 19, .stalls_startup = 1, .captures = 790, .captures_signal = 5,
                .losses = redis_losses, .losses_count = COUNT(redis_losses), .candidates_dropped = 2, .reopened = 2,
                .watchdog_cpu_ns = 41000000, .wakeups = 1200, .latest_ns = 35000000, .stalls_suspended = 1,
                .starved_ns = 90000000, .stopped_ns = 2000000000, .captures_ns = 12000000, .calls_mended = 3,
        },
};

/* Two threads that wait for each other, and a mutex without a stack. */
static const struct record_frame deadlock_frames[] = {
        CALLER("pthread_mutex_lock", LIBC, LIBC_ID, 0x8c4b2),
        CALLER("take_account", "/srv/bank", NULL, 0x1200),
        CALLER("on_transfer", "/srv/bank", NULL, 0x1400),
        CALLER("main", "/srv/bank", NULL, 0x1100),
};

static const struct record_frame deadlock_other_frames[] = {
        CALLER("pthread_mutex_lock", LIBC, LIBC_ID, 0x8c4b2),
        CALLER("write_journal", "/srv/bank", NULL, 0x1600),
        CALLER("start_thread", LIBC, LIBC_ID, 0x89134),
};

static const struct record_stack deadlock_stacks[] = {
        { .count = 2,
          .first_ns = 50000000,
          .last_ns = 100000000,
          .state = 'S',
          .complete = true,
          .frames = deadlock_frames,
          .frames_count = COUNT(deadlock_frames) },
};

static const struct record_share deadlock_shares[] = {
        { .samples = 2, .percent = 100, .frame = CALLER("take_account", "/srv/bank", NULL, 0x1200) },
};

static const struct record_other deadlock_others[] = {
        { .role = "lock-owner",
          .tid = 5002,
          .thread = "journal",
          .state = 'S',
          .call = "futex",
          .object = "mutex",
          .owner = 5001,
          .frames = deadlock_other_frames,
          .frames_count = COUNT(deadlock_other_frames) },
};

static const struct record deadlock_begin = {
        .version = RECORD_VERSION, .type = RECORD_STALL_BEGIN, .time_ns = UINT64_C(1795378503620700000), .host = "web1",
        .pid = 5001, .run = "00000000000000bb", .program = "bank",
        .stall = {
                .id = 4, .begin_ns = UINT64_C(1795378503520000000), .tid = 5001, .thread = "bank", .loop = "epoll:5",
                .threshold_ns = 100000000, .duration_ns = 100200000, .cpu_ns = 41000, .cause = RECORD_LOCK,
                .detail = { .call = "futex", .cpu_known = true, .object = "mutex", .owner = 5002, .deadlock = true,
                            .usage_known = true, .user_ns = 41000, .voluntary = 1 },
                .signature = 4, .culprit = &deadlock_frames[1], .callbacks_seen = 1, .profile = deadlock_shares,
                .profile_count = COUNT(deadlock_shares), .stacks = deadlock_stacks,
                .stacks_count = COUNT(deadlock_stacks), .others = deadlock_others,
                .others_count = COUNT(deadlock_others), .samples = 2,
        },
};

/* Short of CPU, stopped for a part of the time, and made of two callbacks. */
static const struct record_frame starved_frames[] = {
        CALLER("handle_a", "/srv/bank", NULL, 0x2000),
        CALLER("main", "/srv/bank", NULL, 0x1100),
        CALLER("handle_b", "/srv/bank", NULL, 0x2200),
        CALLER("main", "/srv/bank", NULL, 0x1100),
};

static const struct record_stack starved_stacks[] = {
        { .count = 6,
          .first_ns = 50000000,
          .last_ns = 180000000,
          .state = 'R',
          .complete = true,
          .frames = starved_frames,
          .frames_count = 2 },
        { .count = 4,
          .first_ns = 60000000,
          .last_ns = 190000000,
          .state = 'R',
          .complete = true,
          .frames = starved_frames + 2,
          .frames_count = 2 },
};

static const struct record_share starved_shares[] = {
        { .samples = 6, .percent = 60, .frame = CALLER("handle_a", "/srv/bank", NULL, 0x2000) },
        { .samples = 4, .percent = 40, .frame = CALLER("handle_b", "/srv/bank", NULL, 0x2200) },
};

static const struct record starved_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503820700000), .host = "web1",
        .pid = 5001, .run = "00000000000000bb", .program = "bank",
        .stall = {
                .id = 5, .begin_ns = UINT64_C(1795378503520000000), .tid = 5001, .thread = "bank", .loop = "epoll:5",
                .threshold_ns = 100000000, .duration_ns = 300000000, .cpu_ns = 20000000, .suspended_ns = 100000000,
                .cause = RECORD_STARVED,
                .detail = { .cpu_percent = 10, .cpu_known = true, .usage_known = true, .user_ns = 10000000,
                            .system_ns = 10000000, .voluntary = 2, .involuntary = 30, .major_faults = 3,
                            .delay_ns = 20000000, .throttled_ns = 180000000, .steal_ns = 10000000,
                            .pressure_ns = 190000000, .runnable = 9, .cpus = 2, .watchdog_delay_ns = 160000000 },
                .signature = 5, .culprit = &starved_frames[0], .callbacks_seen = 7, .profile = starved_shares,
                .profile_count = COUNT(starved_shares), .stacks = starved_stacks,
                .stacks_count = COUNT(starved_stacks), .samples = 10,
        },
};

static const struct record_frame blocked_frames[] = {
        NATIVE("read", LIBC, LIBC_ID, 0xf8c3d),
        CALLER("read_answer", "/srv/server", NULL, 0x3008),
        CALLER("main", "/srv/server", NULL, 0x2415),
};
static const struct record_stack blocked_stacks[] = {
        { .count = 14,
          .first_ns = 50001200,
          .last_ns = 245000000,
          .state = 'S',
          .complete = true,
          .frames = blocked_frames,
          .frames_count = COUNT(blocked_frames) },
};
static const struct record_holder blocked_holders[] = {
        { "other-end", 4711, "sh", "" },
        { "other-end", 4712, "sleep", "" },
};
static const struct record_fd blocked_ready[] = {
        { 12, "tcp 127.0.0.1:8123 <- 127.0.0.1:53410", "in" },
        { 5, "timerfd", "in,hup" },
};

/* All that is known of one call is not known of another: the last two are made up. */
static const struct record blocked_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503620700000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "server",
        .stall = {
                .id = 8, .begin_ns = UINT64_C(1795378503120456000), .tid = 4242, .thread = "server", .loop = "epoll:7",
                .threshold_ns = 100000000, .duration_ns = 253213441, .cause = RECORD_BLOCKED,
                .detail = { .call = "read", .cpu_percent = 0, .cpu_known = true, .fd_known = true, .fd = 7,
                            .what = "pipe:[123]", .wchan = "anon_pipe_read", .held_by = blocked_holders,
                            .held_by_count = COUNT(blocked_holders) },
                .signature = UINT64_C(0x8f2c1e77a0b3d415), .culprit = &blocked_frames[1],
                .ready = blocked_ready, .ready_count = COUNT(blocked_ready), .ready_more = 3,
                .ready_before = 1,
                .ready_loss = "removed from its epoll instance since",
                .stacks = blocked_stacks, .stacks_count = COUNT(blocked_stacks), .samples = 14,
        },
};

static const struct record_fd nested_fds[] = { { 3, "pipe:[77]", "in" }, { 4, "eventfd, count 1", "in,out" } };
static const struct record_holder nested_holders[] = { { "lock-holder", 99, "cron", "/usr/sbin/cron" } };

static const struct record nested_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503620700000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "server",
        .stall = {
                .id = 9, .begin_ns = UINT64_C(1795378503120456000), .tid = 4242, .thread = "server", .loop = "epoll:7",
                .threshold_ns = 100000000, .duration_ns = 253213441, .cause = RECORD_BLOCKED,
                .detail = { .call = "connect", .fd_known = true, .what = "tcp 10.0.0.7:40000 (SYN_SENT)",
                            .address = "10.0.0.5:5432", .device = "ext4 on /dev/sda1 (8:1)", .timeout_ns = 250000000,
                            .left_ns = 170000000, .waits_for = nested_fds, .waits_for_count = COUNT(nested_fds),
                            .waits_for_more = 5, .held_by = nested_holders, .held_by_count = COUNT(nested_holders) },
                .samples = 1, .samples_lost = 1,
        },
};

/* A page of a mapped file. */
static const struct record_frame fault_frames[] = {
        CALLER("find_word", "/srv/search", NULL, 0x5010),
        CALLER("on_query", "/srv/search", NULL, 0x5204),
        CALLER("main", "/srv/search", NULL, 0x5001),
};
static const struct record_stack fault_stacks[] = {
        { .count = 12,
          .first_ns = 50001200,
          .last_ns = 245000000,
          .state = 'D',
          .complete = true,
          .frames = fault_frames,
          .frames_count = COUNT(fault_frames) },
};

static const struct record fault_stall = {
        .version = RECORD_VERSION, .type = RECORD_STALL, .time_ns = UINT64_C(1795378503820700000), .host = "web1",
        .pid = 6001, .run = "00000000000000cc", .program = "search",
        .stall = {
                .id = 2, .begin_ns = UINT64_C(1795378503520000000), .tid = 6001, .thread = "search", .loop = "epoll:5",
                .threshold_ns = 100000000, .duration_ns = 251000000, .cpu_ns = 1200000, .cause = RECORD_PAGE_FAULT,
                .detail = { .cpu_known = true, .what = "/srv/words.index", .device = "nfs4 on files:/srv (0:51)",
                            .wchan = "folio_wait_bit_common", .file_offset = 0x7000, .usage_known = true,
                            .user_ns = 1200000, .voluntary = 2, .major_faults = 2 },
                .signature = 6, .culprit = &fault_frames[0], .callbacks_seen = 1, .stacks = fault_stacks,
                .stacks_count = COUNT(fault_stacks), .samples = 12,
        },
};

/* Of one dump: a loop in a callback, and one that waits for events. */
static const struct record_callback dump_callback = { "read_cb", "read_cb", "fd 12", 27389, 34720012 };
static const struct record_loss dump_losses[] = { { "no /proc here (chroot or container)", 1 } };
static const struct record_label dump_labels[] = { { "request", "GET /users/42" } };
static const struct record_stack dump_stacks[] = {
        { .count = 1,
          .first_ns = 34690120,
          .last_ns = 34690120,
          .state = 'R',
          .complete = true,
          .frames = &blocked_frames[1],
          .frames_count = COUNT(blocked_frames) - 1 },
};

static const struct record busy_dump = {
        .version = RECORD_VERSION, .type = RECORD_DUMP, .time_ns = UINT64_C(1795378503620700000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "server",
        .stall = {
                .id = 1, .begin_ns = UINT64_C(1795378503120456000), .state = "busy", .tid = 4242, .thread = "server",
                .loop = "main", .threshold_ns = 100000000, .duration_ns = 34755889, .callback = &dump_callback,
                .callbacks = 3, .labels = dump_labels, .labels_count = COUNT(dump_labels),
                .culprit = &blocked_frames[1], .ready = blocked_ready, .ready_count = COUNT(blocked_ready),
                .samples = 1, .stacks = dump_stacks, .stacks_count = COUNT(dump_stacks),
        },
};

static const struct record idle_dump = {
        .version = RECORD_VERSION, .type = RECORD_DUMP, .time_ns = UINT64_C(1795378503620800000), .host = "web1",
        .pid = 4242, .run = "b1946ac92492d234", .program = "server",
        .stall = {
                .id = 1, .begin_ns = UINT64_C(1795378502120456000), .state = "idle", .tid = 4250, .thread = "worker",
                .loop = "epoll:7", .threshold_ns = 100000000, .duration_ns = 1500344000,
                .detail = { .call = "epoll_wait", .waits_for = nested_fds, .waits_for_count = COUNT(nested_fds) },
                .samples = 1, .losses = dump_losses, .losses_count = COUNT(dump_losses), .samples_lost = 1,
        },
};

#endif
