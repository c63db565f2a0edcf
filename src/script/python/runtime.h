/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h - is there a CPython in this process, which one, and its threads
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_RUNTIME_H
#define LOOPDOG_SCRIPT_PYTHON_RUNTIME_H

#include "script/python/layout.h"

struct python_runtime {
        struct python_layout layout;
        uint64_t address;   /* of the runtime state */
        uint64_t code_type; /* addresses of types; 0: not exported */
        uint64_t function_type;
        uint64_t method_type;
        uint64_t evaluation;   /* the function that executes bytecode */
        uint64_t finalization; /* and the one that ends the interpreter */
        uint16_t module;       /* where all that lies */
};

/* The interpreter of this process, or NULL: there is none (yet), or one that can't be read, which is said once. Looked
 * for again only after objects were loaded. */
const struct python_runtime *python_runtime(void);

/* The thread states of the thread with this pthread_t, the innermost interpreter's first. Returns how many. */
unsigned python_threads_of(uint64_t pthread, uint64_t *threads, unsigned capacity);

/* The global interpreter lock that this thread state needs: address and length of its structure; 0: not known. */
#define PYTHON_GIL_BYTES 208
uint64_t python_gil_of(uint64_t thread);

/* The thread state that holds it, or 0: nobody, or not readable. */
uint64_t python_gil_holder(uint64_t gil);

/* The kernel's id of a thread state's thread and its pthread_t. 0 or -errno. */
int python_thread_id(uint64_t thread, int32_t *tid, uint64_t *pthread);

/* Look for the interpreter anew: in the child after fork, which has the same one, nothing needs to be done. */
void python_runtime_forget(void);

#endif
