/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_elf.c - no bytes in place of an ELF object make the agent's readers crash, hang or read beyond them
 *
 * The input is eight bytes from which addresses are taken, then a file. It is read as a file and, at address 0, as an
 * object in memory; its .eh_frame_hdr is searched; its text is read as lines of /proc/self/maps.
 *
 * ./dev fuzz builds and runs it. By hand:
 * Build: clang -g -O1 -fsanitize=fuzzer,address,undefined -std=gnu11 -D_GNU_SOURCE -Iinclude -Isrc \
 *              tests/fuzz/fuzz_elf.c src/unwind/elf.c src/unwind/fde.c src/unwind/maps.c -o fuzz_elf
 * Run:   ./fuzz_elf -max_total_time=120 -max_len=16384 tests/fuzz/corpus/elf
 *
 * Context: fuzzer
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unwind/elf.h"
#include "unwind/fde.h"
#include "unwind/maps.h"

#define QUERIES 16

struct input {
        const uint8_t *bytes;
        size_t length;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static bool read_input(void *context, uint64_t offset, void *buffer, size_t length)
{
        const struct input *input = context;
        if (offset > input->length || length > input->length - offset)
                return false;
        memcpy(buffer, input->bytes + offset, length);
        return true;
}

/* Sorted addresses, near the ones that the object has. */
static void make_queries(struct elf_query *queries, const uint8_t seeds[8], uint64_t low)
{
        memset(queries, 0, QUERIES * sizeof(*queries));
        for (unsigned i = 0; i < QUERIES; i++) {
                queries[i].address = (i > 0 ? queries[i - 1].address : low) + 4u * seeds[i % 8];
                queries[i].low = i % 3 ? queries[i].address - seeds[(i + 1) % 8] : 0;
        }
}

static void look_up(const struct elf_reader *reader, const struct elf_symbols *symbols, struct elf_query *queries)
{
        char name[64];
        elf_symbols_scan(reader, symbols, queries, QUERIES);
        for (unsigned i = 0; i < QUERIES; i++) {
                if (!queries[i].found)
                        continue;
                size_t n = elf_symbol_name(reader, symbols, queries[i].name, name, sizeof(name));
                if (n != strlen(name) || n >= sizeof(name))
                        abort();
                if (queries[i].length != 0 && queries[i].address - queries[i].value >= queries[i].length)
                        abort(); /* the answer does not contain the address */
        }
}

static void read_object(const struct elf_reader *reader, const uint8_t seeds[8])
{
        struct elf_layout layout;
        struct elf_symbols symbols;
        struct elf_query queries[QUERIES];
        struct fde fde;
        char text[ELF_BUILD_ID_TEXT];
        if (elf_read_layout(reader, 0, &layout) < 0)
                return;
        elf_file_build_id(reader, &layout, text);
        elf_image_build_id(reader, &layout, 0, text);
        for (int table = ELF_SYMTAB; table <= ELF_DYNSYM; table++) {
                if (elf_file_symbols(reader, &layout, table, &symbols) < 0)
                        continue;
                make_queries(queries, seeds, layout.low);
                elf_file_query_sections(reader, &layout, queries, QUERIES);
                look_up(reader, &symbols, queries);
        }
        make_queries(queries, seeds, layout.low);
        if (elf_image_symbols(reader, &layout, 0, &symbols) == 0)
                look_up(reader, &symbols, queries);
        for (unsigned i = 0; i < QUERIES; i++)
                if (fde_find(reader, layout.eh_frame_hdr, queries[i].address, &fde) == 0 &&
                    (queries[i].address < fde.start || queries[i].address >= fde.end))
                        abort();
}

static void read_lines(const uint8_t *data, size_t length)
{
        char line[512];
        struct mapping mapping;
        size_t n = length < sizeof(line) - 1 ? length : sizeof(line) - 1;
        memcpy(line, data, n);
        line[n] = '\0';
        if (maps_parse_line(line, &mapping) && mapping.end <= mapping.start)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        if (length < 8)
                return 0;
        struct input input = { .bytes = data + 8, .length = length - 8 };
        struct elf_reader reader = { .read = read_input, .context = &input };
        struct fde fde;
        read_object(&reader, data);
        fde_find(&reader, 0, data[0] * 16u, &fde);
        read_lines(data + 8, length - 8);
        return 0;
}
