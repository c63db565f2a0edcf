/* SPDX-License-Identifier: Apache-2.0
 *
 * mend.h - make a system call go on that our signal has interrupted
 *
 * A thread that was running when its signal was sent may have entered a system call when it arrives. Most calls the
 * kernel starts again by itself (SA_RESTART); those that wait with a time limit fail with EINTR, or return less than
 * was asked for, in programs that never expected it. So the handler lets such a thread return to mend_stub() instead
 * of the instruction after its `syscall`: on the thread's own stack, with the call's arguments at hand, outside of any
 * signal handler. There mend_run_sigsafe() makes the call again with what is left of its time, and then the program
 * goes on with that call's result, all registers as the kernel would have left them.
 *
 * Why not in the handler: the call may last for hours. A signal frame (3.6 KB with AVX-512) would stand on the stack
 * all that time, on the alternate stack of 8 KB where the thread has one, and the next signal of the program would
 * overflow it. That also rules out restart_syscall(), which works before the handler's return only.
 *
 * Why not by repeating the `syscall` instruction: a relative timeout would begin anew each time.
 *
 *     mend_x86_64.c  what depends on the processor: which call was it, the stub, the registers
 *     mend_run.c     one row a system call that can fail with EINTR: how it is made again
 *     mend_rest.c    calls that return less than was asked for
 *
 * What can't be mended: a call whose number can't be read from the code before it (syscall(2) of libc); the program's
 * `rem` of a nanosleep() that was not cut short holds what was left when we interrupted it; recvmmsg(), sendmmsg(),
 * sendfile() and splice() that have moved something already. And a signal of the program's own is taken for ours, so
 * that its EINTR is not shown, where its handler has run and returns in the microsecond in which ours arrives, or
 * blocks ours and begins between our look at the thread's signal mask and our signal (some 10 us).
 *
 * Context: handler, and on the host's thread after it. All of it async-signal-safe.
 */
#ifndef LOOPDOG_CAPTURE_MEND_H
#define LOOPDOG_CAPTURE_MEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "capture/sample.h"

/* What the stub finds at its stack pointer. The first three and the size are known to its assembly. */
struct mend_frame {
        uint64_t stack_pointer;   /* of the program, at its call */
        uint64_t program_counter; /* the instruction after its `syscall` */
        uint64_t flags;
        uint64_t arguments[6]; /* of its call */
        int64_t number;
        int64_t result;       /* -EINTR, or how much was done of what was asked for */
        uint64_t mask;        /* the program's signal mask; until we set it again, HANDLER_MASK is in force */
        uint64_t running_ns;  /* the call was entered after this moment; 0: not known */
        uint64_t sent_ns;     /* the call was entered before this moment; 0: not known */
        uint64_t handler_ns;  /* the call was interrupted shortly before this moment */
        uint64_t interrupted; /* set by our handler while mend_call_sigsafe() is at work */
};

/* One system call to be made. */
struct mend_call {
        int64_t number;
        uint64_t arguments[6];
};

#define MEND_INTERRUPTED (-512) /* a result that no call has: EINTR because of one more of our signals */

/* ---- mend_x86_64.c ---- */

/* Find out how `syscall` behaves here. Once, before the first signal. */
void mend_start(void);

/* How much of a stack the kernel's frame of a signal may take here, without the tiles of AMX: before a thread gets them
 * the kernel itself sees to it that the alternate stacks are large enough. */
uint64_t mend_frame_bytes(void);

/* In the handler: where `context` has been interrupted in a call that can be mended, fill `frame` (its times are
 * already there) and change `context` so that the thread goes on in the stub. `frame` must lie in the outermost
 * function of the handler. */
bool mend_sigsafe(ucontext_t *context, struct mend_frame *frame);

/* Is it EINTR that the program will see, because of us? For the account: after mend_sigsafe() has said no. */
bool mend_failed_sigsafe(const ucontext_t *context);

/* DWARF's registers of an interrupted thread. */
void mend_registers_sigsafe(const ucontext_t *context, uint64_t registers[SAMPLE_REGISTERS]);

/* Watchdog: was the thread about to leave a system call when these registers were taken? Its first argument. */
bool mend_leaves_call(const uint64_t registers[SAMPLE_REGISTERS], uint64_t *first_argument);

/* For sigaction: where a handler returns to, as libc's own. */
extern const char mend_handler_return[] __attribute__((visibility("hidden")));

/* Make a call. `frame` is what mend_see_through() will find. */
long mend_call_sigsafe(const struct mend_call *call, struct mend_frame *frame);

/* Watchdog: a thread that sleeps in mend_call_sigsafe() is shown as sleeping in its own call. false: it is not there.
 * */
bool mend_see_through(uint64_t program_counter, uint64_t stack_pointer, struct mend_frame *frame);

/* For the tests: the number of the system call whose instruction ends at the end of `code`, or -1. */
int mend_decode_sigsafe(const uint8_t *code, size_t length);

/* The same where it was in one of the interrupted thread's registers. */
int mend_decode_moved_sigsafe(const uint8_t *code, size_t length, const uint64_t registers[SAMPLE_REGISTERS]);

/* ---- mend_run.c ---- */

/* Is there something to mend in a call that ended with this result? */
bool mend_knows_sigsafe(int64_t number, const uint64_t arguments[6], int64_t result);

/* On the thread's own stack: make it go on, and return what the call returns to its program. */
long mend_run_sigsafe(struct mend_frame *frame);

/* Of an io_uring_enter() that has submitted all it was to: wait for what is left of its time. */
long mend_wait_sigsafe(struct mend_frame *frame);

uint64_t mend_now_ns_sigsafe(void); /* CLOCK_MONOTONIC, without libc, which may be interposed */

/* Put the program's signal mask in force. false: a signal of its own has been waiting and was delivered by that; its
 * call must end as interrupted. */
bool mend_unblock_sigsafe(const struct mend_frame *frame);

/* ---- mend_rest.c ---- */

/* Is `result` less than this call was asked for, so that a blocking one must have been interrupted? */
bool mend_is_short_sigsafe(int64_t number, const uint64_t arguments[6], int64_t result);

/* Do the rest of it and return the whole. */
long mend_rest_sigsafe(struct mend_frame *frame);

#endif
