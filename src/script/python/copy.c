/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.c - the Python frames of one thread, copied at one moment
 *
 * Frames are a linked list in the heap, and each system call that reads them costs more than what it reads. So the list
 * is walked once before, by the watchdog, and what it has found is read again in one batch when it counts: what has
 * changed in between, at the list's inner end, is followed one by one. The code objects follow in a second batch, the
 * beginnings of their names in a third: code may be freed a microsecond later, and its memory taken by other code.
 *
 * Every read is by process_vm_readv: a list that is just being changed, or is none, must not crash the host.
 *
 * Context: watchdog and signal handler, never both at once: the handler only runs while the watchdog waits for it
 * Limits:  PYTHON_FRAMES; MISSES single reads in the handler
 */
#include "script/python/copy.h"

#include <string.h>

#include "base/memory.h"

#define MISSES 24    /* frames that were not expected, of one copy; some 0.5 us each */
#define WALKS 4      /* before one copy, at most */
#define GAP_MOST 400 /* bytes between two frames that are read in one piece */
#define LOOK_BACK 8  /* frames, for one with the same name or file */
#define LOCALS_BYTES (PYTHON_LOCALS * sizeof(uint64_t))

static struct {
        const struct python_layout *layout;
        uint64_t threads[PYTHON_THREADS];
        unsigned count;
        unsigned misses_allowed;
        /* What the walk before has found. */
        uint64_t expected[PYTHON_FRAMES];
        uint16_t span_of[PYTHON_FRAMES];
        unsigned expected_count;
        struct span {
                uint64_t address;
                uint32_t length, at; /* in fetched.bytes */
        } spans[PYTHON_FRAMES];
        unsigned span_count;
} task;

static struct {
        unsigned pieces[PYTHON_FRAMES]; /* of the batch; its index for each span */
        uint8_t bytes[PYTHON_FRAMES * (PYTHON_FRAME_BYTES + GAP_MOST)];
        uint8_t threads[PYTHON_THREADS][PYTHON_THREAD_BYTES];
        unsigned thread_pieces[PYTHON_THREADS];
        unsigned next; /* expected frame to look at first */
        unsigned misses;
} fetched;

_Static_assert(PYTHON_THREADS + PYTHON_FRAMES <= MEMORY_BATCH && 2 * PYTHON_FRAMES + PYTHON_HEADS < MEMORY_BATCH,
               "one batch each");

static struct memory_batch batch;
static struct python_copy copy;

uint64_t python_word(const uint8_t *bytes, unsigned offset)
{
        uint64_t word;
        memcpy(&word, bytes + offset, sizeof word);
        return word;
}

int32_t python_int(const uint8_t *bytes, unsigned offset)
{
        int32_t value;
        memcpy(&value, bytes + offset, sizeof value);
        return value;
}

/* ---- frames ---- */

static void fetch_expected_sigsafe(void)
{
        memory_batch_clear_sigsafe(&batch);
        for (unsigned i = 0; i < task.count; i++)
                fetched.thread_pieces[i] =
                        memory_batch_add_sigsafe(&batch, task.threads[i], fetched.threads[i], PYTHON_THREAD_BYTES);
        for (unsigned i = 0; i < task.span_count; i++)
                fetched.pieces[i] = memory_batch_add_sigsafe(&batch, task.spans[i].address,
                                                             fetched.bytes + task.spans[i].at, task.spans[i].length);
        memory_batch_read_sigsafe(&batch);
        fetched.next = fetched.misses = 0;
}

/* The frame at `address`: from what was fetched, else read alone. */
static bool get_frame_sigsafe(uint64_t address, uint8_t *bytes)
{
        for (unsigned i = fetched.next; i < task.expected_count; i++) {
                if (task.expected[i] != address)
                        continue;
                fetched.next = i + 1;
                const struct span *span = &task.spans[task.span_of[i]];
                if (!batch.read[fetched.pieces[task.span_of[i]]])
                        break; /* perhaps only another frame of it */
                memcpy(bytes, fetched.bytes + span->at + (address - span->address), PYTHON_FRAME_BYTES);
                return true;
        }
        if (address == 0 || address % 8 != 0 || fetched.misses++ >= task.misses_allowed)
                return false;
        return memory_get_sigsafe(address, bytes, PYTHON_FRAME_BYTES);
}

