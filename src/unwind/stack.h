/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.h - an unwound sample
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_STACK_H
#define LOOPDOG_UNWIND_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct frame {
        uint64_t pc;       /* as found: a return address unless it is the innermost or a signal frame's caller */
        uint64_t function; /* start of the function by its FDE; 0 where there is no unwind information */
        uint64_t cfa;      /* its canonical frame address: the caller's stack pointer before the call; 0 unknown */
        uint16_t module;   /* index for module_get(); MODULE_NONE: in no ELF object (JIT code) */
        bool caller;       /* pc is a return address: look symbols up at pc - 1 */
        /* A script's frame instead, put there by script/: pc, cfa and module are void, `function` is its own number. */
        uint16_t script; /* number of its function (script/functions.h); 0: this is a native frame */
        uint16_t votes;  /* profile.c: how sure the line is */
        uint32_t line;
};

#define MODULE_NONE UINT16_MAX

struct stack {
        struct frame frames[LIMIT_FRAMES]; /* innermost first */
        unsigned count;
        bool complete;  /* the walk ended where the unwind information says that the stack ends */
        bool truncated; /* the copy of the stack or LIMIT_FRAMES ended it */
};

#endif
