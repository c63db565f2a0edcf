/* SPDX-License-Identifier: Apache-2.0
 *
 * jit.h - which perf map belongs to a record
 *
 * Beside the file of the records it is called RUN.perf-map, as `loopdog run -o` saves it, or perf-PID.map, as one
 * copies it by hand; at last /tmp/perf-PID.map, where the runtime wrote it, if the record is of this machine.
 *
 * Context: reader
 */
#ifndef LOOPDOG_SYMBOLIZE_JIT_H
#define LOOPDOG_SYMBOLIZE_JIT_H

#include "map.h"
#include "symbolize/perf_file.h"

/* All zero: no folders. */
struct jit {
        struct map folders; /* that have record files; no values */
        struct map maps;    /* run -> struct jit_map */
};

/* Records are read from this file: look beside it. */
void jit_add_file(struct jit *jit, const char *path);

/* With what the process has written up to now; NULL where there is none. Good as long as `jit`. */
const struct perf_file *jit_map_of(struct jit *jit, const struct record *record);

void jit_free(struct jit *jit);

/* Where the runtime of a process of this machine writes its map, to be freed. */
char *jit_runtime_path(int pid);

/* Is this the name of a map, and of no file with records? */
bool jit_is_map_name(const char *name);

/* Copy the map of a process beside its records. 0: it was copied, or there is none, or it is another user's, which is
 * said; or -errno. */
int jit_save(const char *folder, const char *run, int pid);

#endif
