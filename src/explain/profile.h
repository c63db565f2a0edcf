/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h - the samples of one stall, equal stacks counted together
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_PROFILE_H
#define LOOPDOG_EXPLAIN_PROFILE_H

#include "explain/machine.h"
#include "explain/whom.h"
#include "script/script.h"
#include "unwind/unwind.h"

struct profile_stack {
        uint32_t count;
        uint64_t first_ns; /* clock_now_ns() of its first and last sample */
        uint64_t last_ns;
        char state; /* of the thread at the last */
        bool complete;
        bool truncated;
        uint16_t first_frame; /* in profile.frames */
        uint16_t frames_count;
        uint16_t callback; /* index of the frame that the loop has called; PROFILE_NO_CALLBACK: not known */
};
#define PROFILE_NO_CALLBACK UINT16_MAX

/* What most of the samples that knew it have said. */
struct profile_word {
        uint32_t votes;
        char text[128];
};

struct profile {
        uint32_t samples;        /* all, with and without a stack */
        uint32_t running;        /* state R, not in a system call */
        uint32_t blocked;        /* asleep in a system call */
        uint32_t faulting;       /* asleep outside of system calls */
        uint32_t unclear;        /* state D, in a system call or not: that could not be read */
        uint32_t stopped;        /* state T or t */
        uint32_t locked;         /* of `blocked`: waited for a lock, or for whoever holds one */
        uint32_t locked_out;     /* of `blocked`: waited for the lock of an interpreter */
        uint32_t waits;          /* of `blocked`: waited for a thread that is known, or might be */
        bool deadlock;           /* a cycle was seen twice, and the thread had not run in between */
        uint64_t cycle_switches; /* its switches when a cycle was last seen; 0: not in the last sample */
        uint64_t stopped_ns;     /* between samples that both found it stopped, */
        uint64_t doubtful_ns;    /* and between those that did not agree */
        bool first_stopped, last_stopped;
        uint32_t callbacks; /* so many at least were run one after the other: the samples' callbacks changed */
        uint64_t last_callback;
        uint32_t losses[CAPTURE_LOSSES];
        uint32_t stacks_dropped;
        uint32_t script_losses;  /* samples that should have frames of a script but have none */
        const char *script_loss; /* why, of the last of them */
        struct profile_word called, task, coroutine;
        struct profile_word object; /* what it waited for: "mutex" */
        /* The first and the last sample, for what passed in between. */
        uint64_t first_ns, last_ns;
        /* What was counted of the thread by then, and when that was read. */
        uint64_t first_counted_ns, last_counted_ns;
        uint64_t first_cpu_ns, last_cpu_ns;
        struct sample_usage first_usage, last_usage;
        struct machine_reading machine; /* at the first sample */
        /* The system calls it slept in, by number of samples; the first few are enough to name the main one. */
        struct {
                int number;
                uint32_t count;
        } calls[8];
        uint32_t calls_count;
        uint32_t stacks_count;
        uint32_t frames_count;
        struct profile_stack stacks[LIMIT_STACKS];
        struct frame frames[LIMIT_STALL_FRAMES];
        uint32_t chain_votes;
        struct whom_chain chain; /* whom it waited for, as was seen most; valid with `waits` */
};

void profile_clear(struct profile *profile);

/* Count a sample. `stack` is NULL where it has none, `callback` the index in it of the frame that the loop has called,
 * or PROFILE_NO_CALLBACK; `context` is NULL where nothing is known of a script. */
void profile_add(struct profile *profile, const struct sample *sample, const struct stack *stack, unsigned callback,
                 const struct script_context *context);

/* The sample that was just counted waited for a thread, or for something that is known; `switches` is how often the
 * stalled thread had slept by then. */
void profile_add_wait(struct profile *profile, const struct whom_chain *chain, uint64_t switches);

/* It was looked at once more, which is no sample of its own: do those threads still wait for each other? */
void profile_see_cycle(struct profile *profile, const struct whom_chain *chain, uint64_t switches);

/* Count a sample that came too late: the iteration had just ended. Only its CPU time is worth keeping. */
void profile_add_ended(struct profile *profile, const struct sample *sample);

/* Index of the stack with most samples, of equals one that is not cut, or -1. */
int profile_main_stack(const struct profile *profile);

/* The system call with most samples, or -1; its count in *count. */
int profile_main_call(const struct profile *profile, uint32_t *count);

#endif
