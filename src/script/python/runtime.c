/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.c - is there a CPython in this process, which one, and its threads
 *
 * An interpreter is told by the symbol `_PyRuntime`, wherever it is: in the program, in a libpython that it was linked
 * with, or in one that was loaded later with RTLD_LOCAL. Symbols are looked up in the objects' own tables in memory and
 * not by dlsym(), which would take the loader's lock.
 *
 * Context: watchdog
 * Limits:  INTERPRETERS and THREADS are followed in their lists, which change while we read them
 */
#include "script/python/runtime.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/notice.h"
#include "base/thread.h"
#include "unwind/module.h"
#include "unwind/stack.h"

#define INTERPRETERS 64
#define THREADS 2048
#define GIL_HOLDER 8
#define GIL_LOCKED 16

static struct python_runtime runtime;
static bool found, refused;
static unsigned looked_at; /* modules that were searched */

static bool read_word(uint64_t address, uint64_t *word)
{
        return memory_get_sigsafe(address, word, sizeof *word);
}

/* ---- finding it ---- */

/* 3.`minor`, 0: not known. Before 3.11 the version is told by what the interpreter exports. */
static unsigned minor_of(const struct module *module)
{
        uint32_t version = 0;
        uint64_t address = module_symbol(module, "Py_Version");
        if (address != 0 && memory_get_sigsafe(address, &version, sizeof version))
                return version >> 24 == 3 ? version >> 16 & 255 : 0;
        if (module_symbol(module, "PyIter_Send") != 0)
                return 10;
        if (module_symbol(module, "PyFrame_GetCode") != 0)
                return 9;
        return module_symbol(module, "PyCode_NewWithPosOnlyArgs") != 0 ? 8 : 7;
}

static int find_layout(unsigned minor, struct python_layout *layout)
{
        static uint64_t words[PYTHON_OFFSET_WORDS];
        const struct python_layout *known = python_layout_of(minor);
        if (minor >= 13 && memory_get_sigsafe(runtime.address, words, sizeof words))
                return python_layout_from_offsets(words, minor, layout);
        if (minor >= 13 || known == NULL)
                return -ENOTSUP;
        *layout = *known;
        return 0;
}

/* Each interpreter's list of threads must lead back to it, else the offsets are not this build's. */
static bool makes_sense(void)
{
        const struct python_layout *layout = &runtime.layout;
        uint64_t interpreter, thread, back;
        if (!read_word(runtime.address + layout->runtime_interpreters, &interpreter))
                return false;
        if (interpreter == 0)
                return true; /* not begun yet */
        return read_word(interpreter + layout->interpreter_threads, &thread) &&
               (thread == 0 || (read_word(thread + layout->thread_interpreter, &back) && back == interpreter));
}

/* 0, or -errno: why its frames can't be read. */
static int examine_layout(unsigned minor)
{
        int r = find_layout(minor, &runtime.layout);
        if (r == 0 && !makes_sense())
                r = -ENOTSUP;
        return r;
}

static void refuse(const struct module *module, unsigned minor, int error)
{
        const char *why = "was built in an unknown way";
        refused = true;
        if (error == -ENOLCK)
                why = "has no global lock (free-threaded)";
        else if (minor < 8 || minor > 13)
                why = "is none of 3.8 to 3.13";
        notice("no Python frames: this CPython 3.%u %s (%s)", minor, why, module->name);
}

static void examine(const struct module *module, uint16_t index)
{
        uint64_t address = module_symbol(module, "_PyRuntime");
        if (address == 0)
                return;
        unsigned minor = minor_of(module);
        runtime.address = address;
        int r = examine_layout(minor);
        if (r != 0) {
                refuse(module, minor, r);
                return;
        }
        runtime.code_type = module_symbol(module, "PyCode_Type");
        runtime.function_type = module_symbol(module, "PyCFunction_Type");
        runtime.method_type = module_symbol(module, "PyMethodDescr_Type");
        runtime.evaluation = module_symbol(module, "_PyEval_EvalFrameDefault");
        runtime.finalization = module_symbol(module, "Py_FinalizeEx");
        runtime.module = index;
        found = runtime.code_type != 0;
}

const struct python_runtime *python_runtime(void)
{
        for (; !found && !refused && looked_at < modules_count(); looked_at++)
                examine(module_get((uint16_t)looked_at), (uint16_t)looked_at);
        return found ? &runtime : NULL;
}

void python_runtime_forget(void)
{
        found = refused = false;
        looked_at = 0;
}

/* ---- threads ---- */

static unsigned threads_of_interpreter(uint64_t interpreter, uint64_t pthread, uint64_t *threads, unsigned capacity)
{
        const struct python_layout *layout = &runtime.layout;
        uint64_t thread, owner;
        unsigned count = 0;
        if (!read_word(interpreter + layout->interpreter_threads, &thread))
                return 0;
        for (unsigned i = 0; thread != 0 && i < THREADS && count < capacity; i++) {
                if (!read_word(thread + layout->thread_pthread, &owner))
                        break;
                if (owner == pthread)
                        threads[count++] = thread;
                if (!read_word(thread + layout->thread_next, &thread))
                        break;
        }
        return count;
}

unsigned python_threads_of(uint64_t pthread, uint64_t *threads, unsigned capacity)
{
        const struct python_layout *layout = &runtime.layout;
        uint64_t interpreter;
        unsigned count = 0;
        if (!found || pthread == 0 || !read_word(runtime.address + layout->runtime_interpreters, &interpreter))
                return 0;
        /* New ones are put in front: what was entered last is met first. */
        for (unsigned i = 0; interpreter != 0 && i < INTERPRETERS && count < capacity; i++) {
                count += threads_of_interpreter(interpreter, pthread, threads + count, capacity - count);
                if (!read_word(interpreter + layout->interpreter_next, &interpreter))
                        break;
        }
        return count;
}

int python_thread_id(uint64_t thread, int32_t *tid, uint64_t *pthread)
{
        const struct python_layout *layout = &runtime.layout;
        uint64_t word;
        if (!read_word(thread + layout->thread_pthread, pthread))
                return -EFAULT;
        if (layout->thread_tid != PYTHON_NONE) {
                if (!read_word(thread + layout->thread_tid, &word))
                        return -EFAULT;
                *tid = (int32_t)word;
                return 0;
        }
        return thread_id_of(*pthread, tid);
}

/* ---- the lock ---- */

uint64_t python_gil_of(uint64_t thread)
{
        uint64_t interpreter, gil;
        if (!runtime.layout.gil_in_interpreter)
                return runtime.address + runtime.layout.gil;
        if (!read_word(thread + runtime.layout.thread_interpreter, &interpreter) ||
            !read_word(interpreter + runtime.layout.gil, &gil))
                return 0;
        return gil;
}

uint64_t python_gil_holder(uint64_t gil)
{
        uint64_t holder;
        int32_t locked;
        if (!memory_get_sigsafe(gil + GIL_LOCKED, &locked, sizeof locked) || locked != 1 ||
            !read_word(gil + GIL_HOLDER, &holder))
                return 0;
        return holder;
}
