/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h - another process that has to do with a stall: its name, and who has an end of a pipe open
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_PROCESS_H
#define LOOPDOG_EXPLAIN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_NAME 32

/* The short name as in ps, "?" where it can't be read. */
void process_name(int32_t pid, char name[PROCESS_NAME]);

/* argv[0], cut; the arguments behind it may hold secrets. Empty where it can't be read. */
void process_command(int32_t pid, char *command, size_t capacity);

/* The kernel's function in which thread `tid` of this process sleeps, as in /proc/PID/wchan. Empty where it does not
 * sleep, or the kernel does not tell. */
void process_channel(int32_t tid, char *name, size_t capacity);

/* "32768  60999". Leaves both as they are where the line is not that. */
void process_parse_pair(const char *line, unsigned *first, unsigned *second);

/* The search for the processes that have the other end of a pipe or FIFO open. It may take thousands of looks into
 * /proc, so it goes on from sample to sample and does as much each time as it is given. Zeroed: none is going on. */
struct process_search {
        bool going_on;
        bool wants_writer; /* else a reader */
        int32_t tid;       /* whose descriptor it is about */
        int32_t fd;
        uint32_t steps;    /* taken so far */
        unsigned children; /* of the thread, looked at so far */
        int part;          /* children, processes after us, before us, ourselves */
        bool in_process;   /* stopped within the descriptors of: */
        int32_t pid;
        off_t at; /* there: where in the folder to go on */
        char link[64];
};

void process_search_begin(struct process_search *search, int32_t tid, int32_t fd, const char *link, bool wants_writer);

/* Go on until `end_ns` (clock_now_ns()). Returns the next process that has that end open, which may be ourselves; 0
 * where none was found until now. */
int32_t process_search_go_on(struct process_search *search, uint64_t end_ns);

#endif
