/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_perf_map.c - no perf map makes the reader go wrong
 *
 * A map is a file that anyone may have written. Each address that it names is looked up, and others; what comes out is
 * a frame whose strings lie in the map.
 *
 * ./dev fuzz builds and runs it, with -max_len=4096.
 *
 * Context: fuzzer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "symbolize/perf_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(bool holds)
{
        if (!holds)
                abort();
}

static void look_up(const struct perf_map *map, uint64_t address)
{
        struct record_frame frame = { .lang = RECORD_JIT }, again = { .lang = RECORD_JIT };
        if (!perf_map_name(map, address, &frame))
                return;
        check(frame.function && frame.function[0]);
        check(!frame.file || frame.file[0]);
        check(perf_map_name(map, address, &again));
        check(frame.function == again.function && frame.file == again.file && frame.line == again.line);
        record_frame_owner(&frame, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        struct perf_map *map = perf_map_parse((const char *)data, length);
        char *text = calloc(length + 1, 1);
        memcpy(text, data, length);
        for (char *line = text; line; line = strchr(line, '\n')) {
                line += line > text || *line == '\n';
                uint64_t address = strtoull(line, NULL, 16);
                look_up(map, address);
                look_up(map, address + 15);
                look_up(map, address - 1);
        }
        free(text);
        perf_map_free(map);
        return 0;
}
