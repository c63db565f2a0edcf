/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.c - the Python frames of one thread, copied at one moment
 *
 * Frames are a linked list in the heap, and each system call that reads them costs more than what it reads. So the list
 * is walked once before, by the watchdog, and what it has found is read again in one batch when it counts: what has
 * changed in between, at the list's inner end, is followed one by one. The code objects follow in a second batch, the
 * beginnings of their names in a third: code may be freed a microsecond later, and its memory taken by other code.
 * Nothing is moved once it is read: the memory that the watchdog has just written is slow to reach for the handler.
 *
 * Every read is by process_vm_readv: a list that is just being changed, or is none, must not crash the host.
 *
 * Context: watchdog and signal handler, never both at once: the handler only runs while the watchdog waits for it
 * Limits:  PYTHON_FRAMES, LINKS; MISSES single reads in the handler
 */
#include "script/python/copy.h"

#include <string.h>

#include "base/memory.h"

#define MISSES 24                 /* frames that were not expected, of one copy; some 0.5 us each */
#define WALKS 4                   /* before one copy, at most */
#define GAP_MOST 400              /* bytes between two frames that are read in one piece */
#define LOOK_BACK 8               /* frames, for one with the same code, name or file */
#define LINKS (2 * PYTHON_FRAMES) /* of the lists: with `-X perf` each frame is followed by a shim */
#define SHORT_PIECES 8            /* of one copy, that end before they were expected to */
#define LOCALS_BYTES (PYTHON_LOCALS * sizeof(uint64_t))

static struct {
        const struct python_layout *layout;
        uint64_t threads[PYTHON_THREADS];
        unsigned count;
        unsigned misses_allowed;
        /* What the walk before has found. */
        uint64_t expected[LINKS];
        uint16_t span_of[LINKS];
        unsigned expected_count;
        struct span {
                uint64_t address;
                uint32_t length;
        } spans[LINKS];
        unsigned span_count;
} task;

static struct {
        const uint8_t *spans[LINKS];
        const uint8_t *threads[PYTHON_THREADS];
        unsigned next; /* expected frame to look at first */
        unsigned misses;
} fetched;

/* What the copy points into. */
static struct {
        uint8_t frames[PYTHON_FRAMES * (PYTHON_FRAME_BYTES + GAP_MOST) + PYTHON_THREADS * PYTHON_THREAD_BYTES];
        uint8_t unexpected[LINKS][PYTHON_FRAME_BYTES];
        uint8_t codes[PYTHON_FRAMES * PYTHON_CODE_BYTES];
        uint8_t heads[LOCALS_BYTES + (2 * PYTHON_FRAMES + PYTHON_TABLES) * PYTHON_HEAD_BYTES]
                __attribute__((aligned(sizeof(uint64_t))));
} bytes;

_Static_assert(PYTHON_THREADS + LINKS <= MEMORY_BATCH && 1 + 2 * PYTHON_FRAMES + PYTHON_TABLES <= MEMORY_BATCH,
               "one batch each");

static struct memory_batch batch;
static struct python_copy copy;
static uint64_t links[LINKS]; /* the addresses of all frames that were walked, shims included */
static unsigned link_count;

uint64_t python_word(const uint8_t *object, unsigned offset)
{
        uint64_t word;
        memcpy(&word, object + offset, sizeof word);
        return word;
}

int32_t python_int(const uint8_t *object, unsigned offset)
{
        int32_t value;
        memcpy(&value, object + offset, sizeof value);
        return value;
}

/* ---- frames ---- */

static void fetch_expected_sigsafe(void)
{
        unsigned thread_pieces[PYTHON_THREADS], span_pieces[LINKS];
        memory_batch_begin_sigsafe(&batch, bytes.frames, sizeof bytes.frames);
        for (unsigned i = 0; i < task.count; i++)
                thread_pieces[i] = memory_batch_add_sigsafe(&batch, task.threads[i], PYTHON_THREAD_BYTES);
        for (unsigned i = 0; i < task.span_count; i++)
                span_pieces[i] = memory_batch_add_sigsafe(&batch, task.spans[i].address, task.spans[i].length);
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < task.count; i++)
                fetched.threads[i] = memory_batch_piece_sigsafe(&batch, thread_pieces[i]);
        for (unsigned i = 0; i < task.span_count; i++)
                fetched.spans[i] = memory_batch_piece_sigsafe(&batch, span_pieces[i]);
        fetched.next = fetched.misses = 0;
}

