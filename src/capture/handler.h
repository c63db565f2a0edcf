/* SPDX-License-Identifier: Apache-2.0
 *
 * handler.h - the request between the watchdog and the signal handler
 *
 * One request at a time. Its word is the only thing both sides write: the watchdog makes it ASKED with a new
 * generation and fills the rest first; the handler that moves it to COPYING owns the buffer and the answer until it
 * makes it DONE. A request that took too long is taken back by moving ASKED to IDLE, so a handler that runs late finds
 * nothing to answer; one that is already COPYING can't be taken back and is waited for before the next request.
 *
 * Context: watchdog and signal handler
 */
#ifndef LOOPDOG_CAPTURE_HANDLER_H
#define LOOPDOG_CAPTURE_HANDLER_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/sample.h"

enum request_state {
        REQUEST_IDLE,
        REQUEST_ASKED,
        REQUEST_COPYING,
        REQUEST_DONE,
};

#define REQUEST_WORD(generation, state) ((uint64_t)(generation) << 2 | (state))

struct request {
        _Atomic uint64_t word;
        /* asked */
        uint64_t stack_low; /* the mapping that holds the stack, as far as is known */
        uint64_t stack_high;
        uint8_t *buffer;                 /* LIMIT_STACK_BYTES, touched */
        const _Atomic uint64_t *mark;    /* the loop's, or NULL */
        void (*companion_sigsafe)(void); /* copies more, or NULL */
        /* answered */
        uint64_t registers[SAMPLE_REGISTERS];
        uint64_t bound; /* the thread pointer */
        uint64_t stack_address;
        uint64_t stack_length; /* 0: not readable */
        uint64_t mark_seen;
        bool truncated;
        bool no_room; /* the handler had no room to work in: nothing above is answered */
};

/* When the signals of the last few generations were sent; a handler may run after its request was taken back. */
#define SENDINGS 64
struct sending {
        _Atomic uint32_t generation;
        _Atomic uint64_t running_ns; /* CLOCK_MONOTONIC: the thread was seen running at or after this moment */
        _Atomic uint64_t sent_ns;    /* the signal was pending at this moment; 0: not known (yet) */
};

/* What tells our signals from others' of the same number, and what counts them. */
struct handler {
        _Atomic int number;        /* of our signal; 0: none */
        _Atomic int32_t pid;       /* of the process that may send it; 0: none */
        _Atomic uint32_t cookie;   /* upper half of si_value; the lower half is the generation */
        _Atomic uint64_t arrived;  /* signals of ours that were delivered or drained */
        _Atomic uint64_t mended;   /* calls that were made to go on */
        _Atomic uint64_t unmended; /* calls whose EINTR the program saw */
        struct request request;
        struct sending sendings[SENDINGS];
};

extern struct handler handler;

/* Of stack, below the kernel's frame: for the handler and the mending, which use some 700 (more in a debug build); and
 * for the handler until it has found out that it has less, some 210. */
#define HANDLER_ROOM_BYTES 1536
#define HANDLER_ENTRY_BYTES 256

/* The action of the signal. */
void handler_sigsafe(int number, siginfo_t *info, void *context);

/* Was this signal sent by us? */
bool handler_is_ours_sigsafe(const siginfo_t *info);

/* Every signal that must not arrive while the handler runs, as the kernel's mask: see handler.c. */
#define HANDLER_MASK                                                                                                   \
        (~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) | 1ull << (SIGFPE - 1) |                \
           1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1) | 1ull << (SIGABRT - 1)))

/* The kernel's struct sigaction, for rt_sigaction without libc. */
struct kernel_action {
        uint64_t handler;
        uint64_t flags;
        uint64_t restorer;
        uint64_t mask;
};

#endif
