/* SPDX-License-Identifier: Apache-2.0
 *
 * test_python_race.c - what is reported of a thread that runs Python at full speed is what it did at that moment
 *
 * The thread runs tests/system/python/race.py, whose functions keep a shadow stack here. It is copied together with
 * the frames, in the handler, while the thread stands still; so what is made of the frames can be compared with it.
 *
 * libpython is opened at run time, so that one program tests every version:
 *     LOOPDOG_RACE_LIBRARY=~/.pyenv/versions/3.13.0/lib/libpython3.13.so.1.0 LOOPDOG_RACE_CAPTURES=100000 \
 *             build/tests/unit/unit_python_race
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "capture/capture.h"
#include "script/python/runtime.h"
#include "script/script.h"
#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind/unwind.h"

#define CAPTURES 20000
#define LOST_MOST 1000 /* at most one in so many */
#define DEPTH 4096
#define SHADOW 192 /* of it are copied */
#define LINES 400
#define LIBRARY "libpython3.11.so.1.0"

/* ---- the shadow stack ---- */

static struct {
        _Atomic uint32_t depth;
        uint16_t numbers[DEPTH];
} shadow;

/* As it was when the frames were copied; innermost first. */
static struct {
        uint32_t depth;
        uint16_t numbers[SHADOW];
} truth;

static void copy_all_sigsafe(void)
{
        uint32_t depth = atomic_load(&shadow.depth);
        truth.depth = depth;
        for (uint32_t i = 0; i < SHADOW && i < depth; i++)
                truth.numbers[i] = shadow.numbers[depth - 1 - i];
        script_copy_sigsafe();
}

/* ---- the interpreter ---- */

typedef void *object;
typedef object c_function(object self, object argument);

struct definition {
        const char *name;
        c_function *function;
        int flags;
        const char *documentation;
};
#define METH_NOARGS 4
#define METH_O 8

static struct {
        void *handle;
        char home[256];
        void (*initialize)(int);
        int (*run)(const char *);
        object (*add_module)(const char *);
        object (*new_function)(struct definition *, object, object);
        int (*set_attribute)(object, const char *, object);
        long (*as_long)(object);
        object (*from_bool)(long);
} python;

static _Atomic bool stop;
static _Atomic int32_t tid;
static _Atomic int ended; /* 1: well, 2: with an exception */

static object push(object self, object number)
{
        uint32_t depth = atomic_load(&shadow.depth);
        if (depth >= DEPTH)
                abort();
        shadow.numbers[depth] = (uint16_t)python.as_long(number);
        atomic_store(&shadow.depth, depth + 1);
        return python.from_bool(1);
}

static object pop(object self, object nothing)
{
        atomic_fetch_sub(&shadow.depth, 1);
        return python.from_bool(1);
}

static object running(object self, object nothing)
{
        return python.from_bool(!atomic_load(&stop));
}

static struct definition definitions[] = {
        { "push", push, METH_O, NULL },
        { "pop", pop, METH_NOARGS, NULL },
        { "running", running, METH_NOARGS, NULL },
};

static void *find(const char *name)
{
        void *address = dlsym(python.handle, name);
        cr_assert(address != NULL, "%s", name);
        return address;
}

/* False: there is none on this machine. */
static bool open_python(void)
{
        const char *path = getenv("LOOPDOG_RACE_LIBRARY");
        const char *end = path != NULL ? strstr(path, "/lib/libpython") : NULL;
        python.handle = dlopen(path != NULL ? path : LIBRARY, RTLD_NOW | RTLD_GLOBAL);
        if (python.handle == NULL)
                return false;
        if (end != NULL) {
                snprintf(python.home, sizeof python.home, "%.*s", (int)(end - path), path);
                setenv("PYTHONHOME", python.home, 1);
        }
        setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
        *(void **)&python.initialize = find("Py_InitializeEx");
        *(void **)&python.run = find("PyRun_SimpleString");
        *(void **)&python.add_module = find("PyImport_AddModule");
        *(void **)&python.new_function = find("PyCFunction_NewEx");
        *(void **)&python.set_attribute = find("PyObject_SetAttrString");
        *(void **)&python.as_long = find("PyLong_AsLong");
        *(void **)&python.from_bool = find("PyBool_FromLong");
        return true;
}

static void *run_python(void *unused)
{
        char text[1024];
        python.initialize(0);
        object module = python.add_module("__main__");
        for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++)
                python.set_attribute(module, definitions[i].name, python.new_function(&definitions[i], NULL, NULL));
        snprintf(text, sizeof text, "exec(compile(open('%s/system/python/race.py').read(), 'race.py', 'exec'))",
                 TESTS_DIR);
        atomic_store(&tid, (int32_t)syscall(SYS_gettid));
        atomic_store(&ended, python.run(text) == 0 ? 1 : 2);
        return NULL;
}

