/* SPDX-License-Identifier: Apache-2.0
 *
 * unwind_victims.h - threads with known stacks, and samples of them
 *
 * Samples are taken here in the two ways that the agent has: from outside while the thread sleeps (SP and PC only) and
 * by a signal handler (all registers).
 *
 * Context: tests
 */
#ifndef LOOPDOG_TESTS_UNWIND_VICTIMS_H
#define LOOPDOG_TESTS_UNWIND_VICTIMS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "capture/sample.h"

struct victim {
        void (*body)(struct victim *victim);
        pthread_t thread;
        pid_t tid;
        atomic_bool ready; /* set by the body shortly before it blocks or spins */
        atomic_bool stop;  /* a spinning body looks at it */
        int pipe[2];       /* a blocked body reads from it; victim_stop() writes to it */
        int argument;
};

/* Start a thread that runs `body`, and wait until it is ready. */
void victim_start(struct victim *victim, void (*body)(struct victim *victim), int argument);
void victim_stop(struct victim *victim);

/* Called by bodies. */
void victim_block(struct victim *victim); /* in read() */
void victim_spin(struct victim *victim);

/* The sample is in static memory: valid until the next one. False: the thread was not in the state that it needs. */
bool sample_blocked(pid_t tid, struct sample *sample);
bool sample_running(const struct victim *victim, struct sample *sample);

/* Copy a small library to a file of its own, so that it can be loaded, unloaded, replaced and removed. */
void copy_library(const char *name, const char *to);

#endif
