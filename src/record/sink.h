/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.h - where records go: a file of JSON Lines, or stderr as text
 *
 * Context: watchdog, but sink_setup() in the constructor and sink_keep() on a thread of the host
 */
#ifndef LOOPDOG_RECORD_SINK_H
#define LOOPDOG_RECORD_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `output` as in LOOPDOG_OUTPUT (kept), NULL for stderr. Remembers what stderr is now. */
void sink_setup(const char *output, uint64_t limit_bytes);

/* Is the output a file? */
bool sink_is_file(void);

/* Open the output now, because it can't be opened later. Keeps errno. */
void sink_keep(void);

/* The watchdog begins, right after descriptors_unshare(): what was kept is its file. */
void sink_begin(void);

/* Write one whole line to the file with a single write(). `fresh` is set where the file has just been opened (at first,
 * or again after it was removed or rotated) or was found emptied: then nothing was written, and the caller writes the
 * process record and this line again. 0; -EAGAIN with *fresh; -EFBIG beyond the limit; another -errno. Lost bytes are
 * counted. */
int sink_line(const char *line, size_t length, bool *fresh);

/* A thread that lives as long as its loop: where the host's descriptors can be seen. */
void sink_note_thread(int32_t tid);

/* The watchdog, before it has a descriptor table of its own: which of the host's it must keep a copy of, or -1. */
int sink_descriptor_to_keep(void);

/* Write text to stderr, as far as it takes it at once. Lost bytes are counted. */
void sink_text(const char *text, size_t length);

uint64_t sink_bytes_dropped(void);

/* How often the file was found removed, rotated or emptied, and was begun anew. */
uint64_t sink_reopened(void);

/* Does somebody show the file live (RECORD_READER_BYTE), and is it less than half full? One system call. */
bool sink_is_read(void);

/* The open file's descriptor, or -1. */
int sink_descriptor(void);

/* Remove the file where sink_keep() has made it and nothing was ever written: a program that only changes its user and
 * becomes another one leaves no trace. Thread of the host; keeps errno. */
void sink_discard_unused(void);

/* The descriptors of the watchdog's own table end with it. */
void sink_close(void);
void sink_after_fork(void);

#endif
