/* SPDX-License-Identifier: Apache-2.0
 *
 * test_owner.c - record/owner.c and record/frame.c
 *
 * Paths and functions as they stand in the maps and symbol tables of Debian 12's packages, of pyenv, nvm and conda.
 *
 * Context: unit test
 */
#include <criterion/criterion.h>

#include "record/frame.h"
#include "record_samples.h"

static const char *owner_name(enum record_owner owner)
{
        static const char *const names[] = { "own", "library", "runtime", "loop library", "watcher" };
        return names[owner];
}

static void expect_owner(const struct record_frame *frame, const char *own, enum record_owner wanted)
{
        enum record_owner owner = record_frame_owner(frame, own);
        cr_expect_eq(owner, wanted, "%s in %s is %s and not %s", frame->function ? frame->function : "?",
                     frame->module ? frame->module
                     : frame->file ? frame->file
                                   : "nothing",
                     owner_name(owner), owner_name(wanted));
}

static void expect_module(const char *module, enum record_owner wanted)
{
        struct record_frame frame = { .function = "f", .module = module, .offset = 0x1000 };
        expect_owner(&frame, NULL, wanted);
        frame.function = NULL;
        expect_owner(&frame, NULL, wanted);
}

static void expect_function(const char *function, const char *module, enum record_owner wanted)
{
        struct record_frame frame = { .function = function, .module = module, .offset = 0x1000 };
        expect_owner(&frame, NULL, wanted);
}

static void expect_script(enum record_lang lang, const char *file, enum record_owner wanted)
{
        struct record_frame frame = { .lang = lang, .function = "f", .file = file, .line = 1 };
        expect_owner(&frame, NULL, wanted);
}

/* ---- native ---- */

Test(owner, leaves_programs_to_the_user)
{
        static const char *const own[] = {
                "/usr/bin/redis-check-rdb",
                "/usr/sbin/nginx",
                "/usr/lib/nginx/modules/ngx_http_perl_module.so",
                "/usr/bin/memcached",
                "/usr/sbin/haproxy",
                "/srv/app/server",
                "/srv/app/lib/libcompany.so.1",
                "/opt/vendor/bin/daemon",
                "/opt/vendor/lib/libvendor.so",
                "/home/me/build/libmodbus.so",
                "/usr/lib/apache2/modules/mod_python_like.so",
                "/usr/bin/node-exporter",
                "/usr/bin/node_exporter",
                "/usr/local/bin/luakit",
                "/srv/noded",
                "/usr/bin/rubydaemon",
                "/tmp/a.out",
                "server",
                "/srv/libc/server",
                "/srv/perl/server",
                "/usr/lib/postgresql/15/bin/postgres",
                "/usr/lib/postfix/sbin/master",
        };
        for (size_t i = 0; i < COUNT(own); i++)
                expect_module(own[i], RECORD_OWN);
}

Test(owner, knows_system_libraries)
{
        static const char *const libraries[] = {
                LIBC,
                "/lib/x86_64-linux-gnu/libc-2.31.so",
                "/lib64/ld-linux-x86-64.so.2",
                "[vdso]",
                "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                "/usr/lib/x86_64-linux-gnu/libpthread.so.0",
                "/usr/lib/x86_64-linux-gnu/libm.so.6",
                "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
                "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
                "/usr/lib/x86_64-linux-gnu/libssl.so.3",
                "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
                "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6",
                "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
                "/usr/lib64/libzstd.so.1",
                "/usr/lib/libpq.so.5",
                "/usr/local/lib/libfoo.so",
                "/usr/local/lib/x86_64-linux-gnu/libfoo.so.2",
                "/usr/lib/aarch64-linux-gnu/libpcre2-8.so.0",
                "/lib/ld-musl-x86_64.so.1",
                "/nix/store/abc-glibc-2.38/lib/libc.so.6",
                "/opt/conda/lib/libcrypto.so.3",
                "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
                "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
                "/usr/lib/x86_64-linux-gnu/engines-3/padlock.so",
                "/usr/lib/x86_64-linux-gnu/sasl2/libplain.so",
        };
        for (size_t i = 0; i < COUNT(libraries); i++)
                expect_module(libraries[i], RECORD_LIBRARY);
}