/* The innermost frame of a thread state, 0: none. */
static uint64_t first_frame_sigsafe(unsigned index, struct python_run *run)
{
        const struct python_layout *layout = task.layout;
        uint64_t pointer = python_word(fetched.threads[index], layout->thread_frame), frame = 0;
        if (!layout->has_cframe)
                return pointer;
        run->cframe = pointer;
        if (pointer == 0 || !memory_get_sigsafe(pointer + layout->cframe_frame, &frame, sizeof frame))
                return 0;
        return frame;
}

static void walk_run_sigsafe(unsigned index)
{
        const struct python_layout *layout = task.layout;
        struct python_run *run = &copy.runs[copy.run_count];
        *run = (struct python_run){ .thread = task.threads[index], .first = copy.count };
        if (!batch.read[fetched.thread_pieces[index]])
                return;
        uint64_t address = first_frame_sigsafe(index, run), landmark = 0;
        for (unsigned steps = 1; address != 0; steps++) {
                struct python_copied *copied = &copy.frames[copy.count];
                bool round = address == landmark; /* the list bites its own tail */
                if (copy.count == PYTHON_FRAMES || round || !get_frame_sigsafe(address, copied->frame)) {
                        run->cut = true;
                        run->broken = copy.count != PYTHON_FRAMES && fetched.misses <= task.misses_allowed;
                        break;
                }
                if ((steps & (steps - 1)) == 0)
                        landmark = address;
                copied->address = address;
                copied->code = python_word(copied->frame, layout->frame_code) & ~3ull; /* 3.14 tags it */
                copied->code_read = false;
                copy.count++;
                address = python_word(copied->frame, layout->frame_previous);
        }
        run->count = copy.count - run->first;
        copy.run_count += run->count != 0 || run->cframe != 0 || run->cut;
}

static void walk_sigsafe(void)
{
        copy.count = copy.run_count = 0;
        fetch_expected_sigsafe();
        for (unsigned i = 0; i < task.count; i++)
                walk_run_sigsafe(i);
}

/* ---- what the frames point at ---- */

/* A function that calls itself is read once. */
static unsigned same_code_before_sigsafe(unsigned index)
{
        unsigned least = index > LOOK_BACK ? index - LOOK_BACK : 0;
        for (unsigned i = index; i-- > least;)
                if (copy.frames[i].code == copy.frames[index].code)
                        return i;
        return index;
}

static void fetch_codes_sigsafe(void)
{
        static uint16_t pieces[PYTHON_FRAMES];
        memory_batch_clear_sigsafe(&batch);
        for (unsigned i = 0; i < copy.count; i++)
                if (same_code_before_sigsafe(i) == i)
                        pieces[i] = (uint16_t)memory_batch_add_sigsafe(&batch, copy.frames[i].code,
                                                                       copy.frames[i].code_bytes, PYTHON_CODE_BYTES);
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < copy.count; i++) {
                unsigned same = same_code_before_sigsafe(i);
                copy.frames[i].code_read = same == i ? batch.read[pieces[i]] : copy.frames[same].code_read;
                if (same != i)
                        memcpy(copy.frames[i].code_bytes, copy.frames[same].code_bytes, PYTHON_CODE_BYTES);
        }
}

static uint64_t pointed_at_sigsafe(unsigned index, uint16_t offset)
{
        return copy.frames[index].code_read ? python_word(copy.frames[index].code_bytes, offset) : 0;
}

static void want_head_sigsafe(struct python_head *head, unsigned index, uint16_t offset)
{
        head->same_as = (uint16_t)index;
        head->piece = (uint16_t)memory_batch_add_sigsafe(&batch, pointed_at_sigsafe(index, offset), head->bytes,
                                                         PYTHON_HEAD_BYTES);
}

/* Frames of one function have one name, and neighbours often one file: each is read once. */
static unsigned same_before_sigsafe(unsigned index, uint16_t offset)
{
        uint64_t address = pointed_at_sigsafe(index, offset);
        unsigned least = index > LOOK_BACK ? index - LOOK_BACK : 0;
        for (unsigned i = index; i-- > least;)
                if (pointed_at_sigsafe(i, offset) == address)
                        return i;
        return index;
}

static void want_heads_sigsafe(unsigned index)
{
        const struct python_layout *layout = task.layout;
        struct python_heads *heads = &copy.heads[index];
        unsigned name = same_before_sigsafe(index, python_name_offset(layout));
        unsigned file = same_before_sigsafe(index, layout->code_file);
        if (name == index)
                want_head_sigsafe(&heads->name, index, python_name_offset(layout));
        heads->name.same_as = (uint16_t)name;
        if (file == index)
                want_head_sigsafe(&heads->file, index, layout->code_file);
        heads->file.same_as = (uint16_t)file;
        if (index < PYTHON_HEADS)
                want_head_sigsafe(&heads->lines, index, layout->code_lines);
}

