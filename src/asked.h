/* SPDX-License-Identifier: Apache-2.0
 *
 * asked.h - what a program asks of the agent as a whole: to start, stop, flush and dump
 *
 * Context: each function says which
 */
#ifndef LOOPDOG_ASKED_H
#define LOOPDOG_ASKED_H

#include <stdbool.h>
#include <stdint.h>

struct slot;

/* `use_settings` makes the stages go by `config` as it is. Constructor. */
void asked_setup(void (*use_settings)(void));

/* Where a dump was asked for: write each loop. `dump_loop` is told the dump's number, which counts from 1, and answers
 * whether anything was written. Watchdog. */
void asked_dump(bool (*dump_loop)(struct slot *slot, uint64_t id));

/* In the child, in its only thread. */
void asked_after_fork(void);

#endif