Test(owner, knows_runtimes)
{
        static const char *const runtimes[] = {
                "/usr/bin/node",
                "/usr/bin/nodejs",
                "/root/.nvm/versions/node/v20.11.0/bin/node",
                "/usr/lib/x86_64-linux-gnu/libnode.so.108",
                "/usr/bin/python3.11",
                "/usr/bin/python3.11-dbg",
                "/usr/local/bin/python3.13t",
                "/root/.pyenv/versions/3.11.7/bin/python3.11",
                "/root/.pyenv/versions/3.11.7/lib/libpython3.11.so.1.0",
                "/usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
                "/usr/bin/perl",
                "/usr/lib/x86_64-linux-gnu/libperl.so.5.36.0",
                "/usr/lib/x86_64-linux-gnu/perl/5.36/auto/POSIX/POSIX.so",
                "/usr/lib/x86_64-linux-gnu/perl5/5.36/auto/nginx/nginx.so",
                "/usr/bin/ruby3.1",
                "/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1.2",
                "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so",
                "/usr/lib/jvm/java-17-openjdk-amd64/lib/libnet.so",
                "/opt/jdk-21/lib/server/libjvm.so",
                "/usr/bin/php8.2",
                "/usr/sbin/php-fpm8.2",
                "/usr/bin/lua5.3",
                "/usr/bin/luajit-2.1.0-beta3",
                "/usr/lib/x86_64-linux-gnu/liblua5.3.so.0.0.0",
                "/usr/lib/x86_64-linux-gnu/liblua5.1.so.0.0.0",
                "/usr/lib/x86_64-linux-gnu/libluajit-5.1.so.2.1.0",
                "/usr/lib/erlang/erts-13.1.5/bin/beam.smp",
        };
        for (size_t i = 0; i < COUNT(runtimes); i++)
                expect_module(runtimes[i], RECORD_RUNTIME);
}

Test(owner, knows_loop_libraries)
{
        static const char *const loops[] = {
                "/usr/lib/x86_64-linux-gnu/libev.so.4.0.0",
                "/usr/lib/x86_64-linux-gnu/libuv.so.1.0.0",
                "/usr/lib/x86_64-linux-gnu/libevent-2.1.so.7.0.1",
                "/usr/lib/x86_64-linux-gnu/libevent_core-2.1.so.7",
                "/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0.7400.6",
                "/usr/lib/x86_64-linux-gnu/libQt5Core.so.5.15.8",
                "/opt/qt/lib/libQt6Core.so.6",
                UVLOOP,
                "/srv/venv/lib/python3.12/site-packages/gevent/libev/corecext.cpython-312-x86_64-linux-gnu.so",
        };
        for (size_t i = 0; i < COUNT(loops); i++)
                expect_module(loops[i], RECORD_LOOPLIB);
}

Test(owner, knows_what_is_linked_into_a_program)
{
        expect_function("uv__io_poll", "/usr/bin/node", RECORD_LOOPLIB);
        expect_function("uv_run", "/srv/server", RECORD_LOOPLIB);
        expect_function("ev_run", "/srv/server", RECORD_LOOPLIB);
        expect_function("event_base_loop", "/srv/server", RECORD_LOOPLIB);
        expect_function("g_main_context_iterate", "/srv/server", RECORD_LOOPLIB);
        expect_function("_ZN5boost4asio6detail9scheduler3runERNS_6system10error_codeE", "/srv/server", RECORD_LOOPLIB);
        expect_function("boost::asio::detail::scheduler::run(boost::system::error_code&)", "/srv/server",
                        RECORD_LOOPLIB);
        expect_function("_ZNSt6vectorIiSaIiEE9push_backERKi", "/srv/server", RECORD_LIBRARY);
        expect_function("_ZN3std6thread5sleep17h0123456789abcdefE", "/srv/server", RECORD_LIBRARY);
        expect_function("_ZN4core3ops8function6FnOnce9call_once17h0123456789abcdefE", "/srv/server", RECORD_LIBRARY);
        expect_function("_ZN5tokio7runtime4park6Parker4park17h0123456789abcdefE", "/srv/server", RECORD_LOOPLIB);
        /* Not these: names of the user's own that begin alike. */
        expect_function("_ZN4core6Server3runEv", "/srv/server", RECORD_OWN);
        expect_function("uvicorn_like", "/srv/server", RECORD_OWN);
        expect_function("stdin_loop", "/srv/server", RECORD_OWN);
        expect_function("main", "/srv/server", RECORD_OWN);
}

Test(owner, takes_packages_for_libraries_whatever_stands_before_them)
{
        expect_module("/usr/lib/python3/dist-packages/yaml/_yaml.cpython-311-x86_64-linux-gnu.so", RECORD_LIBRARY);
        expect_module("/srv/venv/lib/python3.11/site-packages/numpy/core/_multiarray_umath.cpython-311.so",
                      RECORD_LIBRARY);
        expect_module("/srv/venv/lib64/python3.11/site-packages/numpy.libs/libopenblas64_p-r0.so", RECORD_LIBRARY);
        expect_module("/srv/app/node_modules/bcrypt/build/Release/bcrypt_lib.node", RECORD_LIBRARY);
        expect_module("/srv/app/speedups.cpython-311-x86_64-linux-gnu.so", RECORD_OWN);
}

