/* SPDX-License-Identifier: Apache-2.0
 *
 * input.h - records out of files, with an account of what was no record
 *
 * What can't be read is said on stderr with file, line and reason, skipped and counted, and the rest is read. A
 * file that is wrong from end to end says so a few times only.
 *
 * Context: reader
 */
#ifndef LOOPDOG_READ_INPUT_H
#define LOOPDOG_READ_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "read/lines.h"
#include "read/parse.h"

struct pool;
struct source;

struct input {
        /* Called for each record. `line` is its text: good until the call returns, as is the record. */
        void (*take)(void *context, const struct parsed *parsed, const char *line, size_t length);
        /* Asked of a record whose stacks have not been parsed: are they wanted? If not, take() gets it without them,
         * though the line has them. NULL: they always are. */
        bool (*wants_stacks)(void *context, const struct record *record);
        /* Called with the name of each file that is going to be read; NULL: nobody asks. */
        void (*opened)(void *context, const char *name);
        /* Called with the count of bytes that were read; NULL: nobody asks. */
        void (*progress)(void *context, uint64_t bytes);
        void *context;
        bool every_cpu;        /* parse large files on all of them; input_finish() is to be called then */
        struct pool *pool;     /* once it was needed */
        struct source *pooled; /* the file whose lines are in it; NULL */
        uint64_t files;
        uint64_t files_bad;   /* could not be opened or read to the end */
        uint64_t files_empty; /* of processes that ended before their first record */
        uint64_t lines;       /* that are not blank */
        uint64_t records;
        uint64_t skipped; /* lines that are no record */
};

/* One file in the course of being read. */
struct source {
        char *name; /* for messages */
        struct lines lines;
        uint64_t records;
        uint64_t complaints;
        uint64_t bytes; /* read so far */
};

void source_init(struct source *source, const char *name);
void source_free(struct source *source);

/* Take all that `fd` has at present. `finished`: nothing will be appended, so what stands after the last newline is
 * a line too. 0 or -errno. */
int input_take(struct input *input, struct source *source, int fd, bool finished);

/* Say how much more was wrong with it than has been said. */
void input_close(struct input *input, struct source *source);

/* Nothing more is read. */
void input_finish(struct input *input);

/* Read a file, all files of a folder and the folders in it, or stdin for "-". What is wrong is said and counted. */
void input_read(struct input *input, const char *path);

#endif
