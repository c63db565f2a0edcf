/* SPDX-License-Identifier: Apache-2.0
 *
 * elf.h - what the agent needs of an ELF object: segments, build-id, function symbols
 *
 * Everything is read through a callback, so that the same code serves a file, an object in memory that may vanish
 * while it is read, and the fuzzer. Nothing that is read is believed: every length has a bound, sums do not overflow,
 * and the work done for one object is limited.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_ELF_H
#define LOOPDOG_UNWIND_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS 16      /* PT_LOAD segments of one object; further ones are not seen */
#define ELF_NOTES 4          /* PT_NOTE segments of one object, likewise */
#define ELF_BUILD_ID_TEXT 41 /* 20 bytes in hexadecimal and a NUL; a longer build-id is cut */

struct elf_reader {
        /* Copy exactly `length` bytes at `offset`; false where they are not all there. */
        bool (*read)(void *context, uint64_t offset, void *buffer, size_t length);
        void *context;
};

struct elf_segment {
        uint64_t address; /* p_vaddr */
        uint64_t memory_length;
        uint64_t offset; /* in the file */
        uint64_t file_length;
        bool executable;
        bool writable;
};

/* The header and the program headers of an object. Addresses are ELF virtual addresses: without the bias. */
struct elf_layout {
        struct elf_segment loads[ELF_SEGMENTS];
        unsigned load_count;
        struct elf_segment notes[ELF_NOTES];
        unsigned note_count;
        uint64_t low, high;           /* whole pages from the first to the last PT_LOAD */
        uint64_t read_only_high;      /* nothing below it (and above low) may be written to */
        uint64_t code_low, code_high; /* from the first to the end of the last executable segment */
        uint64_t dynamic, dynamic_length;
        uint64_t eh_frame_hdr, eh_frame_hdr_length;
        uint64_t sections; /* section headers' offset in the file; 0: none */
        uint16_t section_count;
};

/* Read the header at `at` (0 in a file, the first byte in memory). 0, or -EINVAL where it is no ELF object of this
 * machine with at least one PT_LOAD. */
int elf_read_layout(const struct elf_reader *reader, uint64_t at, struct elf_layout *layout);

/* The build-id in lower-case hexadecimal from the notes in a file, or of an object in memory with this bias. Returns
 * false, and an empty text, where there is none. */
bool elf_file_build_id(const struct elf_reader *reader, const struct elf_layout *layout, char text[ELF_BUILD_ID_TEXT]);
bool elf_image_build_id(const struct elf_reader *reader, const struct elf_layout *layout, uint64_t bias,
                        char text[ELF_BUILD_ID_TEXT]);

/* Where a symbol table and its strings are, in the reader's offsets. */
struct elf_symbols {
        uint64_t symbols;
        uint64_t count;
        uint64_t strings;
        uint64_t strings_length;
};

enum elf_table { ELF_SYMTAB, ELF_DYNSYM };

/* Find a table by the section headers of a file. -ENOENT: it has no such table. */
int elf_file_symbols(const struct elf_reader *reader, const struct elf_layout *layout, enum elf_table which,
                     struct elf_symbols *symbols);

/* Find .dynsym of an object in memory by its PT_DYNAMIC; its size is taken from DT_HASH or DT_GNU_HASH. */
int elf_image_symbols(const struct elf_reader *reader, const struct elf_layout *layout, uint64_t bias,
                      struct elf_symbols *symbols);

/* One address whose function is wanted, and the answer. */
struct elf_query {
        uint64_t address; /* ELF virtual address */
        uint64_t low;     /* a symbol without a size counts from here on: start of the FDE or section; 0: never */
        uint16_t section; /* it must then be of this section; 0: any */
        bool found;
        bool local;      /* its binding is STB_LOCAL */
        uint64_t value;  /* the symbol's address */
        uint64_t length; /* its size; 0: has none */
        uint32_t name;   /* for elf_symbol_name() */
};

/* For queries without `low`, find the section that holds the address. */
void elf_file_query_sections(const struct elf_reader *reader, const struct elf_layout *layout,
                             struct elf_query *queries, size_t count);

/* Answer all queries, sorted by address, in one pass. A function symbol that contains the address is preferred to one
 * without size below it; the one that begins last; a global one to a local one; the name with fewer underscores in
 * front. Answers already found are kept unless a better one is met. Returns false where the pass was cut short by its
 * limits or by an unreadable table. */
bool elf_symbols_scan(const struct elf_reader *reader, const struct elf_symbols *symbols, struct elf_query *queries,
                      size_t count);

/* The name as a string, cut to the capacity. Its length; 0: none. */
size_t elf_symbol_name(const struct elf_reader *reader, const struct elf_symbols *symbols, uint32_t name, char *buffer,
                       size_t capacity);

/* The ELF virtual address of a symbol that an object in memory exports, by its DT_GNU_HASH. 0: it has none. */
uint64_t elf_image_symbol(const struct elf_reader *reader, const struct elf_layout *layout, uint64_t bias,
                          const char *name);

#endif