Test(owner, knows_itself)
{
        expect_module("/usr/lib/x86_64-linux-gnu/libloopdog.so.0.1.0", RECORD_WATCHER);
        expect_module("/work/build/libloopdog.so", RECORD_WATCHER);
        expect_module("/srv/app/libloopdoghouse.so", RECORD_OWN);
}

Test(owner, blames_generated_code_only_by_name)
{
        struct record_frame frame = { .lang = RECORD_JIT, .offset = 0x7f0012345678 };
        expect_owner(&frame, NULL, RECORD_RUNTIME);
        frame.lang = RECORD_NATIVE;
        expect_owner(&frame, NULL, RECORD_RUNTIME);
        frame.lang = RECORD_JIT;
        frame.function = "void App::Handle()";
        expect_owner(&frame, NULL, RECORD_OWN);
        frame.file = "/srv/app/node_modules/express/index.js";
        expect_owner(&frame, NULL, RECORD_LIBRARY);
        expect_module("[anon:v8]", RECORD_RUNTIME);
}

/* ---- scripts ---- */

Test(owner, knows_pythons_places)
{
        expect_script(RECORD_PYTHON, "/srv/app.py", RECORD_OWN);
        expect_script(RECORD_PYTHON, "app.py", RECORD_OWN);
        expect_script(RECORD_PYTHON, "internal/views.py", RECORD_OWN);
        expect_script(RECORD_PYTHON, "<string>", RECORD_OWN);
        expect_script(RECORD_PYTHON, "<stdin>", RECORD_OWN);
        expect_script(RECORD_PYTHON, "<attrs generated init app.Model>", RECORD_LIBRARY);
        expect_script(RECORD_PYTHON, "<frozen importlib._bootstrap>", RECORD_RUNTIME);
        expect_script(RECORD_PYTHON, "/usr/lib/python3.11/json/decoder.py", RECORD_RUNTIME);
        expect_script(RECORD_PYTHON, "/root/.pyenv/versions/3.7.16/lib/python3.7/threading.py", RECORD_RUNTIME);
        expect_script(RECORD_PYTHON, "/usr/lib64/python3.12/socket.py", RECORD_RUNTIME);
        expect_script(RECORD_PYTHON, "/usr/lib/python311.zip/os.py", RECORD_RUNTIME);
        expect_script(RECORD_PYTHON, "/usr/lib/python3.11/asyncio/base_events.py", RECORD_LOOPLIB);
        expect_script(RECORD_PYTHON, "/usr/lib/python3.11/selectors.py", RECORD_LOOPLIB);
        expect_script(RECORD_PYTHON, PACKAGES "uvicorn/main.py", RECORD_LOOPLIB);
        expect_script(RECORD_PYTHON, PACKAGES "requests/sessions.py", RECORD_LIBRARY);
        expect_script(RECORD_PYTHON, PACKAGES "six.py", RECORD_LIBRARY);
        expect_script(RECORD_PYTHON, "/srv/venv/lib/python3.11/site-packages/django/views.py", RECORD_LIBRARY);
        expect_script(RECORD_PYTHON, "/srv/lib/pythonic/app.py", RECORD_OWN);
        expect_script(RECORD_PYTHON, NULL, RECORD_RUNTIME);
}

Test(owner, knows_nodes_places)
{
        expect_script(RECORD_JAVASCRIPT, "/srv/app.js", RECORD_OWN);
        expect_script(RECORD_JAVASCRIPT, "file:///srv/app.mjs", RECORD_OWN);
        expect_script(RECORD_JAVASCRIPT, "node:internal/timers", RECORD_RUNTIME);
        expect_script(RECORD_JAVASCRIPT, "node:fs", RECORD_RUNTIME);
        expect_script(RECORD_JAVASCRIPT, "internal/timers.js", RECORD_RUNTIME);
        expect_script(RECORD_JAVASCRIPT, "/srv/node_modules/express/lib/router/index.js", RECORD_LIBRARY);
        expect_script(RECORD_JAVASCRIPT, "file:///srv/node_modules/fastify/fastify.js", RECORD_LIBRARY);
        expect_script(RECORD_JAVASCRIPT, "<anonymous>", RECORD_LIBRARY);
        expect_script(RECORD_JAVASCRIPT, NULL, RECORD_RUNTIME);
}

