/* SPDX-License-Identifier: Apache-2.0
 *
 * owner.c - whose code a frame is
 *
 * What people want to see is their own line; all that a distribution, a package manager or a compiler has put between
 * it and the kernel is somebody else's. There is no mark in a binary that says so, but names and places do: system
 * libraries stand directly in the loader's folders, packages below folders of fixed names, and an interpreter or a loop
 * keeps its name wherever it is installed or linked into. What no rule knows is the user's own: a wrong blame that
 * shows their program is better than one that hides it, and LOOPDOG_OWN overrules every rule.
 *
 * Context: watchdog, reader
 */
#include <string.h>

#include "base/library.h"
#include "record/frame.h"
#include "record/record.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct rule {
        const char *name;
        enum record_owner owner;
};

/* Shared objects by the start of their name, which ends before a letter: "libm" is not "libmodbus". Those of loops
 * stand in base/library.c, and most of the system's are known by their place. */
static const char *const system_libraries[] = {
        "libc",        "libpthread",  "ld-linux",  "ld-musl", "ld",      "libdl",     "librt",
        "libm",        "libmvec",     "libresolv", "libnss",  "libanl",  "libstdc++", "libc++",
        "libc++abi",   "libgcc_s",    "libatomic", "libgomp", "libssl",  "libcrypto", "libz",
        "libjemalloc", "libtcmalloc", "libunwind", "libasan", "libtsan", "libubsan",
};

static const char *const runtime_libraries[] = {
        "libpython", "libpypy", "libnode", "libv8",     "libmozjs",   "libperl", "libruby",  "libjvm", "libjava",
        "libnio",    "libjli",  "liblua",  "libluajit", "libcoreclr", "libmono", "libguile", "libtcl", "libphp",
};

/* Programs by name; a version and the suffixes of builds may follow: "python3.11-dbg", "php-fpm8.2". */
static const char *const runtimes[] = {
        "node", "nodejs", "deno", "bun",     "python",  "pypy", "perl",  "ruby",     "java",  "php",
        "lua",  "luajit", "mono", "php-cgi", "php-fpm", "erl",  "guile", "beam.smp", "tclsh", "dotnet",
};

/* Below /usr/lib and the like: folders full of one runtime's or the system's own modules. */
static const struct rule folders[] = {
        { "/jvm/", RECORD_RUNTIME },   { "/perl/", RECORD_RUNTIME },      { "/perl5/", RECORD_RUNTIME },
        { "/ruby/", RECORD_RUNTIME },  { "/perl-base/", RECORD_RUNTIME }, { "/php/", RECORD_RUNTIME },
        { "/gconv/", RECORD_LIBRARY }, { "/engines-", RECORD_LIBRARY },   { "/ossl-modules/", RECORD_LIBRARY },
        { "/sasl2/", RECORD_LIBRARY }, { "/gio/", RECORD_LOOPLIB },
};

/* Code that is linked into a program, by the start of its function's name, plain and demangled. */
static const struct function_rule {
        const char *start;
        enum record_owner owner;
        bool rust; /* only if it ends as Rust's mangled names do: C++ has namespaces of these names, too */
} functions[] = {
        { "uv__", RECORD_LOOPLIB, false },
        { "uv_run", RECORD_LOOPLIB, false },
        { "ev_run", RECORD_LOOPLIB, false },
        { "ev_invoke_pending", RECORD_LOOPLIB, false },
        { "event_base_loop", RECORD_LOOPLIB, false },
        { "event_base_dispatch", RECORD_LOOPLIB, false },
        { "event_process_active", RECORD_LOOPLIB, false },
        { "g_main_", RECORD_LOOPLIB, false },
        { "_ZN5boost4asio", RECORD_LOOPLIB, false },
        { "boost::asio::", RECORD_LOOPLIB, false },
        { "_ZN5tokio7runtime", RECORD_LOOPLIB, true },
        { "tokio::runtime::", RECORD_LOOPLIB, false },
        { "_ZSt", RECORD_LIBRARY, false },
        { "_ZNSt", RECORD_LIBRARY, false },
        { "_ZNKSt", RECORD_LIBRARY, false },
        { "std::", RECORD_LIBRARY, false },
        { "_ZN3std", RECORD_LIBRARY, true },
        { "_ZN4core", RECORD_LIBRARY, true },
        { "_ZN5alloc", RECORD_LIBRARY, true },
};

/* Python packages and modules of the standard library that run loops or serve requests on them. */
static const char *const loop_packages[] = {
        "asyncio", "selectors", "uvloop",    "uvicorn", "starlette", "fastapi",  "anyio",
        "sniffio", "tornado",   "twisted",   "trio",    "gevent",    "eventlet", "aiohttp",
        "sanic",   "quart",     "hypercorn", "daphne",  "asgiref",   "gunicorn", "nest_asyncio",
};