/* ---- its source ---- */

static bool edges[LINES], made_edges[LINES];

/* Lines marked so; those of the functions that it makes are counted from the first of SOURCE. */
static void read_edges(void)
{
        char line[256];
        unsigned number = 0, made = 0;
        FILE *file = fopen(TESTS_DIR "/system/python/race.py", "r");
        cr_assert(file != NULL);
        while (fgets(line, sizeof line, file) != NULL && ++number < LINES) {
                edges[number] = strstr(line, "# edge") != NULL;
                if (strncmp(line, "SOURCE", 6) == 0)
                        made = number;
                if (made != 0)
                        made_edges[number - made + 1] = edges[number];
        }
        fclose(file);
}

/* ---- judging ---- */

static struct stack stack;
static struct sample sample;
static struct script_context context;
static struct {
        unsigned captures, by_signal, losses, compared, lost, wrong, deep, with_evaluation, extra, line_none;
        unsigned lost_why[4];
        unsigned loss_why[CAPTURE_LOSSES];
} counts;

/* The number in a function's name, 0: it tells nothing. Names and files of made functions must agree. */
static unsigned number_of(const struct script_function *function)
{
        const char *digits = strrchr(function->name, '_');
        unsigned number = digits != NULL ? (unsigned)strtoul(digits + 1, NULL, 10) : 0;
        char file[32] = "race.py";
        if (number >= 1000)
                snprintf(file, sizeof file, "made_%u.py", number);
        return number != 0 && strcmp(function->file, file) == 0 ? number : 0;
}

static bool is_edge(unsigned number, uint32_t line)
{
        return line == 0 || (line < LINES && (number >= 1000 ? made_edges : edges)[line]);
}

/* "raise_5:55 x23": the same frame again and again is told once. */
static void print_frames(bool of_scripts, unsigned most)
{
        const char *last = "";
        unsigned last_line = 0, times = 0, shown = 0;
        for (unsigned i = 0; i < stack.count && shown < most; i++) {
                const struct frame *frame = &stack.frames[i];
                const struct script_function *function = script_function_get(frame->script);
                const char *name = of_scripts ? function != NULL ? function->name : NULL : symbol_name(frame);
                if ((frame->script != 0) != of_scripts)
                        continue;
                if (name != NULL && strcmp(name, last) == 0 && frame->line == last_line) {
                        times++;
                        continue;
                }
                if (times > 1)
                        fprintf(stderr, " x%u", times);
                fprintf(stderr, of_scripts ? " %s:%u" : " %s", name != NULL ? name : "?", frame->line);
                if (of_scripts && function != NULL && number_of(function) == 0) /* perhaps of another's file */
                        fprintf(stderr, " (%s)", function->file);
                last = name != NULL ? name : "";
                last_line = frame->line;
                times = 1;
                shown++;
        }
        if (times > 1)
                fprintf(stderr, " x%u", times);
}

static void print_wrong(const char *why)
{
        if (counts.wrong >= 5)
                return;
        fprintf(stderr, "%s: truth (%u)", why, truth.depth);
        for (unsigned i = 0; i < truth.depth && i < 100; i++)
                fprintf(stderr, " %u", truth.numbers[i]);
        fprintf(stderr, "\n    reported (state %c, by signal %d):", sample.state, sample.by_signal);
        print_frames(true, 100);
        fprintf(stderr, "\n    native:");
        symbols_resolve(&stack);
        print_frames(false, 10);
        fprintf(stderr, "\n");
}

/* The functions of the stack that have a number, innermost first. */
static struct {
        uint32_t numbers[LIMIT_FRAMES];
        unsigned count;
        bool first_at_edge;
} reported;

/* NULL, or what is wrong. */
static const char *collect(void)
{
        reported.count = 0;
        for (unsigned i = 0; i < stack.count; i++) {
                const struct frame *frame = &stack.frames[i];
                const struct script_function *function = script_function_get(frame->script);
                if (frame->script != 0 && function == NULL)
                        return "a function without a name";
                unsigned number = frame->script != 0 ? number_of(function) : 0;
                if (number == 0)
                        continue;
                if (reported.count == 0)
                        reported.first_at_edge = is_edge(number, frame->line);
                reported.numbers[reported.count++] = number;
                counts.line_none += frame->line == 0;
        }
        return NULL;
}

/* Is the stack from this function on what the shadow tells? Where it was cut, and said so, as far as it goes. */
static bool agrees(unsigned first)
{
        unsigned count = reported.count - first, compared = count < SHADOW ? count : SHADOW;
        if (count > truth.depth || (count < truth.depth && !stack.truncated))
                return false;
        for (unsigned i = 0; i < compared; i++)
                if (reported.numbers[first + i] != truth.numbers[i])
                        return false;
        return true;
}