/* ---- LOOPDOG_OWN ---- */

Test(owner, lets_the_user_decide)
{
        struct record_frame package = PYTHON("view", "/srv/venv/lib/python3.11/site-packages/company/views.py", 3);
        struct record_frame libc = NATIVE("qsort", LIBC, NULL, 0x1000);
        struct record_frame module = { .lang = RECORD_JAVASCRIPT, .file = "file:///srv/node_modules/@company/x.mjs" };
        const char *own = ":/srv/venv/lib/python3.11/site-packages/comp::" LIBC ":/srv/node_modules/@company/";
        expect_owner(&package, own, RECORD_OWN);
        expect_owner(&libc, own, RECORD_OWN);
        expect_owner(&module, own, RECORD_OWN);
        expect_owner(&package, "/srv/venv/lib/python3.12", RECORD_LIBRARY);
        expect_owner(&package, "", RECORD_LIBRARY);
        expect_owner(&package, ":::", RECORD_LIBRARY);
        expect_owner(&package, "/srv/venv/lib/python3.11/site-packages/company/views.py/", RECORD_LIBRARY);
}

/* ---- the culprit ---- */

#define expect_culprit(frames, wanted)                                                                                 \
        cr_expect_eq(record_find_culprit(frames, COUNT(frames), NULL), wanted, "%d",                                   \
                     record_find_culprit(frames, COUNT(frames), NULL))

Test(culprit, is_the_innermost_frame_of_the_users_own)
{
        expect_culprit(uvicorn_frames, 1);
        expect_culprit(redis_lua_frames, 2);
        expect_culprit(memcached_frames, 5);
        const struct record_frame nginx[] = {
                NATIVE("clock_nanosleep", LIBC, NULL, 0xd5bfc),
                CALLER("sleep", LIBC, NULL, 0xda9e7),
                CALLER("Perl_pp_sleep", "/usr/lib/x86_64-linux-gnu/libperl.so.5.36.0", NULL, 0x1a0000),
                CALLER("Perl_runops_standard", "/usr/lib/x86_64-linux-gnu/libperl.so.5.36.0", NULL, 0xf0000),
                CALLER("ngx_http_perl_call_handler", "/usr/lib/nginx/modules/ngx_http_perl_module.so", NULL, 0x4000),
                CALLER("ngx_http_core_run_phases", "/usr/sbin/nginx", NULL, 0x50000),
        };
        expect_culprit(nginx, 4);
}

Test(culprit, is_else_the_innermost_that_says_something)
{
        const struct record_frame python[] = {
                NATIVE("clock_nanosleep", LIBC, NULL, 0xd5bfc),
                CALLER("__GI___clock_nanosleep", LIBC, NULL, 0xd5c00),
                { .offset = 0x7f0000001000 },
                CALLER("time_sleep", "/usr/bin/python3.11", NULL, 0x2c1111),
                CALLER("main", "/usr/bin/python3.11", NULL, 0x2c2222),
        };
        expect_culprit(python, 3);
        const struct record_frame vdso[] = { NATIVE("clock_gettime", "[vdso]", NULL, 0xc00),
                                             CALLER("poll", "/usr/lib/x86_64-linux-gnu/libloopdog.so.0", NULL, 0x2000),
                                             CALLER("BIO_read", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", NULL,
                                                    0x1) };
        expect_culprit(vdso, 2);
}

Test(culprit, is_else_a_library_of_the_script_before_what_executes_it)
{
        const struct record_frame package[] = {
                NATIVE("recv", LIBC, NULL, 0xd5bfc),
                CALLER(NULL, "/usr/bin/python3.11", NULL, 0x2c1111),
                PYTHON("SocketIO.readinto", "/usr/lib/python3.11/socket.py", 706),
                PYTHON("run_asgi", PACKAGES "uvicorn/protocols/http/h11_impl.py", 407),
                PYTHON("HTTPConnectionPool.urlopen", PACKAGES "urllib3/connectionpool.py", 715),
                PYTHON("HTTPAdapter.send", PACKAGES "requests/adapters.py", 486),
                PYTHON("_run", "/usr/lib/python3.11/asyncio/events.py", 80),
        };
        expect_culprit(package, 4);
        cr_expect_eq(record_find_culprit(package, 4, NULL), 3);
        cr_expect_eq(record_find_culprit(package, 3, NULL), 2);
        cr_expect_eq(record_find_culprit(package, 2, NULL), 1);
}

