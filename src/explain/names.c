/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - what the frames of a profile are called
 *
 * Done once a stall is over or first told, not at each sample: a search through a symbol table may take milliseconds.
 *
 * Context: watchdog
 */
#include "explain/names.h"

#include <string.h>

#include "unwind/module.h"
#include "unwind/symbol.h"

void names_resolve(const struct frame *frames, unsigned count)
{
        static struct stack scratch; /* 10 KB: too much for this thread's stack */
        scratch.count = count < LIMIT_FRAMES ? count : LIMIT_FRAMES;
        memcpy(scratch.frames, frames, scratch.count * sizeof *scratch.frames);
        symbols_resolve(&scratch);
}

struct frame_names names_of(const struct frame *frame)
{
        const struct script_function *script = script_function_get(frame->script);
        if (frame->script != 0)
                return (struct frame_names){ .function = script != NULL ? script->name : NULL,
                                             .file = script != NULL ? script->file : "?" };
        struct frame_names names = { .function = symbol_name(frame), .offset = frame->pc };
        if (frame->module == MODULE_NONE)
                return names;
        const struct module *module = module_get(frame->module);
        names.module = module->path;
        names.build_id = module->build_id[0] != '\0' ? module->build_id : NULL;
        names.offset = module_offset(module, frame->pc);
        return names;
}

const char *names_function_at(uint64_t address)
{
        struct frame frame = { .pc = address, .function = address, .module = module_find(address) };
        names_resolve(&frame, 1);
        return names_of(&frame).function;
}
