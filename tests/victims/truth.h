/* SPDX-License-Identifier: Apache-2.0
 *
 * truth.h - what a victim really did, by its own clocks
 *
 * A test that only asks whether "a stall" was reported proves little. So every victim logs the begin and the end of
 * each stall that it plants, by CLOCK_MONOTONIC and CLOCK_REALTIME, with the cause, the function to be blamed and the
 * callback that called it, and the test joins that log one to one with loopdog's records. The log is the file named
 * by VICTIM_TRUTH (none: no log); one line of JSON a stall, one write() a line.
 *
 * Context: any thread of a victim; not async-signal-safe
 */
#ifndef LOOPDOG_TESTS_TRUTH_H
#define LOOPDOG_TESTS_TRUTH_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stdint.h>
#include <time.h>

/* Functions that a stack must show: neither inlined nor merged nor left out by a tail call. */
#define VICTIM_FRAME __attribute__((noinline, noclone, noipa))

struct truth {
        uint64_t begin_ns;      /* CLOCK_MONOTONIC */
        uint64_t begin_real_ns; /* CLOCK_REALTIME */
        uint64_t begin_cpu_ns;  /* CLOCK_THREAD_CPUTIME_ID: did the machine let it compute? */
};

/* CLOCK_MONOTONIC. In its caller's own frame: a sample that hits a loop's clock must find the culprit. */
static inline __attribute__((always_inline)) uint64_t truth_now_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t truth_real_ns(void); /* CLOCK_REALTIME */

/* Begin a planted stall, and log it when it is over. `cause` is what loopdog must call it, `culprit` the function to be
 * blamed ("" for no claim), `where` the callback from which it was called. */
struct truth truth_begin(void);
void truth_end(struct truth begin, const char *cause, const char *culprit, const char *where);

/* The two stalls that nearly all victims plant; each is its own culprit. */
void planted_sleep_ms(unsigned duration_ms, const char *where);
void planted_busy_ms(unsigned duration_ms, const char *where);

/* The same without an entry in the log: for what must not be reported, or what no longer returns. */
void quiet_sleep_ms(unsigned duration_ms);
void quiet_busy_ms(unsigned duration_ms);

/* A victim that stalls in the way that its command line names. The table ends with a row without a name; an unknown
 * name ends the victim. */
struct victim_case {
        const char *name;
        void (*run)(void);
};
const struct victim_case *victim_case_of(const struct victim_case *cases, const char *name);

/* End the victim with a complaint: its own check has failed. */
void victim_fail(const char *file, int line, const char *what) __attribute__((noreturn));
#define VICTIM_CHECK(condition) ((condition) ? (void)0 : victim_fail(__FILE__, __LINE__, #condition))

#ifdef __cplusplus
}
#endif

#endif