static bool starts(const char *string, const char *start)
{
        return strncmp(string, start, strlen(start)) == 0;
}

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- LOOPDOG_OWN ---- */

static bool has_own_prefix(const char *path, const char *prefixes)
{
        if (!path || !prefixes)
                return false;
        path += starts(path, "file://") ? strlen("file://") : 0;
        while (*prefixes) {
                size_t length = strcspn(prefixes, ":");
                if (length > 0 && strncmp(path, prefixes, length) == 0)
                        return true;
                prefixes += length + (prefixes[length] == ':');
        }
        return false;
}

/* ---- scripts ---- */

static enum record_owner package_owner(const char *rest, enum record_owner otherwise)
{
        size_t length = strcspn(rest, "/.>");
        for (size_t i = 0; i < COUNT(loop_packages); i++)
                if (strlen(loop_packages[i]) == length && memcmp(loop_packages[i], rest, length) == 0)
                        return RECORD_LOOPLIB;
        return otherwise;
}

/* Code that was typed or passed in has a name in angle brackets, but so has what packages generate. */
static enum record_owner unfiled_owner(const char *name)
{
        static const char *const typed[] = { "<string>", "<stdin>", "<input>", "<ipython", "<console>" };
        for (size_t i = 0; i < COUNT(typed); i++)
                if (starts(name, typed[i]))
                        return RECORD_OWN;
        return RECORD_LIBRARY;
}

static enum record_owner script_owner(const struct record_frame *frame)
{
        const char *rest;
        if (!frame->file)
                return frame->lang == RECORD_JIT && frame->function ? RECORD_OWN : RECORD_RUNTIME;
        switch (record_place_of(frame->file, &rest)) {
        case RECORD_STDLIB:
                return package_owner(rest, RECORD_RUNTIME);
        case RECORD_PACKAGES:
                return package_owner(rest, RECORD_LIBRARY);
        case RECORD_NODE_MODULES:
                return RECORD_LIBRARY;
        case RECORD_NODE:
                return RECORD_RUNTIME;
        case RECORD_ELSEWHERE:
                break;
        }
        return frame->file[0] == '<' ? unfiled_owner(frame->file) : RECORD_OWN;
}

/* ---- native ---- */

static bool is_rust(const char *function)
{
        const char *hash = strstr(function, "17h");
        return hash && strlen(hash) >= 3 + 16;
}

static bool function_owner(const char *function, enum record_owner *owner)
{
        for (size_t i = 0; function && i < COUNT(functions); i++) {
                if (!starts(function, functions[i].start) || (functions[i].rust && !is_rust(function)))
                        continue;
                *owner = functions[i].owner;
                return true;
        }
        return false;
}

static bool library_in(const char *name, const char *const *names, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (starts(name, names[i]) && !is_letter(name[strlen(names[i])]))
                        return true;
        return false;
}

static bool library_owner(const char *name, enum record_owner *owner)
{
        if (!strstr(name, ".so"))
                return false;
        if (starts(name, "libloopdog.so"))
                *owner = RECORD_WATCHER;
        else if (library_name_is_loop(name))
                *owner = RECORD_LOOPLIB;
        else if (library_in(name, runtime_libraries, COUNT(runtime_libraries)))
                *owner = RECORD_RUNTIME;
        else if (library_in(name, system_libraries, COUNT(system_libraries)))
                *owner = RECORD_LIBRARY;
        else
                return false;
        return true;
}

/* Does nothing follow, or only a version with at most one suffix of a build: "3.11", "3.13t", "3.11-dbg",
 * "-2.1.0-beta3"? */
static bool is_version(const char *tail)
{
        if (*tail == '\0' || strcmp(tail, "-sgen") == 0)
                return true;
        tail += *tail == '-';
        size_t digits = strspn(tail, "0123456789.");
        if (digits == 0)
                return false;
        tail += digits;
        tail += *tail == 'd' || *tail == 'm' || *tail == 't';
        return *tail == '\0' || strcmp(tail, "-dbg") == 0 || starts(tail, "-beta");
}

static bool is_runtime_program(const char *name)
{
        for (size_t i = 0; i < COUNT(runtimes); i++)
                if (starts(name, runtimes[i]) && is_version(name + strlen(runtimes[i])))
                        return true;
        return false;
}

