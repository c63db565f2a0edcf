/* SPDX-License-Identifier: Apache-2.0
 *
 * task.h - what /proc says about one thread
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_CAPTURE_TASK_H
#define LOOPDOG_CAPTURE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"

/* /proc/self/task/TID/syscall */
struct task_call {
        bool asleep; /* false: "running"; the rest is not valid */
        int number;  /* -1: asleep, but in no system call (a page fault) */
        uint64_t arguments[6];
        uint64_t stack_pointer;
        uint64_t program_counter;
};

/* The lines of /proc/self/task/TID/status that matter here. */
struct task_status {
        char state;
        uint64_t tracer;   /* TracerPid: a debugger, strace ...; 0: none, or in another pid namespace */
        uint64_t pending;  /* SigPnd: sent to this thread, not to the process */
        uint64_t blocked;  /* SigBlk */
        uint64_t filters;  /* seccomp filters that it is under */
        uint64_t switches; /* voluntary_ctxt_switches */
        uint64_t involuntary;
};

/* Around each sample: open the files that are not kept open, or that the host has closed in its table. */
void task_begin(struct capture_task *task);
void task_end(struct capture_task *task);

void task_after_fork(void);

/* Read anew. 0 or -errno: -ESRCH where the thread has ended, -EBADF where the file could not be opened. */
int task_read_call(const struct capture_task *task, struct task_call *call);
int task_read_status(const struct capture_task *task, struct task_status *status);
int task_read_state(const struct capture_task *task, char *state);

/* Read one `status` file that is not kept open. `path` is relative to /proc. */
int task_read_status_at(const char *path, struct task_status *status);

/* CPU time of a thread of this process, 0 where it is not known. */
uint64_t task_cpu_ns(int32_t tid);

/* Find the mapping that `address` lies in and keep it in task->stack_low and stack_high. 0, -ENOENT where it lies in
 * none, or why the list of mappings could not be opened. */
int task_find_stack(struct capture_task *task, uint64_t address);

/* Where the stack ends that `stack_pointer` lies on, once its mapping is known. */
uint64_t task_stack_end(const struct capture_task *task, uint64_t stack_pointer);

/* The parsers, for the tests. 0 or -EINVAL. */
int task_parse_call(const char *text, struct task_call *call);
int task_parse_state(const char *text, char *state);

/* For the fuzzer: task_find_stack() in a file that looks like `maps`, where nothing is known of the stack yet. */
bool task_find_stack_in(struct capture_task *task, int fd, uint64_t address);

#endif