Test(culprit, is_the_innermost_of_all_where_only_libc_is_left)
{
        const struct record_frame libc[] = { NATIVE("read", LIBC, NULL, 0x1000),
                                             CALLER("start_thread", LIBC, NULL, 0x2000) };
        expect_culprit(libc, 0);
        cr_expect_eq(record_find_culprit(NULL, 0, NULL), -1);
}

Test(culprit, obeys_the_user)
{
        cr_expect_eq(record_find_culprit(uvicorn_frames, COUNT(uvicorn_frames), PACKAGES "starlette/routing.py"), 1);
        cr_expect_eq(record_find_culprit(uvicorn_frames + 2, COUNT(uvicorn_frames) - 2, PACKAGES "starlette"), 1);
        cr_expect_eq(record_find_culprit(uvicorn_frames, COUNT(uvicorn_frames), "/usr/lib/x86_64-linux-gnu/"), 0);
}

/* ---- names of packages ---- */

static void expect_package(struct record_frame frame, const char *wanted)
{
        char bytes[128];
        struct text text = TEXT_IN(bytes);
        text_clear(&text);
        record_frame_package(&text, &frame);
        cr_expect_str_eq(bytes, wanted);
}

#define expect_module_name(path, wanted) expect_package((struct record_frame){ .module = (path) }, wanted)
#define expect_script_name(path, wanted)                                                                               \
        expect_package((struct record_frame){ .lang = RECORD_PYTHON, .file = (path) }, wanted)

Test(package, is_short)
{
        expect_module_name(LIBC, "libc");
        expect_module_name("/usr/lib/x86_64-linux-gnu/libuv.so.1.0.0", "libuv");
        expect_module_name("/usr/lib/x86_64-linux-gnu/libevent-2.1.so.7.0.1", "event-2.1");
        expect_module_name("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "crypto");
        expect_module_name("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "python3.11");
        expect_module_name("/usr/bin/python3.11", "python3.11");
        expect_module_name("/usr/sbin/nginx", "nginx");
        expect_module_name("[vdso]", "vdso");
        expect_module_name(UVLOOP, "uvloop");
        expect_module_name("/usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", "_ssl");
        expect_module_name("/srv/app/node_modules/bcrypt/build/Release/bcrypt_lib.node", "bcrypt");
        expect_script_name(PACKAGES "starlette/routing.py", "starlette");
        expect_script_name(PACKAGES "six.py", "six");
        expect_script_name("/usr/lib/python3.11/asyncio/base_events.py", "asyncio");
        expect_script_name("/usr/lib/python3.11/threading.py", "threading");
        expect_script_name("<frozen importlib._bootstrap>", "importlib");
        expect_script_name("/srv/node_modules/socket.io/dist/x.js", "socket.io");
        expect_script_name("/srv/node_modules/.pnpm/@a+b/node_modules/@a/b/x.js", "@a/b");
        expect_script_name("node:internal/timers", "node");
        expect_package((struct record_frame){ .lang = RECORD_JIT, .offset = 1 }, "jit");
        expect_package((struct record_frame){ .lang = RECORD_PYTHON }, "python");
}

/* ---- the main stack ---- */

Test(main_stack, is_the_most_frequent_with_the_culprit)
{
        const struct record_stack stacks[] = {
                { .count = 9, .missing = "x" },
                { .count = 5, .frames = redis_write_frames, .frames_count = COUNT(redis_write_frames) },
                { .count = 2, .frames = redis_lua_frames, .frames_count = COUNT(redis_lua_frames) },
                { .count = 3, .frames = redis_lua_frames, .frames_count = COUNT(redis_lua_frames) },
        };
        struct record_frame copy = redis_lua_frames[2];
        struct record_stall stall = { .stacks = stacks, .stacks_count = COUNT(stacks), .culprit = &copy };
        cr_expect_eq(record_main_stack(&stall), 3);
        cr_expect_eq(record_stack_find(&stacks[3], &copy), 2);
        stall.culprit = NULL;
        cr_expect_eq(record_main_stack(&stall), 1);
        struct record_stack equal[] = { stacks[1], stacks[1] };
        struct record_stall tie = { .stacks = equal, .stacks_count = 2 };
        cr_expect_eq(record_main_stack(&tie), 0, "of equals the first");
        stall.stacks_count = 1;
        cr_expect_eq(record_main_stack(&stall), 0);
        stall.stacks_count = 0;
        cr_expect_eq(record_main_stack(&stall), -1);
        copy.offset++;
        cr_expect_eq(record_stack_find(&stacks[3], &copy), -1);
        cr_expect_eq(record_stack_find(&stacks[3], NULL), -1);
}
