/* SPDX-License-Identifier: Apache-2.0
 *
 * perf_map.h - names of code that was made while the program ran, from a perf map
 *
 * Runtimes that are asked to (node --perf-basic-prof, Java's agent, DOTNET_PerfMapEnabled) write a line for each piece
 * of code into /tmp/perf-PID.map: address, length, name. Code is thrown away and its memory used again; the later line
 * is then the true one, as far as the map tells.
 *
 * Context: reader
 */
#ifndef LOOPDOG_SYMBOLIZE_PERF_MAP_H
#define LOOPDOG_SYMBOLIZE_PERF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/record.h"

struct perf_map;

/* Of the text of a map; lines that are none are passed over. Free it with perf_map_free(). */
struct perf_map *perf_map_parse(const char *text, size_t length);

void perf_map_free(void *map);

/* How much code it names. */
size_t perf_map_count(const struct perf_map *map);

/* What `later` has stood in lines behind those of `map`, which takes it over. */
void perf_map_append(struct perf_map *map, struct perf_map *later);

/* Name the frame (of lang jit, without a module) whose address is `address`: function, file and line as the runtime
 * says them; what the runtime made for itself becomes code of module "[jit]". Strings are borrowed from the map. False
 * where the map has nothing there. */
bool perf_map_name(const struct perf_map *map, uint64_t address, struct record_frame *frame);

#endif
