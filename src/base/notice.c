/* SPDX-License-Identifier: Apache-2.0
 *
 * notice.c - things that are said once
 *
 * A set without a lock: a slot belongs to the text whose hash was stored into it first by compare-and-swap, so two
 * threads that note the same at the same time can't both get one. The text becomes visible by a flag once it is whole;
 * readers see the slots up to the first that is not, so that an index means the same note for ever.
 *
 * Context: everywhere but the signal handler; takes no lock
 * Limits:  LIMIT_NOTICES of LIMIT_NOTICE_BYTES; further ones are counted
 */
#include "base/notice.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"

static struct slot {
        _Atomic uint64_t hash; /* 0: free */
        _Atomic bool ready;
        char bytes[LIMIT_NOTICE_BYTES];
} slots[LIMIT_NOTICES];

static _Atomic size_t lost;

static uint64_t hash_of(const char *string)
{
        uint64_t hash = hash_string(HASH_BEGIN, string);
        return hash ? hash : 1;
}

/* The slot that now belongs to the caller, or NULL where the text is noted already or there is no room. */
static struct slot *claim(uint64_t hash)
{
        for (size_t i = 0; i < LIMIT_NOTICES; i++) {
                uint64_t found = 0;
                if (atomic_compare_exchange_strong(&slots[i].hash, &found, hash))
                        return &slots[i];
                if (found == hash)
                        return NULL;
        }
        atomic_fetch_add(&lost, 1);
        return NULL;
}

void notice(const char *format, ...)
{
        char raw_bytes[LIMIT_NOTICE_BYTES];
        struct text raw = TEXT_IN(raw_bytes);
        va_list arguments;
        va_start(arguments, format);
        text_vformat(&raw, format, arguments);
        va_end(arguments);
        if (raw.length == 0)
                return;

        struct slot *slot = claim(hash_of(raw.bytes));
        if (!slot)
                return;
        struct text line = TEXT_IN(slot->bytes);
        text_printable(&line, raw.bytes); /* paths and values come from strangers and end up on a terminal */
        atomic_store_explicit(&slot->ready, true, memory_order_release);
}

size_t notice_count(void)
{
        size_t count = 0;
        while (count < LIMIT_NOTICES && atomic_load_explicit(&slots[count].ready, memory_order_acquire))
                count++;
        return count;
}

const char *notice_get(size_t index)
{
        return index < notice_count() ? slots[index].bytes : NULL;
}

size_t notice_lost(void)
{
        return atomic_load(&lost);
}
