/* SPDX-License-Identifier: Apache-2.0
 *
 * said.c - what a program says of its own work: callbacks, labels, sections
 *
 * Context: the loop's thread, and the watchdog where a function says so. No system call but to map a table, and for the
 * watchdog's reading of names, which may not be there any more.
 */
#include "loop/said.h"

#include <string.h>

#include "base/memory.h"
#include "base/table.h"
#include "loop/loop.h"

/* A callback that runs. */
struct callback {
        const char *name;
        const char *object;
        uint64_t function;
        int64_t number;
        uint64_t begin_ns;
        uint32_t labels_count; /* when it began: those set later end with it */
};

struct section {
        uint64_t mark; /* the iteration in which it began */
        uint64_t begin_ns;
        uint64_t limit_ns;  /* of its own, and what sections within it have allowed */
        uint64_t before_ns; /* allowed in the iteration before it began */
};

struct said {
        _Atomic uint32_t sequence; /* odd while the thread writes */
        _Atomic bool used;
        uint64_t mark; /* of the iteration that `work` and the labels belong to */
        uint32_t depth;
        uint32_t labels_count;
        uint64_t labelled_ns; /* when the labels became what they are */
        struct callback callbacks[LIMIT_CALLBACKS];
        struct work_label labels[LIMIT_LABELS];
        struct work work; /* of callbacks and labels that have ended */
        uint32_t sections_count;
        struct section sections[LIMIT_SECTIONS];
        _Atomic uint32_t kept_count;
        struct work kept[LIMIT_SAID];
};

static struct table all = { sizeof(struct said), TABLE_ROWS, { NULL } };
static _Atomic bool lacks_memory;

/* Callbacks that began before this thread had a slot: their ends are no misuse. */
static __thread uint32_t unseen_here;

/* NULL: nothing was ever said of it, or its neighbours. */
static struct said *said_of(const struct slot *slot)
{
        return table_row(&all, slot_index(slot));
}

/* The loop's thread is about to say something. NULL: there is no memory for it, and an end of it is no misuse. */
static struct said *begin_to_say(const struct slot *slot)
{
        struct said *said = table_reach(&all, slot_index(slot));
        if (__builtin_expect(said != NULL, 1))
                atomic_store_explicit(&said->used, true, memory_order_relaxed);
        else
                atomic_store_explicit(&lacks_memory, true, memory_order_relaxed);
        return said;
}

static bool is_used(const struct said *said)
{
        return said != NULL && atomic_load_explicit(&said->used, memory_order_relaxed);
}

static void copy_string(char *into, size_t capacity, const char *string)
{
        size_t length = string != NULL ? strnlen(string, capacity) : 0;
        if (length >= capacity)
                for (length = capacity - 1; length > 0 && ((unsigned char)string[length] & 0xc0) == 0x80;)
                        length--; /* not within a character */
        if (length != 0)
                memcpy(into, string, length);
        into[length] = '\0';
}

/* ---- writing ---- */

