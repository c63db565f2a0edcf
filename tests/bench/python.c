/* SPDX-License-Identifier: Apache-2.0
 *
 * python.c - how long the capture of Python frames takes, apart from that of the native stack
 *
 *     python LIBPYTHON plain|c FRAMES CAPTURES
 *
 * An interpreter is embedded; one thread of it runs so many functions within each other, called directly or by a
 * function written in C, and spins in the innermost. One line for each capture, in ns: on the watchdog, what script/
 * does before the signal, after it, and when it is merged; in the handler, the copy of the frames, and the copy of the
 * same native stack once more; then the length of that stack and the frames of the script that were found.
 *
 * Context: the watchdog's part in main(), the handler on the interpreter's thread
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "capture/capture.h"
#include "script/python/runtime.h"
#include "script/script.h"
#include "unwind/module.h"
#include "unwind/unwind.h"

/* Every function is another one, as in a server: what frames have in common is read once. */
static const char program[] =
        "frames, through_c = %d, %d\n"
        "lines = ['def f0(x=0):', '    while True:', '        pass']\n"
        "for i in range(1, frames - 1):\n"
        "    inner = 'f' + str(i - 1)\n"
        "    lines += ['def f' + str(i) + '(x=0):',\n"
        "              '    list(map(' + inner + ', [0]))' if through_c else '    ' + inner + '()']\n"
        "exec('\\n'.join(lines))\n"
        "globals()['f' + str(frames - 2)]()\n";

static void (*initialize)(int);
static int (*run)(const char *);
static char text[2048];
static _Atomic int32_t tid;

static struct {
        uint64_t prepare, copy, native, read, merge;
} took;
static uint8_t buffer[LIMIT_STACK_BYTES];
static uint64_t stack_address, stack_length; /* of the last sample */
static struct sample sample;
static struct stack stack;

static uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void *run_python(void *unused)
{
        initialize(0);
        atomic_store(&tid, (int32_t)syscall(SYS_gettid));
        run(text);
        fprintf(stderr, "the program has ended\n");
        exit(1);
}

static void prepare(const struct capture_task *task)
{
        module_find((uintptr_t)prepare);
        uint64_t begin = now_ns();
        script_prepare(task->stack_bound);
        took.prepare = now_ns() - begin;
}

static void copy_sigsafe(void)
{
        uint64_t begin = now_ns();
        script_copy_sigsafe();
        uint64_t between = now_ns();
        memory_read_sigsafe(stack_address, buffer, stack_length);
        took.native = now_ns() - between;
        took.copy = between - begin;
}

static const struct capture_companion companion = { .prepare = prepare, .copy_sigsafe = copy_sigsafe };

static unsigned merge(void)
{
        struct script_context context;
        struct script_memory memory = { sample.stack_address, sample.stack, sample.stack_length };
        unsigned frames = 0;
        uint64_t begin = now_ns();
        script_read(&memory);
        took.read = now_ns() - begin;
        if (unwind_sample(&sample, &stack) != 0)
                stack.count = 0;
        begin = now_ns();
        script_merge(&stack, &memory, &context);
        took.merge = now_ns() - begin;
        for (unsigned i = 0; i < stack.count; i++)
                frames += stack.frames[i].script != 0;
        return frames;
}

static int start(const char *library)
{
        const char *why = NULL;
        void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
        if (handle == NULL) {
                fprintf(stderr, "%s\n", dlerror());
                return 3;
        }
        *(void **)&initialize = dlsym(handle, "Py_InitializeEx");
        *(void **)&run = dlsym(handle, "PyRun_SimpleString");
        if (initialize == NULL || run == NULL || unwind_load(&why) != 0 || capture_start(0, &why) != 0) {
                fprintf(stderr, "%s\n", why != NULL ? why : "no libpython");
                return 1;
        }
        capture_accompany(&companion);
        return 0;
}

int main(int argc, char **argv)
{
        pthread_t thread;
        struct capture_task task;
        if (argc != 5)
                return 2;
        int r = start(argv[1]);
        if (r != 0)
                return r;
        snprintf(text, sizeof text, program, atoi(argv[3]), strcmp(argv[2], "c") == 0);
        if (pthread_create(&thread, NULL, run_python, NULL) != 0)
                return 1;
        while (atomic_load(&tid) == 0)
                usleep(1000);
        usleep(200000);
        capture_task_open(&task, atomic_load(&tid), 0);
        task.stack_bound = (uint64_t)thread;
        for (int i = atoi(argv[4]); i > 0; i--) {
                usleep(2000);
                capture_take(&task, true, NULL, 0, &sample);
                if (sample.loss != CAPTURE_OK || !sample.by_signal || !sample.accompanied)
                        continue;
                unsigned frames = merge();
                if (stack_length != 0)
                        printf("%lu %lu %lu %lu %lu %lu %u\n", took.prepare, took.read, took.merge, took.copy,
                               took.native, stack_length, frames);
                stack_address = sample.stack_address;
                stack_length = sample.stack_length;
        }
        fflush(stdout);
        _exit(0); /* the thread never ends */
}