static void finish_head_sigsafe(struct python_head *head, const struct python_head *same, unsigned index)
{
        if (head->same_as == index) {
                head->read = batch.read[head->piece];
                return;
        }
        head->read = same->read;
        memcpy(head->bytes, same->bytes, sizeof head->bytes);
}

static void fetch_heads_sigsafe(void)
{
        const struct python_layout *layout = task.layout;
        unsigned locals = 0;
        memory_batch_clear_sigsafe(&batch);
        copy.locals_read = false;
        if (copy.count != 0 && layout->frame_locals != PYTHON_NONE) /* the first piece */
                copy.locals_read = memory_batch_add_sigsafe(&batch, copy.frames[0].address + layout->frame_locals,
                                                            copy.locals, LOCALS_BYTES) == locals;
        for (unsigned i = 0; i < copy.count; i++)
                want_heads_sigsafe(i);
        memory_batch_read_sigsafe(&batch);
        copy.locals_read = copy.locals_read && batch.read[locals];
        for (unsigned i = 0; i < copy.count; i++) {
                struct python_heads *heads = &copy.heads[i];
                finish_head_sigsafe(&heads->name, &copy.heads[heads->name.same_as].name, i);
                finish_head_sigsafe(&heads->file, &copy.heads[heads->file.same_as].file, i);
                heads->lines.read = i < PYTHON_HEADS && batch.read[heads->lines.piece];
        }
}

/* ---- public ---- */

/* Does the frame at `address` go with this span? It then begins and ends where both do. */
static bool widen(struct span *span, uint64_t address)
{
        uint64_t low = address < span->address ? address : span->address;
        uint64_t span_end = span->address + span->length, end = address + PYTHON_FRAME_BYTES;
        uint64_t high = end > span_end ? end : span_end;
        if (high - low > span->length + PYTHON_FRAME_BYTES + GAP_MOST)
                return false;
        span->address = low;
        span->length = (uint32_t)(high - low);
        return true;
}

/* From 3.11 on most frames lie next to each other: then they are read in one piece, of which each costs 0.5 us. */
static void expect_frames(void)
{
        uint32_t at = 0;
        task.expected_count = copy.count;
        task.span_count = 0;
        for (unsigned i = 0; i < copy.count; i++) {
                uint64_t address = task.expected[i] = copy.frames[i].address;
                if (task.span_count == 0 || !widen(&task.spans[task.span_count - 1], address))
                        task.spans[task.span_count++] =
                                (struct span){ .address = address, .length = PYTHON_FRAME_BYTES };
                task.span_of[i] = (uint16_t)(task.span_count - 1);
        }
        for (unsigned i = 0; i < task.span_count; i++) {
                task.spans[i].at = at;
                at += task.spans[i].length;
        }
}

/* The list of a running thread may end early while it is being walked. Two walks that agree about its outermost frame
 * are right about its length; each reads in a batch what
 * the one before has found. */
static void walk_before(void)
{
        uint64_t outermost = 0;
        for (unsigned i = 0; i < WALKS; i++) {
                walk_sigsafe();
                expect_frames();
                uint64_t last = copy.count != 0 ? copy.frames[copy.count - 1].address : 0;
                if (i > 0 && last == outermost)
                        return;
                outermost = last;
        }
}

void python_copy_prepare(const struct python_layout *layout, const uint64_t *threads, unsigned count)
{
        static bool touched;
        if (count != 0 && !touched) { /* the handler is not to take page faults */
                memset(&copy, 0, sizeof copy);
                touched = true;
        }
        task.layout = layout;
        task.count = count < PYTHON_THREADS ? count : PYTHON_THREADS;
        memcpy(task.threads, threads, task.count * sizeof *threads);
        task.misses_allowed = PYTHON_FRAMES;
        walk_before();
        task.misses_allowed = MISSES;
}

void python_copy_sigsafe(void)
{
        if (task.count == 0)
                return;
        walk_sigsafe();
        fetch_codes_sigsafe();
        fetch_heads_sigsafe();
}

const struct python_copy *python_copy_get(void)
{
        return &copy;
}