/* NULL, or what is wrong. */
static const char *compare(void)
{
        const char *why = collect();
        if (why != NULL || agrees(0))
                return why;
        /* Left or not yet entered by its own account: the innermost is one more than the shadow has. */
        bool extra = reported.count != 0 && reported.first_at_edge && agrees(1);
        counts.extra += extra;
        return extra ? NULL : "another stack";
}

static void count_evaluations(void)
{
        const struct python_runtime *runtime = python_runtime();
        for (unsigned i = 0; i < stack.count; i++)
                if (stack.frames[i].script == 0 && stack.frames[i].function == runtime->evaluation) {
                        counts.with_evaluation++;
                        return;
                }
}

static bool has_script(void)
{
        for (unsigned i = 0; i < stack.count; i++)
                if (stack.frames[i].script != 0)
                        return true;
        return false;
}

static void judge(void)
{
        struct script_memory memory = { sample.stack_address, sample.stack, sample.stack_length };
        script_read(&memory);
        if (unwind_sample(&sample, &stack) != 0)
                stack.count = 0;
        script_merge(&stack, &memory, &context);
        counts.compared++;
        counts.deep += truth.depth > 150;
        if (context.lost != NULL || !has_script()) {
                counts.lost++;
                counts.lost_why[context.lost != NULL]++;
                if (counts.lost <= 5)
                        fprintf(stderr, "lost: %s (depth %u)\n", context.lost != NULL ? context.lost : "no word",
                                truth.depth);
                return;
        }
        count_evaluations();
        const char *why = compare();
        if (why == NULL)
                return;
        print_wrong(why);
        counts.wrong++;
}

/* ---- the test ---- */

static void prepare(const struct capture_task *task)
{
        module_find((uintptr_t)prepare);
        script_prepare(task->stack_bound);
}

static const struct capture_companion companion = { .prepare = prepare, .copy_sigsafe = copy_all_sigsafe };

/* Without any stack, which is not Python's doing: the thread has ended its sleep meanwhile, or had no CPU for long. */
static void count_loss(void)
{
        counts.losses++;
        counts.loss_why[sample.loss]++;
}

static void print_losses(void)
{
        for (int i = 0; i < CAPTURE_LOSSES; i++)
                if (counts.loss_why[i] != 0)
                        fprintf(stderr, "%u without a stack: %s\n", counts.loss_why[i],
                                i != CAPTURE_OK ? capture_loss_text((enum capture_loss)i) : "not accompanied");
}

static void capture_once(struct capture_task *task)
{
        if (modules_changed())
                unwind_flush();
        script_forget_if_full();
        capture_take(task, true, NULL, 0, &sample);
        counts.captures++;
        counts.by_signal += sample.by_signal;
        if (sample.loss == CAPTURE_OK && sample.accompanied)
                judge();
        else
                count_loss();
}

#ifdef __SANITIZE_ADDRESS__
/* CPython frees at its end what it thinks worth it: its leaks are not ours. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
        return "leak:libpython";
}
#endif

Test(python_race, reports_what_the_thread_did, .timeout = 600)
{
        pthread_t thread;
        struct capture_task task;
        const char *why = NULL, *wanted = getenv("LOOPDOG_RACE_CAPTURES");
        unsigned captures = wanted != NULL ? (unsigned)atoi(wanted) : CAPTURES;
        if (!open_python())
                cr_skip_test("no " LIBRARY " here");
        read_edges();
        cr_assert_eq(unwind_load(&why), 0, "%s", why);
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
        capture_accompany(&companion);
        cr_assert_eq(pthread_create(&thread, NULL, run_python, NULL), 0);
        while (atomic_load(&shadow.depth) == 0 && atomic_load(&ended) == 0)
                usleep(1000);
        capture_task_open(&task, atomic_load(&tid), 0);
        task.stack_bound = (uint64_t)thread;
        while (counts.compared < captures && counts.captures < 2 * captures && atomic_load(&ended) == 0) {
                capture_once(&task);
                usleep((useconds_t)(random() % 300));
        }
        cr_assert_eq(atomic_load(&ended), 0, "race.py has ended by itself");
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
        cr_expect_eq(atomic_load(&ended), 1, "race.py failed");
        fprintf(stderr,
                "%u captures (%u by signal, %u without a stack); %u compared, %u of them deep, %u at an edge: %u "
                "wrong, "
                "%u without Python frames (%u said why); %u with an evaluation function left, %u lines unknown\n",
                counts.captures, counts.by_signal, counts.losses, counts.compared, counts.deep, counts.extra,
                counts.wrong, counts.lost, counts.lost_why[1], counts.with_evaluation, counts.line_none);
        print_losses();
        cr_expect_geq(counts.compared, captures / 2);
        cr_expect_eq(counts.wrong, 0, "%u wrong", counts.wrong);
        cr_expect_leq(counts.lost, counts.compared / LOST_MOST, "%u lost", counts.lost);
}
