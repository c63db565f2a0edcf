/* SPDX-License-Identifier: Apache-2.0
 *
 * perf_file.h - the file of a perf map, which grows while its process runs
 *
 * Context: reader
 */
#ifndef LOOPDOG_SYMBOLIZE_PERF_FILE_H
#define LOOPDOG_SYMBOLIZE_PERF_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "record/record.h"

struct perf_file;

/* May a map of this owner, which lies where anyone could have put it, be believed? Only our own, and root's. */
bool perf_file_is_trusted(uid_t owner);

/* Open a regular file without following a link. `strict`: it lies where anyone could have put it. The descriptor or
 * -errno; -EPERM: it belongs to another user, to be told by perf_file_say_foreign(). */
int perf_file_open(const char *path, bool strict);
void perf_file_say_foreign(const char *path);

/* Nothing is read yet. Free it with perf_file_free(). */
struct perf_file *perf_file_new(const char *path, bool strict);
void perf_file_free(void *file);

/* Read what is new in it. That it belongs to another user is said once. Is anything of it known, now or from before? */
bool perf_file_refresh(struct perf_file *file);

/* As perf_map_name(); the latest line that has the address counts. Strings are good as long as `file`, however often
 * that is refreshed. */
bool perf_file_name(const struct perf_file *file, uint64_t address, struct record_frame *frame);

#endif
