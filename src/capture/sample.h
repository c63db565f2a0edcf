/* SPDX-License-Identifier: Apache-2.0
 *
 * sample.h - what one capture of one thread found
 *
 * A sample is raw: registers and a copy of the stack, taken either without a signal (the thread sleeps in a system
 * call: only SP and PC are known) or by the handler (all registers). The buffer behind `stack` belongs to capture/
 * and is overwritten by the next capture: unwind first.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_CAPTURE_SAMPLE_H
#define LOOPDOG_CAPTURE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DWARF's numbers of the registers, as libunwind uses them. */
#define SAMPLE_REGISTERS 17
#if defined(__x86_64__)
#define SAMPLE_FP 6
#define SAMPLE_SP 7
#define SAMPLE_PC 16
#else
#error "capture/sample.h: register numbers of this architecture are not known"
#endif

/* Why a sample has no stack. capture_loss_text() has the words for people. */
enum capture_loss {
        CAPTURE_OK,
        CAPTURE_ENDED,           /* the iteration ended before the capture was complete: thrown away */
        CAPTURE_MOVED,           /* the thread ran while its stack was copied, time after time */
        CAPTURE_NOT_DUMPABLE,    /* /proc/self/task/TID/syscall may not be opened after setuid or PR_SET_DUMPABLE */
        CAPTURE_NO_PROC,         /* no /proc here (chroot or container) */
        CAPTURE_NO_SIGNAL,       /* no free real-time signal */
        CAPTURE_SIGNAL_UNWANTED, /* LOOPDOG_SIGNAL=none */
        CAPTURE_SIGNAL_BLOCKED,  /* the thread blocks the signal and is on the CPU */
        CAPTURE_SIGNAL_TAKEN,    /* the program changed the signal's action */
        CAPTURE_SIGNAL_LATE,     /* the thread did not run its handler in time */
        CAPTURE_STOPPED,         /* the thread is stopped (SIGSTOP, debugger) */
        CAPTURE_UNREADABLE,      /* process_vm_readv failed (seccomp, kernel option) */
        CAPTURE_NO_MEMORY,       /* there was none for what a capture needs */
        CAPTURE_GONE,            /* the thread has ended */
        CAPTURE_FORBIDDEN,       /* the process is about to exec */
        CAPTURE_NO_FILES,        /* no descriptor is left */
        CAPTURE_FILTERED,        /* a seccomp filter forbids a system call that is needed */
        CAPTURE_FILTERED_THREAD, /* the thread runs, and has a seccomp filter that was never tried */
        CAPTURE_TRACED,          /* the thread runs under a debugger, which every signal would stop */
        CAPTURE_IN_HANDLER,      /* the thread runs a handler, on a stack that may have no room for ours */
        CAPTURE_NO_ROOM,         /* its alternate signal stack is too small for our handler's work */
        CAPTURE_SMALL_STACK,     /* it may run on a stack without room for the kernel's frame and our handler's work */
        CAPTURE_RUNNING,         /* the thread ran, and a signal was not allowed yet */
        CAPTURE_LOSSES,
};

/* What the kernel has counted of a thread since it began (usage.c). */
struct sample_usage {
        bool known;          /* the fields but `delay_ns` are valid */
        uint64_t user_ticks; /* of CPU time, 10 ms each */
        uint64_t system_ticks;
        uint64_t major_faults; /* pages that had to be read from a file or from swap */
        uint64_t voluntary;    /* switches: it slept, */
        uint64_t involuntary;  /* or another thread was given its CPU */
        bool delay_known;
        uint64_t delay_ns; /* ready to run, but without a CPU */
};

struct sample {
        uint64_t time_ns;    /* clock_now_ns() when it was taken */
        uint64_t counted_ns; /* when `cpu_ns` and `usage` were read: a handler may have come much later */
        uint64_t cpu_ns;     /* CPU time of the thread so far; 0: not known */
        uint64_t switches;   /* its voluntary context switches so far; 0: not known */
        char state;          /* R S D T t Z ... from /proc/self/task/TID/stat; 0: not known */
        int syscall;         /* number of the call it sleeps in; -1: none (it runs, or is in a page fault) */
        bool syscall_known;  /* `syscall` and `arguments` were read */
        bool by_signal;      /* taken by the handler: all registers are valid */
        uint64_t arguments[6];
        struct sample_usage usage; /* of a loop's thread only */

        uint64_t mark;          /* the loop's mark word at the moment of the copy */
        enum capture_loss loss; /* CAPTURE_OK: the fields below are valid */
        uint64_t registers[SAMPLE_REGISTERS];
        bool registers_complete; /* false: only SAMPLE_SP and SAMPLE_PC are valid */
        const uint8_t *stack;    /* copy of [stack_address, stack_address + stack_length) */
        uint64_t stack_address;  /* at most SP - 128 (the red zone) for a running thread */
        size_t stack_length;
        bool truncated;   /* the stack goes on beyond the copy */
        bool accompanied; /* the companion has copied at the same moment (capture_accompany()) */
};

const char *capture_loss_text(enum capture_loss loss);

#endif
