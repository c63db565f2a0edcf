/* SPDX-License-Identifier: Apache-2.0
 *
 * script.c - the frames of scripts in a sample
 *
 * Which native frame executes which script frames is told by addresses: the interpreter keeps a part of each of its
 * activations on the native stack, so that belongs to the frame around it, stripped or not. Interpreters that keep
 * nothing there are matched by their evaluation function, one by one. What matches nothing is put in all the same: a
 * stack in a doubtful order is better than one without its most important part.
 *
 * Context: watchdog, except script_copy_sigsafe()
 */
#include "script/script.h"

#include <string.h>

#include "base/memory.h"
#include "script/python/called.h"
#include "script/python/copy.h"
#include "script/python/frames.h"
#include "script/python/runtime.h"
#include "script/python/task.h"
#include "unwind/module.h"
#include "unwind/symbol.h"

#define UNPLACED UINT32_MAX
#define SCRIPT_FUNCTION (1ull << 63) /* tells the numbers of scripts' functions from addresses */
#define UNKNOWN_FUNCTION 0xf000u     /* a number that is never given: the table was full */
#define TASK_WORDS 128               /* of the stack outside of an activation, searched for the task that runs in it */
#define TASK_ACTIVATIONS 24          /* so many are tried, the outermost first */

static struct python_stack python;
static struct stack native;
static unsigned places[PYTHON_FRAMES]; /* for the `last` frame of each activation: index of its native frame */
static char called[128], task[128];
static uint64_t threads[PYTHON_THREADS]; /* thread states of the thread that was prepared last */
static unsigned thread_count;

/* ---- copying ---- */

void script_prepare(uint64_t pthread)
{
        const struct python_runtime *runtime = python_runtime();
        thread_count = runtime != NULL ? python_threads_of(pthread, threads, PYTHON_THREADS) : 0;
        python_copy_prepare(runtime != NULL ? &runtime->layout : NULL, threads, thread_count);
}

void script_copy_sigsafe(void)
{
        python_copy_sigsafe();
}

/* ---- placing ---- */

static bool stack_word(void *context, uint64_t address, uint64_t *word)
{
        const struct script_memory *memory = context;
        uint64_t within = memory != NULL ? address - memory->address : 0;
        if (memory == NULL || within > memory->length || memory->length - within < sizeof *word)
                return memory_get_sigsafe(address, word, sizeof *word);
        memcpy(word, memory->bytes + within, sizeof *word);
        return true;
}

/* The native frame that holds this address of the stack, from `from` on. */
static unsigned frame_around(uint64_t address, unsigned from)
{
        for (unsigned i = from; i < native.count; i++)
                if (native.frames[i].cfa > address)
                        return i;
        return UNPLACED;
}

/* The next frame of the evaluation function; `by_name` finds parts of it that the compiler moved away. */
static unsigned next_evaluation(const struct python_runtime *runtime, unsigned from, bool by_name)
{
        static const char name[] = "_PyEval_EvalFrameDefault";
        for (unsigned i = from; i < native.count; i++) {
                const struct frame *frame = &native.frames[i];
                const char *symbol = by_name && frame->module == runtime->module ? symbol_name(frame) : NULL;
                if ((frame->function != 0 && frame->function == runtime->evaluation) ||
                    (symbol != NULL && strncmp(symbol, name, sizeof name - 1) == 0))
                        return i;
        }
        return UNPLACED;
}

static unsigned place_all(const struct python_runtime *runtime, bool by_name)
{
        unsigned from = 0, unplaced = 0;
        for (unsigned i = 0; i < python.count; i++) {
                if (!python.frames[i].last)
                        continue;
                uint64_t anchor = python.frames[i].anchor;
                places[i] = anchor != 0 ? frame_around(anchor, from) : next_evaluation(runtime, from, by_name);
                if (places[i] == UNPLACED)
                        unplaced++;
                else
                        from = places[i] + 1;
        }
        return unplaced;
}

/* What has no place goes directly within the next that has, or to the outer end. */
static void place(const struct python_runtime *runtime)
{
        if (place_all(runtime, false) != 0 && native.count != 0) {
                symbols_resolve(&native);
                place_all(runtime, true);
        }
        unsigned outer = native.count;
        for (unsigned i = python.count; i-- > 0;) {
                if (python.frames[i].last && places[i] != UNPLACED)
                        outer = places[i];
                places[i] = outer;
        }
}

