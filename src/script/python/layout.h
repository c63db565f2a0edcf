/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.h - where CPython keeps what we read of it
 *
 * One row a version. From 3.13 on the interpreter tells its own offsets; before, they were read from the debug
 * information of each version's builds (x86-64, with a GIL) and have not changed within a minor version.
 *
 * Context: watchdog, signal handler (reading only)
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_LAYOUT_H
#define LOOPDOG_SCRIPT_PYTHON_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum python_frames {
        PYTHON_FRAME_OBJECTS, /* to 3.10: one frame object for each activation of the evaluation function */
        PYTHON_CFRAMES,       /* 3.11: runs of frames end with `is_entry`; a cframe on the C stack for each run */
        PYTHON_SHIMS,         /* 3.12 on: a run ends with a frame that lies on the C stack itself */
};

enum python_lines {
        PYTHON_LNOTAB,    /* to 3.9 */
        PYTHON_LINETABLE, /* 3.10 */
        PYTHON_LOCATIONS, /* 3.11 on */
};

#define PYTHON_NONE UINT16_MAX /* this version has no such field */

struct python_layout {
        uint8_t minor;
        enum python_frames frames;
        enum python_lines lines;
        bool has_cframe;
        bool gil_in_interpreter; /* a pointer in the interpreter state; else a part of the runtime state */
        /* Offsets in bytes. */
        uint16_t runtime_interpreters;
        uint16_t interpreter_next, interpreter_threads;
        uint16_t thread_next, thread_interpreter, thread_pthread, thread_tid, thread_frame;
        uint16_t cframe_frame, cframe_previous;
        uint16_t frame_previous, frame_code, frame_position, frame_end, frame_locals;
        uint16_t code_first_line, code_file, code_name, code_qualified_name, code_lines, code_bytes;
        uint16_t ascii_header, compact_header;
        uint16_t gil;
        uint16_t task_name, task_coroutine;
};

#define PYTHON_FRAME_BYTES 112 /* of a frame: all fields above but the locals */
#define PYTHON_CODE_BYTES 144  /* of a code object */
#define PYTHON_THREAD_BYTES 96 /* of a thread state: the links and the frame */
#define PYTHON_SHIM_OWNER 3    /* in `frame_end`: the frame lies on the C stack; larger numbers are of its kind */

/* Where a code object has the name to show: the qualified one, if there is one. */
static inline uint16_t python_name_offset(const struct python_layout *layout)
{
        return layout->code_qualified_name != PYTHON_NONE ? layout->code_qualified_name : layout->code_name;
}

/* The layout of 3.`minor`, or NULL. */
const struct python_layout *python_layout_of(unsigned minor);

/* The same from `_Py_DebugOffsets`, the first words of the runtime state. 0; -ENOENT: it does not begin with them;
 * -ENOLCK: it has no GIL; -ENOTSUP: an unknown version, or the offsets make no sense. */
#define PYTHON_OFFSET_WORDS 73
int python_layout_from_offsets(const uint64_t words[PYTHON_OFFSET_WORDS], unsigned minor, struct python_layout *layout);

#endif
