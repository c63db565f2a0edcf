/* SPDX-License-Identifier: Apache-2.0
 *
 * api.c - the functions of loopdog.h
 *
 * Each takes whatever it is given, asks the loop stage, and says misuse once: a program that was built for its own use
 * must not be harmed by its watchdog. loopdog.h documents them.
 *
 * Context: app threads; errno is kept
 */
#include "api/api.h"

#include <errno.h>
#include <stdint.h>

#include "base/notice.h"
#include "loop/loop.h"
#include "loop/named.h"
#include "loop/said.h"

#define EXPORTED __attribute__((visibility("default")))
#define CALLER_CFA ((uint64_t)(uintptr_t)__builtin_dwarf_cfa())

#define LEAST_THRESHOLD_NS 1000000ull
#define MOST_THRESHOLD_NS 3600000000000ull

static const struct api_calls *calls;

void api_setup(const struct api_calls *with)
{
        calls = with;
}

static uintptr_t handle_of(const loopdog_loop *loop)
{
        return (uintptr_t)loop;
}

static __attribute__((noinline, cold)) void say_misuse(const char *function, enum named_misuse misuse)
{
        switch (misuse) {
        case NAMED_UNKNOWN:
                notice("%s: the loop is not open", function);
                break;
        case NAMED_FOREIGN:
                notice("%s: the loop belongs to another thread", function);
                break;
        case NAMED_NOT_BEGUN:
                notice("%s without loopdog_wait_begin", function);
                break;
        case NAMED_HOOKED:
                notice("%s: the waits of this loop are found by the hooks (LOOPDOG_LOOP_HOOKED)", function);
                break;
        case NAMED_NOT_PAUSED:
                notice("%s without loopdog_pause", function);
                break;
        case NAMED_OK:
                break;
        }
}

static int error_of(enum named_misuse misuse)
{
        return misuse == NAMED_OK ? 0 : -EINVAL;
}

/* ---- the library ---- */

EXPORTED const char *loopdog_version(void)
{
        return LOOPDOG_VERSION;
}

EXPORTED int loopdog_start(const struct loopdog_options *options)
{
        int saved_errno = errno;
        if (calls == NULL || loop_is_watchdog)
                return -EDEADLK;
        /* Whatever a newer header has added behind what is known here is for a newer library. */
        int error = -EINVAL;
        if (options != NULL && options->size < sizeof *options)
                notice("loopdog_start: the options have no size");
        else if (options != NULL)
                error = calls->start(options->settings, options->flags & LOOPDOG_START_IGNORE_ENVIRONMENT);
        else
                error = calls->start(NULL, false);
        errno = saved_errno;
        return error;
}

EXPORTED int loopdog_stop(void)
{
        int saved_errno = errno;
        int error = calls == NULL || loop_is_watchdog ? -EDEADLK : calls->stop();
        errno = saved_errno;
        return error;
}

EXPORTED int loopdog_flush(void)
{
        int saved_errno = errno;
        int error = calls == NULL || loop_is_watchdog ? -EDEADLK : calls->flush();
        errno = saved_errno;
        return error;
}

EXPORTED int loopdog_dump(void)
{
        int saved_errno = errno;
        int error = calls == NULL || loop_is_watchdog ? -EDEADLK : calls->dump();
        errno = saved_errno;
        return error;
}

EXPORTED void loopdog_set_handler(loopdog_handler *handler, void *context)
{
        if (calls != NULL)
                calls->set_handler(handler, context);
}

/* ---- loops ---- */

static bool is_threshold(uint64_t threshold_ns)
{
        return threshold_ns == 0 || (threshold_ns >= LEAST_THRESHOLD_NS && threshold_ns <= MOST_THRESHOLD_NS);
}

EXPORTED loopdog_loop *loopdog_loop_open(const char *name, const struct loopdog_loop_options *options)
{
        if (!loop_is_set_up())
                return NULL;
        bool given = options != NULL && options->size >= sizeof *options;
        if (options != NULL && !given)
                notice("loopdog_loop_open: the options have no size");
        uint64_t threshold_ns = given ? options->threshold_ns : 0;
        if (!is_threshold(threshold_ns)) {
                notice("loopdog_loop_open: a threshold is 1 ms to 1 h");
                threshold_ns = 0;
        }
        uintptr_t handle = named_open(name, threshold_ns, given && options->flags & LOOPDOG_LOOP_HOOKED);
        if (handle == 0)
                notice("loopdog_loop_open: %d loops are open", LIMIT_NAMED);
        return (loopdog_loop *)handle;
}

EXPORTED void loopdog_loop_close(loopdog_loop *loop)
{
        if (loop != NULL)
                say_misuse("loopdog_loop_close", named_close(handle_of(loop)));
}

EXPORTED void loopdog_wait_begin(loopdog_loop *loop)
{
        if (loop == NULL || !loop_is_on())
                return;
        enum named_misuse misuse = named_wait_begin(handle_of(loop), CALLER_CFA);
        if (__builtin_expect(misuse != NAMED_OK, 0))
                say_misuse("loopdog_wait_begin", misuse);
}

EXPORTED void loopdog_wait_end(loopdog_loop *loop)
{
        if (loop == NULL || !loop_is_on())
                return;
        enum named_misuse misuse = named_wait_end(handle_of(loop));
        if (__builtin_expect(misuse != NAMED_OK, 0))
                say_misuse("loopdog_wait_end", misuse);
}

EXPORTED void loopdog_pause(loopdog_loop *loop)
{
        if (loop_is_on())
                say_misuse("loopdog_pause", named_pause(handle_of(loop)));
}

EXPORTED void loopdog_resume(loopdog_loop *loop)
{
        if (loop_is_on())
                say_misuse("loopdog_resume", named_resume(handle_of(loop)));
}

EXPORTED int loopdog_set_threshold(loopdog_loop *loop, uint64_t threshold_ns)
{
        if (!is_threshold(threshold_ns))
                return -EINVAL;
        return error_of(named_set_threshold(handle_of(loop), threshold_ns));
}

/* ---- the work of this thread's loop ---- */

EXPORTED void loopdog_callback_begin(const char *name, void (*function)(void), const char *object, long number)
{
        if (!loop_is_on())
                said_callback_unseen();
        else if (!said_callback_begin(name, (uint64_t)(uintptr_t)function, object, number))
                notice("loopdog_callback_begin: more than %d within each other; an end is missing?", LIMIT_CALLBACKS);
}

EXPORTED void loopdog_callback_end(void)
{
        if (!said_callback_end() && loop_is_on())
                notice("loopdog_callback_end without loopdog_callback_begin");
}

EXPORTED void loopdog_label(const char *key, const char *value)
{
        if (loop_is_on())
                said_label(key, value);
}

EXPORTED void loopdog_section_begin(uint64_t allowed_ns)
{
        if (loop_is_on() && !said_section_begin(allowed_ns < MOST_THRESHOLD_NS ? allowed_ns : MOST_THRESHOLD_NS))
                notice("loopdog_section_begin: more than %d within each other; an end is missing?", LIMIT_SECTIONS);
}

EXPORTED void loopdog_section_end(void)
{
        if (loop_is_on() && !said_section_end())
                notice("loopdog_section_end without loopdog_section_begin");
}
