/* SPDX-License-Identifier: Apache-2.0
 *
 * asked.c - what a program asks of the agent as a whole: to start, stop, flush and dump
 *
 * Beside the stages as agent.c is, because it touches several. What concerns one loop goes the stages' way (api/).
 *
 * Context: app threads; asked_setup() in the constructor, asked_dump() on the watchdog
 */
#include "asked.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "api/api.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/notice.h"
#include "base/text.h"
#include "loop/loop.h"
#include "told.h"
#include "watch/watchdog.h"

static void (*use)(void); /* the settings */

static struct {
        _Atomic bool wanted;
        _Atomic int loops; /* in the last one */
        uint64_t count;
} dumps;

/* The environment's first, for the first of two equal names counts: who runs a program knows better than it. */
static int load_settings(const char *const *settings, bool ignore_environment)
{
        const char *list[LIMIT_SETTINGS + 1] = { NULL };
        size_t count = 0;
        for (char *const *entry = environ; !ignore_environment && entry != NULL && *entry != NULL; entry++)
                if (strncmp(*entry, "LOOPDOG_", 8) == 0 && count < LIMIT_SETTINGS / 2)
                        list[count++] = *entry;
        for (; *settings != NULL && count < LIMIT_SETTINGS; settings++) {
                char name[64], complaint[LIMIT_NOTICE_BYTES];
                const char *equals = strchr(*settings, '=');
                struct text text = TEXT_IN(name);
                text_bytes(&text, *settings, equals != NULL ? (size_t)(equals - *settings) : strlen(*settings));
                if (config_check(name, equals != NULL ? equals + 1 : "", complaint, sizeof complaint) != 0) {
                        notice("loopdog_start: %s", complaint);
                        return -EINVAL;
                }
                list[count++] = *settings;
        }
        config_load(&config, (char *const *)list);
        return 0;
}

/* What the loops did while nobody watched is not told. */
static void forget_past(void)
{
        struct slot_ended ended;
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++) {
                loop_mark_left(slot_at(i), atomic_load(&slot_at(i)->mark));
                while (loop_take_ended(slot_at(i), &ended))
                        ;
                atomic_store(&slot_at(i)->ring_lost, 0);
        }
        if (count != 0)
                atomic_store(&loop_attention, LOOP_STOPPED); /* the next own wait starts the watchdog */
}

static int api_start(const char *const *settings, bool ignore_environment)
{
        static const char *const none[] = { NULL };
        if (watchdog_tid() != 0)
                return settings == NULL ? 0 : -EALREADY;
        int error = load_settings(settings != NULL ? settings : none, ignore_environment);
        if (error != 0)
                return error;
        bool was_off = !loop_is_on();
        use();
        account_end_reason("exit");
        if (was_off)
                forget_past();
        return 0;
}

static int api_stop(void)
{
        loop_turn_off();
        account_end_reason("stop");
        int error = watchdog_stop(true, LIMIT_PATIENCE_NS);
        return error == -ESRCH ? 0 : error;
}

static int api_flush(void)
{
        return watchdog_ask(LIMIT_PATIENCE_NS);
}

/* ---- dump ---- */

void asked_dump(bool (*dump_loop)(struct slot *slot, uint64_t id))
{
        uint32_t count = slots_used(), i = 0;
        uint64_t end_ns = clock_monotonic_ns() + LIMIT_DUMP_NS;
        int loops = 0;
        if (!atomic_exchange(&dumps.wanted, false))
                return;
        for (; i < count && clock_monotonic_ns() < end_ns; i++)
                if (atomic_load(&slot_at(i)->state) == SLOT_LOOP && atomic_load(&slot_at(i)->mark) != 0)
                        loops += dump_loop(slot_at(i), dumps.count + 1);
        if (i < count) /* they are not watched meanwhile */
                notice("loopdog_dump: so many loops that some were left out, after %d ms",
                       (int)(LIMIT_DUMP_NS / 1000000));
        dumps.count += loops != 0;
        atomic_store(&dumps.loops, loops);
}

void asked_after_fork(void)
{
        dumps.count = 0;
        atomic_store(&dumps.wanted, false);
}

/* Where several ask at the same time, one dump may serve them all: it was taken after each of them asked. */
static int api_dump(void)
{
        atomic_store(&dumps.wanted, true);
        int error = watchdog_ask(LIMIT_PATIENCE_NS);
        if (error == -ESRCH)
                atomic_store(&dumps.wanted, false);
        return error != 0 ? error : atomic_load(&dumps.loops);
}

static const struct api_calls api_calls = {
        .start = api_start,
        .stop = api_stop,
        .flush = api_flush,
        .dump = api_dump,
        .set_handler = told_set_handler,
};

void asked_setup(void (*use_settings)(void))
{
        use = use_settings;
        api_setup(&api_calls);
}
