/* SPDX-License-Identifier: Apache-2.0
 *
 * symbol.h - plain function names from .symtab or .dynsym
 *
 * No DWARF and no demangling in the process: the reader does that from module, build-id and offset. One pass over a
 * symbol table serves all the addresses of a stack in it, and names are cached by address.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_SYMBOL_H
#define LOOPDOG_UNWIND_SYMBOL_H

#include "unwind/stack.h"

/* Make the names of all frames in `stack` known, as far as their objects' tables have them: from the file where it can
 * be opened and its build-id is the same, else from .dynsym in memory. Bounded: at most one pass a module and call,
 * and none for a module whose unnamed addresses were looked up before. */
void symbols_resolve(const struct stack *stack);

/* The name of the function at `frame`, as far as symbols_resolve() found it, or NULL. Valid for the process's life. */
const char *symbol_name(const struct frame *frame);

void symbols_after_fork(void);

#endif
