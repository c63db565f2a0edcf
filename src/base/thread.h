/* SPDX-License-Identifier: Apache-2.0
 *
 * thread.h - the kernel's id of a thread and libc's descriptor of it, one from the other
 *
 * libc knows a thread by the address of its descriptor (a pthread_t, which is also its thread pointer), the kernel by a
 * number. Locks hold the one or the other. Both ways are found without a list of libc's, by what is known of our own
 * thread; what is found counts only if the descriptor points at itself, as the ABI wants it.
 *
 * Context: watchdog, but for what says otherwise
 */
#ifndef LOOPDOG_BASE_THREAD_H
#define LOOPDOG_BASE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/* The id of the thread with this pthread_t. 0, -ENOENT where libc keeps it at an unknown place, -EFAULT where that is
 * no descriptor (any more). */
int thread_id_of(uint64_t pthread, int32_t *tid);

/* Where in its descriptor a thread's id stands: the word that pthread_join() waits for. 0: not known. */
uint64_t thread_id_offset(void);

/* In the constructor: what libc tells of its descriptors. */
void thread_note_layout(void);

/* The calling thread's id, as libc knows it, without a system call; in a child of clone() without libc that of the
 * thread that made it. 0: not known. Any thread, signal handler included. */
int32_t thread_own_id(void);

/* This process's id is noted where it is known that it may be asked for; and told, asked for only where it may. */
void process_note(void);
int32_t process_id(void);
int32_t process_noted(void); /* 0: not yet */

/* The pthread_t of a thread of this process, or 0: not found. */
uint64_t thread_pointer_of(int32_t tid);

/* Is it a living thread of this process? */
bool thread_is_ours(int32_t tid);

#endif