/* What follows the loader's folder in which `path` lies, or NULL. */
static const char *after_system_folder(const char *path)
{
        static const char *const roots[] = { "/lib64/",     "/usr/lib64/", "/usr/local/lib64/", "/lib32/",
                                             "/usr/lib32/", "/lib/",       "/usr/lib/",         "/usr/local/lib/" };
        for (size_t i = 0; i < COUNT(roots); i++) {
                if (!starts(path, roots[i]))
                        continue;
                path += strlen(roots[i]);
                const char *slash = strchr(path, '/');
                const char *triplet = strstr(path, "-linux-");
                return slash && triplet && triplet < slash ? slash + 1 : path;
        }
        return NULL;
}

static bool folder_owner(const char *below_system, enum record_owner *owner)
{
        for (size_t i = 0; below_system && i < COUNT(folders); i++) {
                if (!strstr(below_system - 1, folders[i].name)) /* from the slash before it */
                        continue;
                *owner = folders[i].owner;
                return true;
        }
        return false;
}

static bool place_owner(const char *path, enum record_owner *owner)
{
        const char *rest;
        enum record_place place = record_place_of(path, &rest);
        if (place == RECORD_PACKAGES)
                *owner = package_owner(rest, RECORD_LIBRARY);
        else if (place == RECORD_STDLIB)
                *owner = RECORD_RUNTIME;
        else if (place == RECORD_NODE_MODULES)
                *owner = RECORD_LIBRARY;
        return place != RECORD_ELSEWHERE && place != RECORD_NODE;
}

static enum record_owner native_owner(const struct record_frame *frame)
{
        enum record_owner owner = RECORD_OWN;
        const char *path = frame->module;
        if (!path) /* code made at run time: with a name from a perf map it is what somebody wrote */
                return frame->function ? RECORD_OWN : RECORD_RUNTIME;
        if (path[0] == '[')
                return strcmp(path, "[vdso]") == 0 || strcmp(path, "[vsyscall]") == 0 ? RECORD_LIBRARY : RECORD_RUNTIME;
        const char *name = record_basename(path);
        const char *below = after_system_folder(path);
        if (function_owner(frame->function, &owner) || place_owner(path, &owner) || folder_owner(below, &owner) ||
            library_owner(name, &owner))
                return owner;
        if (is_runtime_program(name))
                return RECORD_RUNTIME;
        bool directly = below && !strchr(below, '/');
        return directly && starts(name, "lib") && strstr(name, ".so") ? RECORD_LIBRARY : RECORD_OWN;
}

/* ---- public ---- */

enum record_owner record_frame_owner(const struct record_frame *frame, const char *own_prefixes)
{
        if (has_own_prefix(frame->file, own_prefixes) || has_own_prefix(frame->module, own_prefixes))
                return RECORD_OWN;
        return frame->lang == RECORD_NATIVE ? native_owner(frame) : script_owner(frame);
}

/* The C and C++ run-time libraries, the loader, the vdso and loopdog are on every stack: never worth a blame. */
static bool is_basic(const struct record_frame *frame)
{
        static const char *const names[] = { "libc.", "libc-",  "libpthread",    "libdl.",    "librt.",
                                             "libm.", "libm-",  "libstdc++.",    "libgcc_s.", "ld-",
                                             "ld.",   "[vdso]", "libloopdog.so", "[vsyscall]" };
        if (frame->lang != RECORD_NATIVE || !frame->module)
                return false;
        const char *name = record_basename(frame->module);
        for (size_t i = 0; i < COUNT(names); i++)
                if (starts(name, names[i]))
                        return true;
        return false;
}

/* An address alone is no answer: it differs in every run. */
static bool is_named(const struct record_frame *frame)
{
        return frame->function || frame->module || frame->file;
}

/* How much of an answer a frame is where nothing is the user's own. A script's stand in front of what executes them:
 * who blocks in a package knows that package, not an offset in the interpreter. */
static int worth_of(const struct record_frame *frame, enum record_owner owner)
{
        if (frame->lang != RECORD_NATIVE && frame->file)
                return owner == RECORD_RUNTIME ? 2 : owner == RECORD_LOOPLIB ? 3 : 4;
        return !is_basic(frame) && is_named(frame);
}

int record_find_culprit(const struct record_frame *frames, size_t count, const char *own_prefixes)
{
        int blamed = -1, worth = 0;
        for (size_t i = 0; i < count; i++) {
                enum record_owner owner = record_frame_owner(&frames[i], own_prefixes);
                if (owner == RECORD_OWN)
                        return (int)i;
                int candidate = worth_of(&frames[i], owner);
                if (candidate <= worth)
                        continue;
                worth = candidate;
                blamed = (int)i;
        }
        return blamed >= 0 || count == 0 ? blamed : 0;
}
