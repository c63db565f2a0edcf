/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.h - the Python frames of one thread, copied at one moment
 *
 * A running thread copies its own frames in the signal handler, while nothing of them can change; of a sleeping thread
 * the watchdog copies them. What is copied is raw; it is understood later (frames.c), by the watchdog, at leisure.
 *
 * Context: watchdog and signal handler, never both at once
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_COPY_H
#define LOOPDOG_SCRIPT_PYTHON_COPY_H

#include "script/python/layout.h"

#define PYTHON_FRAMES 192 /* of one sample; the outermost are cut */
#define PYTHON_THREADS 4  /* thread states of one thread: one for each interpreter that it has entered */
#define PYTHON_TABLES 12  /* of so many innermost frames the tables of lines are copied, too */
#define PYTHON_LOCALS 64  /* words of the innermost frame's locals and value stack */

/* The bytes of a frame and of what it leads to; NULL: it could not be read. Of name, file and table of lines there is
 * a head: enough to tell the object from another at the same address. */
#define PYTHON_HEAD_BYTES 144
struct python_copied {
        uint64_t address;
        uint64_t code;
        uint64_t shim;             /* the interpreter's own frame that follows and ends the activation; 0: none */
        const uint8_t *frame;      /* PYTHON_FRAME_BYTES */
        const uint8_t *code_bytes; /* PYTHON_CODE_BYTES */
        const uint8_t *name, *file, *lines;
};

/* The frames of one thread state. */
struct python_run {
        uint64_t thread;
        uint64_t cframe; /* the innermost, where the version has them */
        unsigned first, count;
        bool shims;  /* there are frames of the interpreter's own */
        bool cut;    /* there are more */
        bool broken; /* they lead nowhere, or in a circle */
};

struct python_copy {
        struct python_run runs[PYTHON_THREADS];
        unsigned run_count;
        unsigned count;         /* frames of all runs, innermost first */
        const uint64_t *locals; /* of the innermost frame; NULL: they could not be read */
        struct python_copied frames[PYTHON_FRAMES];
};

/* Which thread states are to be copied next. They are walked at once, so that the handler knows where to look and needs
 * few system calls. No thread state: nothing is copied. Watchdog. */
void python_copy_prepare(const struct python_layout *layout, const uint64_t *threads, unsigned count);

/* Copy now. Bounded where the frames have changed since or make no sense. What is there points into memory that is
 * valid until the next copy. */
void python_copy_sigsafe(void);

const struct python_copy *python_copy_get(void);

/* Fields of raw bytes. */
uint64_t python_word(const uint8_t *object, unsigned offset);
int32_t python_int(const uint8_t *object, unsigned offset);

#endif