/* The frame at `address`: from what was fetched, else read alone. NULL: it can't be read. */
static const uint8_t *get_frame_sigsafe(uint64_t address)
{
        for (unsigned i = fetched.next; i < task.expected_count; i++) {
                if (task.expected[i] != address)
                        continue;
                fetched.next = i + 1;
                const uint8_t *span = fetched.spans[task.span_of[i]];
                if (span == NULL)
                        break; /* perhaps only another frame of it */
                return span + (address - task.spans[task.span_of[i]].address);
        }
        if (address == 0 || address % 8 != 0 || fetched.misses++ >= task.misses_allowed)
                return NULL;
        uint8_t *unexpected = bytes.unexpected[fetched.misses - 1];
        return memory_get_sigsafe(address, unexpected, PYTHON_FRAME_BYTES) ? unexpected : NULL;
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

/* The interpreter's own frames: a shim between two of its activations. */
static bool is_shim_sigsafe(const struct python_layout *layout, const uint8_t *frame)
{
        return layout->frames == PYTHON_SHIMS && frame[layout->frame_end] >= PYTHON_SHIM_OWNER;
}

/* A frame of a script, or the shim that ends the activation of the one before. False: there is no room for it. */
static bool add_frame_sigsafe(struct python_run *run, uint64_t address, const uint8_t *frame)
{
        bool shim = is_shim_sigsafe(task.layout, frame);
        if (!shim && copy.count == PYTHON_FRAMES)
                return false;
        links[link_count++] = address;
        if (!shim)
                copy.frames[copy.count++] = (struct python_copied){
                        .address = address,
                        .frame = frame,
                        .code = python_word(frame, task.layout->frame_code) & ~3ull, /* 3.14 tags it */
                };
        else if (copy.count > run->first && copy.frames[copy.count - 1].shim == 0)
                copy.frames[copy.count - 1].shim = address;
        run->shims = run->shims || shim;
        return true;
}

static void walk_run_sigsafe(unsigned index)
{
        const struct python_layout *layout = task.layout;
        struct python_run *run = &copy.runs[copy.run_count];
        *run = (struct python_run){ .thread = task.threads[index], .first = copy.count };
        if (fetched.threads[index] == NULL)
                return;
        uint64_t address = first_frame_sigsafe(index, run), landmark = 0;
        for (unsigned steps = 1; address != 0; steps++) {
                bool room = link_count < LINKS, round = address == landmark; /* the list bites its own tail */
                const uint8_t *frame = room && !round ? get_frame_sigsafe(address) : NULL;
                if (frame == NULL || !add_frame_sigsafe(run, address, frame)) {
                        run->cut = true;
                        run->broken = frame == NULL && room && fetched.misses <= task.misses_allowed;
                        break;
                }
                if ((steps & (steps - 1)) == 0)
                        landmark = address;
                address = python_word(frame, layout->frame_previous);
        }
        run->count = copy.count - run->first;
        copy.run_count += run->count != 0 || run->cframe != 0 || run->shims || run->cut;
}

static void walk_sigsafe(void)
{
        copy.count = copy.run_count = link_count = 0;
        fetch_expected_sigsafe();
        for (unsigned i = 0; i < task.count; i++)
                walk_run_sigsafe(i);
}

/* ---- what the frames lead to ---- */

/* The same field of all frames: what it points at, and the piece of the batch that is a copy of that. */
struct wanted {
        uint64_t addresses[PYTHON_FRAMES];
        uint16_t pieces[PYTHON_FRAMES];
};

/* Frames of one function have one code object and one name, and neighbours often one file: each is read once. */
static void want_sigsafe(struct wanted *wanted, unsigned index, uint64_t address, size_t length)
{
        unsigned least = index > LOOK_BACK ? index - LOOK_BACK : 0;
        wanted->addresses[index] = address;
        for (unsigned i = index; i-- > least;)
                if (wanted->addresses[i] == address) {
                        wanted->pieces[index] = wanted->pieces[i];
                        return;
                }
        wanted->pieces[index] = (uint16_t)memory_batch_add_sigsafe(&batch, address, length);
}

static void fetch_codes_sigsafe(void)
{
        static struct wanted codes;
        memory_batch_begin_sigsafe(&batch, bytes.codes, sizeof bytes.codes);
        for (unsigned i = 0; i < copy.count; i++)
                want_sigsafe(&codes, i, copy.frames[i].code, PYTHON_CODE_BYTES);
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < copy.count; i++)
                copy.frames[i].code_bytes = memory_batch_piece_sigsafe(&batch, codes.pieces[i]);
}