static void begin_write(struct said *said)
{
        uint32_t sequence = atomic_load_explicit(&said->sequence, memory_order_relaxed);
        atomic_store_explicit(&said->sequence, sequence + 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
}

static void end_write(struct said *said)
{
        uint32_t sequence = atomic_load_explicit(&said->sequence, memory_order_relaxed);
        atomic_store_explicit(&said->sequence, sequence + 1, memory_order_release);
}

/* What was said belongs to the iteration in which it was: labels end with it. */
static void follow_iteration(struct said *said, const struct slot *slot)
{
        uint64_t mark = atomic_load_explicit(&slot->mark, memory_order_relaxed);
        if (__builtin_expect(said->mark == mark, 1))
                return;
        said->mark = mark;
        said->labels_count = 0;
        said->work.callbacks = 0;
        said->work.callback_ns = 0;
        said->work.labels_ns = 0;
        said->work.labels_count = 0;
        for (uint32_t i = 0; i < said->depth && i < LIMIT_CALLBACKS; i++)
                said->callbacks[i].labels_count = 0; /* they span a wait */
}

static uint64_t since_ns(uint64_t begin_ns, uint64_t mark, uint64_t now_ns)
{
        uint64_t from_ns = begin_ns > MARK_NS(mark) ? begin_ns : MARK_NS(mark);
        return now_ns > from_ns ? now_ns - from_ns : 0;
}

/* These labels have been set longer than any others of the iteration. */
static void note_labels(struct said *said, struct work *work, uint64_t now_ns)
{
        uint64_t set_ns = said->labels_count != 0 ? since_ns(said->labelled_ns, said->mark, now_ns) : 0;
        if (set_ns < SAID_LEAST_NS || set_ns <= work->labels_ns)
                return;
        work->labels_ns = set_ns;
        work->labels_count = said->labels_count;
        memcpy(work->labels, said->labels, said->labels_count * sizeof *said->labels);
}

/* Of callbacks within each other the inner one is to blame, unless the outer one took as long again by itself. */
static bool takes_longest(const struct work *work, const struct callback *callback, uint64_t took_ns)
{
        bool within = work->callback_ns != 0 && work->begin_ns >= callback->begin_ns;
        return took_ns >= SAID_LEAST_NS && took_ns > (within ? 2 : 1) * work->callback_ns;
}

static void note_callback(struct work *work, const struct callback *callback, uint64_t mark, uint64_t took_ns)
{
        work->callback_ns = took_ns;
        work->begin_ns = callback->begin_ns > MARK_NS(mark) ? callback->begin_ns : MARK_NS(mark);
        work->function = callback->function;
        work->number = callback->number;
        copy_string(work->name, sizeof work->name, callback->name);
        copy_string(work->object, sizeof work->object, callback->object);
}

bool said_callback_begin(const char *name, uint64_t function, const char *object, int64_t number)
{
        struct slot *slot = loop_slot_here;
        if (__builtin_expect(slot == NULL, 0)) {
                unseen_here++;
                return true;
        }
        struct said *said = begin_to_say(slot);
        if (__builtin_expect(said == NULL, 0)) {
                unseen_here++;
                return true;
        }
        begin_write(said);
        follow_iteration(said, slot);
        said->work.callbacks++;
        uint32_t depth = said->depth++;
        if (depth < LIMIT_CALLBACKS)
                said->callbacks[depth] = (struct callback){ .name = name,
                                                            .object = object,
                                                            .function = function,
                                                            .number = number,
                                                            .begin_ns = clock_now_ns(),
                                                            .labels_count = said->labels_count };
        end_write(said);
        return depth < LIMIT_CALLBACKS;
}

void said_callback_unseen(void)
{
        unseen_here++;
}

/* The callback that ended took long enough to be remembered. */
static void end_long_callback(struct said *said, const struct callback *callback, uint64_t now_ns)
{
        uint64_t took_ns = since_ns(callback->begin_ns, said->mark, now_ns);
        if (takes_longest(&said->work, callback, took_ns))
                note_callback(&said->work, callback, said->mark, took_ns);
        note_labels(said, &said->work, now_ns);
}

bool said_callback_end(void)
{
        struct slot *slot = loop_slot_here;
        if (__builtin_expect(unseen_here != 0, 0)) {
                unseen_here--;
                return true;
        }
        if (__builtin_expect(slot == NULL, 0))
                return false;
        struct said *said = said_of(slot);
        if (said == NULL || said->depth == 0)
                return false;
        uint32_t depth = said->depth - 1;
        begin_write(said);
        follow_iteration(said, slot);
        if (depth < LIMIT_CALLBACKS) {
                const struct callback *callback = &said->callbacks[depth];
                uint64_t now_ns = clock_now_ns();
                if (__builtin_expect(now_ns - callback->begin_ns >= SAID_LEAST_NS, 0))
                        end_long_callback(said, callback, now_ns);
                if (__builtin_expect(said->labels_count != callback->labels_count, 0)) {
                        said->labels_count = callback->labels_count;
                        said->labelled_ns = now_ns;
                }
        }
        said->depth = depth;
        end_write(said);
        return true;
}

/* ---- labels ---- */

static uint32_t find_label(const struct said *said, const char *key)
{
        uint32_t i = 0;
        while (i < said->labels_count && strncmp(said->labels[i].key, key, LIMIT_LABEL_KEY - 1) != 0)
                i++;
        return i;
}

static void remove_label(struct said *said, uint32_t index)
{
        if (index >= said->labels_count)
                return;
        said->labels_count--;
        memmove(&said->labels[index], &said->labels[index + 1], (said->labels_count - index) * sizeof *said->labels);
        for (uint32_t i = 0; i < said->depth && i < LIMIT_CALLBACKS; i++)
                if (said->callbacks[i].labels_count > index)
                        said->callbacks[i].labels_count--;
}

void said_label(const char *key, const char *value)
{
        struct slot *slot = loop_slot_here;
        if (slot == NULL || key == NULL || *key == '\0')
                return;
        struct said *said = begin_to_say(slot);
        uint64_t now_ns = clock_now_ns();
        if (said == NULL)
                return;
        begin_write(said);
        follow_iteration(said, slot);
        note_labels(said, &said->work, now_ns); /* as they were until now */
        uint32_t index = find_label(said, key);
        if (value == NULL || *value == '\0') {
                remove_label(said, index);
        } else if (index < LIMIT_LABELS) {
                copy_string(said->labels[index].key, LIMIT_LABEL_KEY, key);
                copy_string(said->labels[index].value, LIMIT_LABEL_VALUE, value);
                if (index == said->labels_count)
                        said->labels_count++;
        }
        said->labelled_ns = now_ns;
        end_write(said);
}

/* ---- sections ---- */

static uint64_t allowed_ns(const struct slot *slot, uint64_t mark)
{
        bool here = atomic_load_explicit(&slot->allowed_mark, memory_order_acquire) == mark;
        return here ? atomic_load_explicit(&slot->allowed_ns, memory_order_relaxed) : 0;
}

static void allow(struct slot *slot, uint64_t mark, uint64_t allowed)
{
        atomic_store_explicit(&slot->allowed_ns, allowed, memory_order_relaxed);
        atomic_store_explicit(&slot->allowed_mark, mark, memory_order_release);
}

uint64_t said_limit_ns(const struct slot *slot, uint64_t mark)
{
        uint64_t threshold_ns = atomic_load_explicit(&slot->threshold_ns, memory_order_relaxed);
        uint64_t more_ns = allowed_ns(slot, mark);
        return threshold_ns < UINT64_MAX - more_ns ? threshold_ns + more_ns : UINT64_MAX;
}

bool said_section_begin(uint64_t section_ns)
{
        struct slot *slot = loop_slot_here;
        if (slot == NULL)
                return true;
        struct said *said = begin_to_say(slot);
        uint64_t mark = atomic_load_explicit(&slot->mark, memory_order_relaxed);
        if (said == NULL)
                return true;
        uint32_t index = said->sections_count++;
        if (index >= LIMIT_SECTIONS)
                return false;
        said->sections[index] = (struct section){
                .mark = mark, .begin_ns = clock_now_ns(), .limit_ns = section_ns, .before_ns = allowed_ns(slot, mark)
        };
        allow(slot, mark, said->sections[index].before_ns + section_ns);
        return true;
}

bool said_section_end(void)
{
        struct slot *slot = loop_slot_here;
        struct said *said = slot != NULL ? said_of(slot) : NULL;
        if (said == NULL || said->sections_count == 0)
                return slot == NULL || atomic_load_explicit(&lacks_memory, memory_order_relaxed);
        uint32_t index = --said->sections_count;
        if (index >= LIMIT_SECTIONS)
                return true;
        struct section *section = &said->sections[index];
        uint64_t mark = atomic_load_explicit(&slot->mark, memory_order_relaxed);
        if (section->mark != mark) /* a wait has ended what it allowed */
                return true;
        uint64_t used_ns = since_ns(section->begin_ns, mark, clock_now_ns());
        used_ns = used_ns < section->limit_ns ? used_ns : section->limit_ns;
        allow(slot, mark, section->before_ns + used_ns);
        if (index > 0 && section[-1].mark == mark) /* the section around it need not pay for this one */
                section[-1].limit_ns += used_ns;
        return true;
}

/* ---- iterations ---- */

void said_forget(struct slot *slot)
{
        struct said *said = said_of(slot);
        if (!is_used(said))
                return;
        begin_write(said);
        said->mark = 0;
        said->depth = said->labels_count = said->sections_count = 0;
        end_write(said);
        atomic_store_explicit(&said->used, false, memory_order_relaxed);
}

/* What is known at `now_ns` of an iteration, in a copy of what the thread keeps. */
static bool sum_up(struct said *said, uint64_t mark, uint64_t now_ns, struct work *into)
{
        if (said->mark != mark) {
                /* Nothing was said in this iteration, which may be within a callback that began before. */
                into->callbacks = into->labels_count = 0;
                into->callback_ns = into->labels_ns = 0;
                said->mark = mark;
                said->labels_count = 0;
        }
        uint32_t depth = said->depth < LIMIT_CALLBACKS ? said->depth : LIMIT_CALLBACKS;
        const struct callback *open = depth > 0 ? &said->callbacks[depth - 1] : NULL;
        uint64_t took_ns = open != NULL ? since_ns(open->begin_ns, mark, now_ns) : 0;
        if (open != NULL && takes_longest(into, open, took_ns))
                note_callback(into, open, mark, took_ns);
        note_labels(said, into, now_ns);
        return into->callback_ns != 0 || into->labels_count != 0 || into->callbacks != 0;
}

uint32_t said_keep(struct slot *slot, uint64_t mark, uint64_t now_ns)
{
        struct said *said = said_of(slot);
        if (!is_used(said))
                return 0;
        begin_write(said);
        uint32_t number = atomic_load_explicit(&said->kept_count, memory_order_relaxed) + 1;
        struct work *work = &said->kept[number % LIMIT_SAID];
        *work = said->work;
        bool known = sum_up(said, mark, now_ns, work);
        if (known)
                atomic_store_explicit(&said->kept_count, number, memory_order_relaxed);
        end_write(said);
        return known ? number : 0;
}

/* ---- watchdog ---- */

/* Pieces of memory that another thread may be writing; what is torn is thrown away. Through the kernel, which also
 * keeps the tools that look for races quiet. */
static bool copy_whole(const struct said *said, const void *from, void *into, size_t length)
{
        for (int attempt = 0; attempt < 3; attempt++) {
                uint32_t before = atomic_load_explicit(&said->sequence, memory_order_acquire);
                if (before % 2 != 0 || !memory_get_sigsafe((uint64_t)(uintptr_t)from, into, length))
                        continue;
                atomic_thread_fence(memory_order_acquire);
                if (atomic_load_explicit(&said->sequence, memory_order_relaxed) == before)
                        return true;
        }
        return false;
}

bool said_read_kept(const struct slot *slot, uint32_t number, struct work *into)
{
        const struct said *said = said_of(slot);
        return number != 0 && said != NULL && copy_whole(said, &said->kept[number % LIMIT_SAID], into, sizeof *into) &&
               atomic_load(&said->kept_count) - number < LIMIT_SAID;
}

/* A name that the program promised to keep while the callback runs. It may have broken its word. */
static const char *fetch_name(char *bytes, size_t capacity, const char *name)
{
        ssize_t length = name != NULL ? memory_read_sigsafe((uint64_t)(uintptr_t)name, bytes, capacity - 1) : 0;
        bytes[length > 0 ? length : 0] = '\0';
        return bytes;
}

/* All that is said of the iteration, with the names of the innermost callback. NULL: it is not known, or is over. */
static struct said *copy_said(const struct slot *slot, uint64_t mark)
{
        static struct said copy;
        static char name[LIMIT_SAID_NAME], object[LIMIT_SAID_NAME];
        const struct said *said = said_of(slot);
        if (!is_used(said) || !copy_whole(said, said, &copy, offsetof(struct said, kept_count)))
                return NULL;
        if (copy.depth > 0 && copy.depth <= LIMIT_CALLBACKS) {
                struct callback *open = &copy.callbacks[copy.depth - 1];
                open->name = fetch_name(name, sizeof name, open->name);
                open->object = fetch_name(object, sizeof object, open->object);
        }
        return atomic_load(&slot->mark) == mark ? &copy : NULL;
}

bool said_read_now(const struct slot *slot, uint64_t mark, uint64_t now_ns, struct work *into)
{
        struct said *copy = copy_said(slot, mark);
        if (copy == NULL)
                return false;
        *into = copy->work;
        return sum_up(copy, mark, now_ns, into);
}

bool said_read_present(const struct slot *slot, uint64_t mark, uint64_t now_ns, struct work *into)
{
        struct said *copy = copy_said(slot, mark);
        if (copy == NULL)
                return false;
        bool here = copy->mark == mark;
        *into = (struct work){ .callbacks = here ? copy->work.callbacks : 0,
                               .labels_count = here ? copy->labels_count : 0,
                               .labels_ns = now_ns - MARK_NS(mark) };
        memcpy(into->labels, copy->labels, into->labels_count * sizeof *copy->labels);
        if (copy->depth > 0 && copy->depth <= LIMIT_CALLBACKS) {
                const struct callback *open = &copy->callbacks[copy->depth - 1];
                uint64_t took_ns = since_ns(open->begin_ns, mark, now_ns);
                note_callback(into, open, mark, took_ns != 0 ? took_ns : 1);
        }
        return true;
}

void said_after_fork(void)
{
        uint32_t count = slots_used();
        unseen_here = 0;
        for (uint32_t i = 0; i < count; i++)
                said_forget(slot_at(i));
}