/* ---- merging ---- */

static void append(struct stack *stack, const struct frame *frame)
{
        if (stack->count == LIMIT_FRAMES) {
                stack->truncated = true;
                stack->complete = false;
                return;
        }
        stack->frames[stack->count++] = *frame;
}

static void append_python(struct stack *stack, const struct python_frame *from)
{
        struct frame frame = {
                .function = SCRIPT_FUNCTION | from->function,
                .module = MODULE_NONE,
                .script = from->function != 0 ? from->function : UNKNOWN_FUNCTION,
                .line = from->line,
        };
        append(stack, &frame);
}

/* The interpreter's own frames between two of a script say nothing that the script's do not; nor does the trampoline by
 * which `-X perf` calls its evaluation function. */
static void merge(const struct python_runtime *runtime, struct stack *stack)
{
        unsigned next = 0;
        bool executed = false;
        stack->count = 0;
        for (unsigned i = 0; i < native.count; i++) {
                bool executes = next < python.count && places[next] == i;
                bool between = (next > 0 && next < python.count && native.frames[i].module == runtime->module) ||
                               (executed && native.frames[i].module == MODULE_NONE);
                executed = executes;
                while (next < python.count && places[next] == i)
                        append_python(stack, &python.frames[next++]);
                if (!executes && !between)
                        append(stack, &native.frames[i]);
        }
        while (next < python.count)
                append_python(stack, &python.frames[next++]);
        stack->truncated = stack->truncated || python.cut;
}

/* ---- what it was doing ---- */

/* The words of the stack just outside of a native frame. */
static size_t words_outside(const struct frame *frame, const struct script_memory *memory, uint64_t *words)
{
        uint64_t begin = frame->cfa - memory->address;
        if (begin % sizeof *words != 0 || begin > memory->length)
                return 0;
        size_t bytes = memory->length - begin < TASK_WORDS * sizeof *words ? memory->length - begin
                                                                           : TASK_WORDS * sizeof *words;
        memcpy(words, memory->bytes + begin, bytes);
        return bytes / sizeof *words;
}

static bool is_of_asyncio(const struct frame *frame)
{
        const struct module *module = frame->module != MODULE_NONE ? module_get(frame->module) : NULL;
        return module != NULL && (strstr(module->name, "asyncio") != NULL || strstr(module->path, "uvloop") != NULL);
}

/* The task is looked for on the native stack, which is worth it only where there may be one: the C code that steps it
 * is there, or asyncio's own functions are. */
static bool may_have_task(void)
{
        for (unsigned i = 0; i < native.count; i++)
                if (is_of_asyncio(&native.frames[i]))
                        return true;
        for (unsigned i = python.count; i-- > 0;) {
                const struct script_function *function = script_function_get(python.frames[i].function);
                if (function != NULL && strstr(function->file, "/asyncio/") != NULL)
                        return true;
        }
        return false;
}

/* Look on the stack outside of the activation that ends with this frame. Index of the task's coroutine, or -1. */
static int task_around(const struct python_runtime *runtime, const struct script_memory *memory, unsigned index)
{
        static uint64_t words[TASK_WORDS];
        size_t count = words_outside(&native.frames[places[index]], memory, words);
        return python_task(runtime, &python, words, count, task, sizeof task);
}

static bool ends_activation(unsigned index)
{
        return python.frames[index].last && places[index] < native.count;
}

/* Has C code of asyncio called the activation that ends with this frame? */
static bool is_stepped(unsigned index)
{
        unsigned outer = index + 1;
        while (outer < python.count && !ends_activation(outer))
                outer++;
        unsigned end = outer < python.count ? places[outer] : native.count;
        for (unsigned i = places[index] + 1; i < end; i++)
                if (is_of_asyncio(&native.frames[i]))
                        return true;
        return false;
}

/* One task may step another at once (an eager one): the innermost runs. The one of the last sample is mostly that of
 * this, too. Where asyncio's C code is a part of the interpreter every activation may be stepped: the outermost are. */
static int task_on_stack(const struct python_runtime *runtime, const struct script_memory *memory)
{
        int known = python_task_again(runtime, &python, task, sizeof task), index = -1;
        unsigned end = known >= 0 ? (unsigned)known : python.count, tried = 0;
        for (unsigned i = 0; i < end && index < 0; i++)
                if (ends_activation(i) && is_stepped(i))
                        index = task_around(runtime, memory, i);
        if (index < 0)
                index = known;
        for (unsigned i = python.count; i-- > 0 && index < 0 && tried < TASK_ACTIVATIONS;)
                if (ends_activation(i)) {
                        index = task_around(runtime, memory, i);
                        tried++;
                }
        return index;
}