/* A piece of the batch, zeros behind what is there: a small object may lie at the end of its mapping. Else its name
 * would be read later and alone, when the code may have gone and another name be in its place. NULL: nothing is there.
 */
static const void *whole_sigsafe(unsigned piece, unsigned *left)
{
        if (piece >= batch.count || batch.read[piece] || *left == 0)
                return memory_batch_piece_sigsafe(&batch, piece);
        const struct iovec *source = &batch.source[piece];
        uint8_t *into = batch.buffer + batch.at[piece];
        ssize_t n = memory_read_sigsafe((uintptr_t)source->iov_base, into, source->iov_len);
        --*left;
        if (n <= 0)
                return NULL;
        memset(into + n, 0, source->iov_len - (size_t)n);
        batch.read[piece] = true; /* for others that want it */
        return into;
}

static void want_head_sigsafe(struct wanted *wanted, unsigned index, uint16_t offset)
{
        const uint8_t *code = copy.frames[index].code_bytes;
        want_sigsafe(wanted, index, code != NULL ? python_word(code, offset) : 0, PYTHON_HEAD_BYTES);
}

static void fetch_heads_sigsafe(void)
{
        static struct wanted names, files, tables;
        const struct python_layout *layout = task.layout;
        unsigned with_table = copy.count < PYTHON_TABLES ? copy.count : PYTHON_TABLES, locals = MEMORY_BATCH;
        unsigned left = SHORT_PIECES;
        memory_batch_begin_sigsafe(&batch, bytes.heads, sizeof bytes.heads);
        if (copy.count != 0 && layout->frame_locals != PYTHON_NONE)
                locals = memory_batch_add_sigsafe(&batch, copy.frames[0].address + layout->frame_locals, LOCALS_BYTES);
        for (unsigned i = 0; i < copy.count; i++) {
                want_head_sigsafe(&names, i, python_name_offset(layout));
                want_head_sigsafe(&files, i, layout->code_file);
        }
        for (unsigned i = 0; i < with_table; i++)
                want_head_sigsafe(&tables, i, layout->code_lines);
        memory_batch_read_sigsafe(&batch);
        copy.locals = whole_sigsafe(locals, &left);
        for (unsigned i = 0; i < copy.count; i++) {
                copy.frames[i].name = whole_sigsafe(names.pieces[i], &left);
                copy.frames[i].file = whole_sigsafe(files.pieces[i], &left);
        }
        for (unsigned i = 0; i < with_table; i++)
                copy.frames[i].lines = whole_sigsafe(tables.pieces[i], &left);
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

/* From 3.11 on most frames lie next to each other: then they are read in one piece. */
static void expect_frames(void)
{
        task.expected_count = link_count;
        task.span_count = 0;
        for (unsigned i = 0; i < link_count; i++) {
                uint64_t address = task.expected[i] = links[i];
                if (task.span_count == 0 || !widen(&task.spans[task.span_count - 1], address))
                        task.spans[task.span_count++] =
                                (struct span){ .address = address, .length = PYTHON_FRAME_BYTES };
                task.span_of[i] = (uint16_t)(task.span_count - 1);
        }
}

/* The list of a running thread may end early while it is being walked. Two walks that agree about its outermost frame
 * are right about its length; each reads in a batch what the one before has found. */
static void walk_before(void)
{
        uint64_t outermost = 0;
        for (unsigned i = 0; i < WALKS; i++) {
                walk_sigsafe();
                expect_frames();
                uint64_t last = link_count != 0 ? links[link_count - 1] : 0;
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
                memset(&bytes, 0, sizeof bytes);
                touched = true;
        }
        task.layout = layout;
        task.count = count < PYTHON_THREADS ? count : PYTHON_THREADS;
        memcpy(task.threads, threads, task.count * sizeof *threads);
        task.misses_allowed = LINKS;
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
