/* SPDX-License-Identifier: Apache-2.0
 *
 * blocked.c - capture a thread that sleeps, without a signal
 *
 * The kernel tells where the thread's user stack and program counter are; its stack is copied from outside, and the
 * copy counts only if the thread has not run meanwhile. To know that, two things are read before and after:
 * `syscall` (what it sleeps in, and where) and its count of voluntary context switches. A thread that repeats one and
 * the same call looks the same in `syscall` every time, but to sleep again it must have switched once more.
 *
 * Context: watchdog
 */
#include "capture/blocked.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "capture/mend.h"

#define RED_ZONE 128

static bool is_on_known_stack(const struct capture_task *task, uint64_t stack_pointer)
{
        return stack_pointer >= task->stack_low && stack_pointer < task->stack_high;
}

static enum capture_loss copy_stack(struct capture_task *task, uint64_t stack_pointer, uint8_t *buffer,
                                    struct sample *sample)
{
        int error = is_on_known_stack(task, stack_pointer) ? 0 : task_find_stack(task, stack_pointer);
        if (error != 0)
                return error == -EMFILE || error == -ENFILE ? CAPTURE_NO_FILES : CAPTURE_UNREADABLE;
        uint64_t start = stack_pointer - RED_ZONE;
        if (start < task->stack_low || start > stack_pointer)
                start = task->stack_low;
        uint64_t end = task_stack_end(task, stack_pointer);
        uint64_t length = end - start;
        if (length > LIMIT_STACK_BYTES)
                length = LIMIT_STACK_BYTES;
        ssize_t n = memory_read_sigsafe(start, buffer, length);
        if (n <= (ssize_t)(stack_pointer - start)) {
                task->stack_low = task->stack_high = 0; /* not mapped like this any more */
                return n == -EFAULT ? CAPTURE_MOVED : CAPTURE_UNREADABLE;
        }
        sample->stack = buffer;
        sample->stack_address = start;
        sample->stack_length = (size_t)n;
        sample->truncated = start + (uint64_t)n < end;
        return CAPTURE_OK;
}

/* Where the thread sleeps as its program sees it: in its own call also while we make that call go on for it. */
static struct task_call own_call(const struct task_call *call)
{
        struct mend_frame frame;
        struct task_call own = *call;
        if (mend_see_through(call->program_counter, call->stack_pointer, &frame)) {
                own.number = (int)frame.number;
                memcpy(own.arguments, frame.arguments, sizeof(own.arguments));
                own.stack_pointer = frame.stack_pointer;
                own.program_counter = frame.program_counter;
        }
        return own;
}

static bool is_same_call(const struct task_call *a, const struct task_call *b)
{
        return a->asleep == b->asleep && a->number == b->number && a->stack_pointer == b->stack_pointer &&
               a->program_counter == b->program_counter &&
               memcmp(a->arguments, b->arguments, sizeof(a->arguments)) == 0;
}

static bool has_not_run(const struct capture_task *task, const struct task_call *before,
                        const struct task_status *status)
{
        struct task_call call_now;
        struct task_status status_now;
        return task_read_call(task, &call_now) == 0 && is_same_call(&call_now, before) &&
               task_read_status(task, &status_now) == 0 && status_now.switches == status->switches;
}

enum capture_loss blocked_take(struct capture_task *task, const struct task_call *before, uint8_t *buffer,
                               void (*companion_sigsafe)(void), struct sample *sample)
{
        struct task_status status;
        if (task_read_status(task, &status) != 0)
                return capture_task_gone(task) ? CAPTURE_GONE : CAPTURE_NO_PROC;
        struct task_call call = own_call(before);
        sample->state = status.state;
        sample->switches = status.switches;
        sample->syscall = call.number;
        sample->syscall_known = true;
        memcpy(sample->arguments, call.arguments, sizeof(sample->arguments));
        if (status.state == 'Z' || status.state == 'X')
                return CAPTURE_GONE;
        if (status.state == 'T' || status.state == 't')
                return CAPTURE_STOPPED;
        if (!call_allowed_sigsafe(SYS_process_vm_readv) || !call_allowed_sigsafe(SYS_openat))
                return CAPTURE_FILTERED;
        sample->time_ns = clock_now_ns();
        enum capture_loss loss = copy_stack(task, call.stack_pointer, buffer, sample);
        if (loss == CAPTURE_OK && companion_sigsafe != NULL)
                companion_sigsafe();
        sample->mark = task->mark != NULL ? atomic_load(task->mark) : 0; /* it has not run since, as will be seen */
        if (!has_not_run(task, before, &status))
                return CAPTURE_MOVED;
        sample->accompanied = loss == CAPTURE_OK && companion_sigsafe != NULL;
        sample->registers[SAMPLE_SP] = call.stack_pointer;
        sample->registers[SAMPLE_PC] = call.program_counter;
        return loss;
}

bool blocked_stays(const struct capture_task *task, const struct sample *sample)
{
        struct task_call call;
        struct task_status status;
        if (task_read_call(task, &call) != 0 || !call.asleep)
                return false;
        call = own_call(&call);
        return call.number == sample->syscall && call.stack_pointer == sample->registers[SAMPLE_SP] &&
               call.program_counter == sample->registers[SAMPLE_PC] &&
               memcmp(call.arguments, sample->arguments, sizeof(call.arguments)) == 0 &&
               task_read_status(task, &status) == 0 && status.switches == sample->switches;
}
