/* SPDX-License-Identifier: Apache-2.0
 *
 * static.c - the static library: where the shared one is there too, that one works
 *
 * A program that has libloopdog.a in it may be started with libloopdog.so preloaded. Both have hooks, and a wait would
 * count twice. So the static one stands down: its hooks only pass on, and the functions of loopdog.h lead to the
 * shared one's, which may be newer or older. The build has renamed our own to own_loopdog_*.
 *
 * Context: the table is filled in the constructor; functions as loopdog.h says
 */
#include <dlfcn.h>
#include <stddef.h>

#include "api/api.h"

#define EXPORTED __attribute__((visibility("default")))
#define OWN(name) extern __typeof__(loopdog_##name) own_loopdog_##name

OWN(start);
OWN(stop);
OWN(flush);
OWN(dump);
OWN(set_handler);
OWN(loop_open);
OWN(loop_close);
OWN(wait_begin);
OWN(wait_end);
OWN(pause);
OWN(resume);
OWN(set_threshold);
OWN(callback_begin);
OWN(callback_end);
OWN(label);
OWN(section_begin);
OWN(section_end);
OWN(read_statistics);
OWN(read_histogram);
OWN(version);

/* A row each: the member, its own function, and the name by which it is looked for. */
#define ROWS(ROW)                                                                                                      \
        ROW(start)                                                                                                     \
        ROW(stop)                                                                                                      \
        ROW(flush)                                                                                                     \
        ROW(dump)                                                                                                      \
        ROW(set_handler)                                                                                               \
        ROW(loop_open)                                                                                                 \
        ROW(loop_close)                                                                                                \
        ROW(wait_begin)                                                                                                \
        ROW(wait_end)                                                                                                  \
        ROW(pause)                                                                                                     \
        ROW(resume)                                                                                                    \
        ROW(set_threshold)                                                                                             \
        ROW(callback_begin)                                                                                            \
        ROW(callback_end)                                                                                              \
        ROW(label)                                                                                                     \
        ROW(section_begin)                                                                                             \
        ROW(section_end)                                                                                               \
        ROW(read_statistics)                                                                                           \
        ROW(read_histogram)                                                                                            \
        ROW(version)

static struct {
#define MEMBER(name) __typeof__(loopdog_##name) *name;
        ROWS(MEMBER)
#undef MEMBER
} now = {
#define MEMBER(name) .name = own_loopdog_##name,
        ROWS(MEMBER)
#undef MEMBER
};

bool api_stands_down(void)
{
        static const struct {
                const char *name;
                void **place;
        } rows[] = {
#define MEMBER(name) { "loopdog_" #name, (void **)&now.name },
                ROWS(MEMBER)
#undef MEMBER
        };
        void *shared = dlopen("libloopdog.so.0", RTLD_LAZY | RTLD_NOLOAD);
        for (size_t i = 0; shared != NULL && i < sizeof rows / sizeof *rows; i++) {
                void *function = dlsym(shared, rows[i].name);
                if (function != NULL) /* else ours, which is off and does nothing */
                        *rows[i].place = function;
        }
        return shared != NULL;
}

EXPORTED const char *loopdog_version(void)
{
        return now.version();
}

EXPORTED int loopdog_start(const struct loopdog_options *options)
{
        return now.start(options);
}

EXPORTED int loopdog_stop(void)
{
        return now.stop();
}

EXPORTED int loopdog_flush(void)
{
        return now.flush();
}

EXPORTED int loopdog_dump(void)
{
        return now.dump();
}

EXPORTED void loopdog_set_handler(loopdog_handler *handler, void *context)
{
        now.set_handler(handler, context);
}

EXPORTED loopdog_loop *loopdog_loop_open(const char *name, const struct loopdog_loop_options *options)
{
        return now.loop_open(name, options);
}

EXPORTED void loopdog_loop_close(loopdog_loop *loop)
{
        now.loop_close(loop);
}

EXPORTED void loopdog_wait_begin(loopdog_loop *loop)
{
        now.wait_begin(loop);
}

EXPORTED void loopdog_wait_end(loopdog_loop *loop)
{
        now.wait_end(loop);
}

EXPORTED void loopdog_pause(loopdog_loop *loop)
{
        now.pause(loop);
}

EXPORTED void loopdog_resume(loopdog_loop *loop)
{
        now.resume(loop);
}

EXPORTED int loopdog_set_threshold(loopdog_loop *loop, uint64_t threshold_ns)
{
        return now.set_threshold(loop, threshold_ns);
}

EXPORTED void loopdog_callback_begin(const char *name, void (*function)(void), const char *object, long number)
{
        now.callback_begin(name, function, object, number);
}

EXPORTED void loopdog_callback_end(void)
{
        now.callback_end();
}

EXPORTED void loopdog_label(const char *key, const char *value)
{
        now.label(key, value);
}

EXPORTED void loopdog_section_begin(uint64_t allowed_ns)
{
        now.section_begin(allowed_ns);
}

EXPORTED void loopdog_section_end(void)
{
        now.section_end();
}

EXPORTED int loopdog_read_statistics(loopdog_loop *loop, struct loopdog_statistics *into)
{
        return now.read_statistics(loop, into);
}

EXPORTED int loopdog_read_histogram(loopdog_loop *loop, struct loopdog_bucket *into, size_t count)
{
        return now.read_histogram(loop, into, count);
}
