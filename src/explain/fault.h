/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.h - which memory a page fault waited for
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_FAULT_H
#define LOOPDOG_EXPLAIN_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "unwind/unwind.h"

/* The faults of one stall, while it lasts. Zeroed: none was seen. */
struct fault_watch {
        bool seen;     /* the thread was found in one */
        bool watching; /* the kernel notes the address of each that ends: in the ring, through `fd` */
        int fd;
        void *ring;
        uint64_t code;    /* address of an instruction that was not in memory itself; 0: none was seen */
        const char *loss; /* why the kernel does not note them, in words; NULL where it does */
        char channel[48]; /* the kernel's function in which it slept */
};

/* What they waited for. */
struct fault_memory {
        uint32_t faults;       /* whose address is known and lies in it; 0: nothing is known */
        uint64_t address;      /* of the first of them */
        uint64_t offset;       /* of its page in the file; 0 where there is no file */
        char what[LIMIT_WHAT]; /* the file, or "swap" */
        char device[LIMIT_WHAT];
        const char *channel; /* the kernel's function in which it slept; "": not known */
        const char *loss;    /* why it is not known which memory, in words; NULL: it is, or no fault has ended yet */
};

/* Does the thread of this sample wait for memory? It sleeps, and in no system call. */
bool fault_is_waited_for(const struct sample *sample);

/* Thread `tid` was found in a fault by this sample: look at what can only be seen now, and have the kernel note from
 * now on. True: what was seen counts only if the thread still sleeps there; the caller looks, and withdraws it
 * otherwise. Takes some 100 us at the first, nothing at later ones. */
bool fault_look(struct fault_watch *watch, int32_t tid, const struct sample *sample);
void fault_withdraw(struct fault_watch *watch);

/* What is known by now. Reads the list of mappings. `memory` borrows from `watch`. */
void fault_find(const struct fault_watch *watch, int32_t tid, struct fault_memory *memory);

/* A part of it, for the tests: the mapping with most of the addresses, by the text of /proc/PID/maps in `maps_fd`. */
void fault_find_in(int maps_fd, int32_t tid, const uint64_t *addresses, unsigned count, struct fault_memory *memory);

/* The stall is over, or the watchdog ends: nothing is noted any more. */
void fault_end(struct fault_watch *watch);

#endif
