/* SPDX-License-Identifier: Apache-2.0
 *
 * fde.h - which function an address belongs to, by .eh_frame_hdr
 *
 * libunwind looks this up too, but only inside its step: the walk must know beforehand whether there is unwind
 * information at all (libunwind 1.6's own guesses without it end a walk as if the stack had ended there), and it wants
 * the start of the function for every frame.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_FDE_H
#define LOOPDOG_UNWIND_FDE_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind/elf.h"

struct fde {
        uint64_t start, end; /* the code that it describes */
        uint64_t entry;      /* address of its 8 bytes in the search table */
        bool signal_frame;   /* the kernel's frame for a signal handler: what it interrupted is above it */
};

/* Find the entry for `pc` by the .eh_frame_hdr at `header`. 0; -ENOENT: no function there is described; -EINVAL: the
 * header or the entry is of a kind not understood (only version 1 with the encodings that all linkers write), or is
 * not readable. */
int fde_find(const struct elf_reader *reader, uint64_t header, uint64_t pc, struct fde *fde);

#endif
