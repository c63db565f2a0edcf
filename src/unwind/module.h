/* SPDX-License-Identifier: Apache-2.0
 *
 * module.h - the ELF objects mapped into this process
 *
 * Read from /proc/self/maps (through the descriptor that base/proc keeps, so that it works after chroot) and from the
 * objects' headers in memory (through process_vm_readv: they may vanish at any time). Entries are never changed once
 * made, but for `deleted`, so that an index in a stack stays good after a dlclose; when the table is full, new objects
 * have no module.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_MODULE_H
#define LOOPDOG_UNWIND_MODULE_H

#include <stdbool.h>
#include <stdint.h>

struct module {
        const char *path;              /* as in maps, without " (deleted)"; "[vdso]" */
        const char *name;              /* its last component */
        char build_id[41];             /* lower-case hexadecimal; empty: it has none */
        bool deleted;                  /* the file was removed or replaced since it was mapped */
        uint64_t start, end;           /* of all its mappings */
        uint64_t bias;                 /* address of a mapped byte minus its ELF virtual address (p_vaddr) */
        uint64_t read_only_end;        /* nothing from start to here can be written to */
        uint64_t code_start, code_end; /* from the first executable segment to the end of the last */
        uint64_t eh_frame_hdr;         /* address, 0: none */
        uint64_t eh_frame_hdr_length;
};

/* Find the loader's lock-free look-up (_dl_find_object, glibc 2.35), without which a dlclose that passed by the hook
 * goes unnoticed. Takes the loader's lock; any thread; called by unwind_load(). */
void modules_load(void);

/* The module at `address`, reading maps again where the address is new and something may have been loaded since.
 * Returns its index, or MODULE_NONE. */
uint16_t module_find(uint64_t address);

/* The same without ever reading maps: what is known by now. */
uint16_t module_known(uint64_t address);

/* Is there code at `address`, in an ELF object or in anonymous memory (a JIT)? Reads maps again as module_find() does;
 * where maps can't be read, true for what the loader knows. The second never reads maps. */
bool module_is_code(uint64_t address);
bool module_code_known(uint64_t address);

/* The .eh_frame_hdr of the object at `address`: from the loader, else from the table; 0: none. */
uint64_t module_eh_frame_hdr(uint64_t address);

/* The module with this index; never NULL for an index that module_find() returned. */
const struct module *module_get(uint16_t index);

/* How many there are by now: the indices below it are valid. Objects that were unloaded since are among them. */
unsigned modules_count(void);

/* The address of a symbol that the module exports, or 0. */
uint64_t module_symbol(const struct module *module, const char *name);

/* Offset in the module's file of an address in it: what addr2line and the reader need together with the build-id. It
 * is the ELF virtual address (p_vaddr space), which for the usual objects equals the file offset of the code's
 * segment plus its distance: documented as "offset" in docs/records.md. */
uint64_t module_offset(const struct module *module, uint64_t address);

/* The host unloaded or loaded objects: maps is read again at the next new address and caches are flushed. Called by
 * the hook of dlclose; async-signal-safe, any thread. */
void modules_note_change(void);

/* Whether something changed since the last call, once. */
bool modules_changed(void);

/* A number that grows with every change, for those that can't rely on modules_changed(). */
unsigned modules_generation(void);

void modules_after_fork(void);

#endif