/* A task that is written in Python (nest_asyncio makes all of them so) is stepped by Python functions of asyncio: its
 * coroutine is what the innermost of them has called. Index of its frame, or -1. */
static int stepped_in_python(void)
{
        int stepped = -1;
        for (unsigned i = python.count; i-- > 1;) {
                const struct script_function *function = script_function_get(python.frames[i].function);
                bool steps = function != NULL && strstr(function->name, "__step") != NULL &&
                             strstr(function->file, "/asyncio/tasks.py") != NULL;
                if (!steps && stepped >= 0)
                        break;
                if (steps)
                        stepped = (int)i - 1;
        }
        return stepped;
}

static void find_task(const struct python_runtime *runtime, const struct script_memory *memory,
                      struct script_context *context)
{
        int index = task_on_stack(runtime, memory);
        if (index < 0) {
                task[0] = '\0';
                index = stepped_in_python();
        }
        if (index < 0)
                return;
        const struct script_function *function = script_function_get(python.frames[index].function);
        context->task = task[0] != '\0' ? task : NULL;
        context->coroutine = function != NULL ? function->name : NULL;
}

void script_read(const struct script_memory *memory)
{
        const struct python_runtime *runtime = python_runtime();
        python.count = 0;
        python.lost = NULL;
        if (runtime != NULL)
                python_frames(runtime, python_copy_get(), stack_word, (void *)(uintptr_t)memory, &python);
}

/* Is this frame a loop that runs, of asyncio or uvloop? */
static bool runs_loop(const struct frame *frame)
{
        static const char *const names[] = { "run_forever", "run_until_complete", "_run_once" };
        static const char uvloop[] = "loop.cpython";
        const struct script_function *function = script_function_get(frame->script);
        const char *name = function != NULL ? strrchr(function->name, '.') : NULL;
        if (frame->script == 0)
                return frame->module != MODULE_NONE &&
                       strncmp(module_get(frame->module)->name, uvloop, sizeof uvloop - 1) == 0;
        for (size_t i = 0; function != NULL && i < sizeof names / sizeof *names; i++)
                if (strcmp(name != NULL ? name + 1 : function->name, names[i]) == 0)
                        return true;
        return false;
}

/* What the interpreter does at its end is no callback, though its loop's epoll instance may still be open (uvloop's).
 */
static bool is_ending(const struct python_runtime *runtime, const struct stack *stack)
{
        for (unsigned i = 0; i < stack->count && runtime->finalization != 0; i++) {
                if (stack->frames[i].function == runtime->finalization)
                        return true;
                if (runs_loop(&stack->frames[i]))
                        return false;
        }
        return false;
}

void script_merge(struct stack *stack, const struct script_memory *memory, struct script_context *context)
{
        const struct python_runtime *runtime = python_runtime();
        *context = (struct script_context){ .called = NULL };
        if (runtime == NULL)
                return;
        context->lost = python.lost;
        if (python.count != 0) {
                native = *stack;
                place(runtime);
                merge(runtime, stack);
        }
        context->ends = is_ending(runtime, stack);
        if (memory == NULL || python.count == 0)
                return;
        if (python_called(runtime, python_copy_get(), &native, places[0] < native.count ? places[0] : 0, called,
                          sizeof called))
                context->called = called;
        if (may_have_task())
                find_task(runtime, memory, context);
}

/* ---- the interpreter's lock ---- */

bool script_waits_for_lock(uint64_t address, int32_t *tid, uint64_t *pthread)
{
        *tid = 0;
        *pthread = 0;
        for (unsigned i = 0; i < thread_count; i++) {
                uint64_t gil = python_gil_of(threads[i]);
                if (gil == 0 || address - gil >= PYTHON_GIL_BYTES)
                        continue;
                uint64_t holder = python_gil_holder(gil);
                if (holder == 0 || python_thread_id(holder, tid, pthread) != 0)
                        *tid = 0;
                return true;
        }
        return false;
}

void script_forget_if_full(void)
{
        if (script_functions_nearly_full())
                script_functions_clear();
}
