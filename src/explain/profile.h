/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h - the samples of one stall, equal stacks counted together
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_PROFILE_H
#define LOOPDOG_EXPLAIN_PROFILE_H

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
};

/* What most of the samples that knew it have said. */
struct profile_word {
        uint32_t votes;
        char text[128];
};

/* Another thread that had to do with it, as it was seen most. */
struct profile_other {
        int32_t tid;
        uint32_t votes;
        uint16_t frames_count;
        struct frame frames[LIMIT_OTHER_FRAMES];
};

struct profile {
        uint32_t samples;    /* all, with and without a stack */
        uint32_t running;    /* state R, not in a system call */
        uint32_t blocked;    /* asleep in a system call */
        uint32_t faulting;   /* state D outside of a system call */
        uint32_t stopped;    /* state T or t */
        uint32_t locked_out; /* of `blocked`: waited for the lock of an interpreter */
        uint32_t losses[CAPTURE_LOSSES];
        uint32_t stacks_dropped;
        uint32_t script_losses;  /* samples that should have frames of a script but have none */
        const char *script_loss; /* why, of the last of them */
        struct profile_word called, task, coroutine;
        /* The first and the last sample, for what passed in between. */
        uint64_t first_ns, last_ns;
        uint64_t first_cpu_ns, last_cpu_ns;
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
        struct profile_other holder; /* of the interpreter's lock; valid with frames_count */
};

void profile_clear(struct profile *profile);

/* Count a sample. `stack` is NULL where it has none, `context` where nothing is known of a script. */
void profile_add(struct profile *profile, const struct sample *sample, const struct stack *stack,
                 const struct script_context *context);

/* The sample that was just counted waited for an interpreter's lock. `holder` is the stack of the thread that held it,
 * NULL where that is not known. */
void profile_add_locked_out(struct profile *profile, int32_t tid, const struct stack *holder);

/* Count a sample that came too late: the iteration had just ended. Only its CPU time is worth keeping. */
void profile_add_ended(struct profile *profile, const struct sample *sample);

/* Index of the stack with most samples, of equals one that is not cut, or -1. */
int profile_main_stack(const struct profile *profile);

/* The system call with most samples, or -1; its count in *count. */
int profile_main_call(const struct profile *profile, uint32_t *count);

#endif
