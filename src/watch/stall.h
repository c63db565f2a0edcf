/* SPDX-License-Identifier: Apache-2.0
 *
 * stall.h - an iteration that takes too long, as the watchdog follows it
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_WATCH_STALL_H
#define LOOPDOG_WATCH_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct slot;

enum stall_end {
        STALL_OPEN,
        STALL_WAITED, /* by the next own wait */
        STALL_LEFT,   /* it was no stall: the thread had left the loop, or it was too short after all */
        STALL_THREAD, /* the thread ended */
        STALL_EXIT,   /* the process ended, or became another program */
};

struct stall {
        struct slot *slot;
        uint32_t place;    /* index in the table of open stalls, below LIMIT_STALLS */
        uint64_t mark;     /* the iteration's name */
        uint64_t begin_ns; /* clock_now_ns() */
        uint64_t end_ns;   /* valid once ended */
        uint64_t id;       /* 0 until detected */
        uint64_t next_sample_ns;
        uint64_t threshold_ns; /* what it is measured by; valid once detected */
        uint64_t late_ns;      /* detection after the threshold */
        uint64_t stopped_ns;   /* of it the watchdog was stopped as well, or whoever samples saw the thread stopped, */
        uint64_t doubtful_ns;  /* and perhaps for so much longer */
        uint64_t starved_ns;   /* of it the watchdog had no CPU */
        uint32_t samples;
        uint32_t samples_detected; /* of them, after the detection */
        uint32_t seen;             /* of these, those that showed it in a callback */
        uint32_t yields;
        uint32_t said; /* number of what the program said of it, once it has ended; 0: nothing */
        enum stall_end end;
        bool looked; /* the sample before the threshold was taken */
        bool detected;
        bool announced; /* the stall-begin record was written */
        bool startup;
        bool suspended; /* without the time that it was stopped it is none */
        bool slept;     /* it was the machine that stopped */
        bool reminded;  /* said that it still goes on */
        bool deadlock;  /* said that it never will */
};

#endif
