/* SPDX-License-Identifier: Apache-2.0
 *
 * record.h - one record, as a value
 *
 * The only thing that agent and reader share: the agent fills one and writes it as a line of JSON, the reader parses a
 * line into one, and both render it as text. All strings are UTF-8, NUL-terminated and borrowed: who fills a record
 * keeps them alive while it is used. NULL and 0 mean "not known" unless a field says otherwise. docs/records.md
 * describes every field for people; this file and that page change together.
 *
 * Context: watchdog, reader
 */
#ifndef LOOPDOG_RECORD_RECORD_H
#define LOOPDOG_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define RECORD_VERSION 1

/* Who shows records live holds an OFD read lock on this byte of the file, far behind its end; see sink_is_read(). */
#define RECORD_READER_BYTE ((int64_t)1 << 62)

enum record_type {
        RECORD_PROCESS,
        RECORD_STALL_BEGIN,
        RECORD_STALL,
        RECORD_LOOP,
        RECORD_EXIT,
        RECORD_DUMP,
};

enum record_lang {
        RECORD_NATIVE,
        RECORD_PYTHON,
        RECORD_JAVASCRIPT,
        RECORD_JIT,
};

enum record_cause {
        RECORD_UNKNOWN,
        RECORD_CPU,
        RECORD_BLOCKED,
        RECORD_LOCK,
        RECORD_GIL,
        RECORD_PAGE_FAULT,
        RECORD_STARVED,
        RECORD_SUSPENDED,
};

/* Names as they stand in the JSON, "?" for a value out of range; and back, -1 for an unknown name. */
const char *record_type_name(enum record_type type);
const char *record_lang_name(enum record_lang lang);
const char *record_cause_name(enum record_cause cause);
int record_type_from_name(const char *name);
int record_lang_from_name(const char *name);
int record_cause_from_name(const char *name);

/* Whose code a frame is: decides what is folded in text and who can be the culprit. Not written to the file: it
 * follows from the other fields (record_frame_owner). */
enum record_owner {
        RECORD_OWN,     /* the user's own code */
        RECORD_LIBRARY, /* a system library */
        RECORD_RUNTIME, /* an interpreter or virtual machine */
        RECORD_LOOPLIB, /* an event-loop library or framework */
        RECORD_WATCHER, /* loopdog itself */
};

struct record_frame {
        enum record_lang lang;
        bool inlined;         /* reader only: was inlined into the frame that follows */
        bool caller;          /* the address is a return address: symbols are looked up at offset - 1 */
        const char *function; /* plain name; the reader demangles it */
        const char *file;     /* script frames, and native ones after symbolizing */
        uint32_t line;
        const char *module;   /* native: path of the mapped object; "[vdso]" */
        const char *build_id; /* native: lower-case hexadecimal */
        uint64_t offset;      /* native: offset in the module's file; an address where there is no module */
};

struct record_stack {
        uint32_t count;    /* samples with this stack */
        uint64_t first_ns; /* of its first and last sample, from the stall's begin */
        uint64_t last_ns;
        char state;          /* of the thread at its last sample, as in /proc/PID/stat: R S D T ... ; 0 unknown */
        bool complete;       /* reaches main or the thread's start */
        bool truncated;      /* the copy of the stack was cut */
        const char *missing; /* why there are no frames, in words; NULL where there are */
        const struct record_frame *frames; /* innermost first */
        size_t frames_count;
};

/* Another thread that had to do with a stall. */
struct record_other {
        const char *role; /* "lock-owner", "gil-holder", "joined": what it has that the one before it waits for */
        int32_t tid;
        const char *thread; /* its name */
        char state;         /* as in struct record_stack */
        const char *call;   /* the system call that it slept in itself */
        const char *object; /* what it waited for in that: "mutex"; and who had it, 0: not known */
        int32_t owner;
        const struct record_frame *frames; /* innermost first */
        size_t frames_count;
};

/* Why samples of a stall have no stack, and how often. */
struct record_loss {
        const char *reason;
        uint32_t count;
};

/* A part of a stall, told by the function that its samples have in common. */
struct record_share {
        uint32_t samples;
        uint32_t percent; /* of the samples with frames */
        struct record_frame frame;
};

/* A descriptor that something is or was waited for on. */
struct record_fd {
        int32_t fd;
        const char *what;   /* "tcp 127.0.0.1:80 <- 127.0.0.1:53410", "pipe:[123]", "/srv/app.log" */
        const char *events; /* "in", "in,hup" */
};

/* Another process that has what the loop waits for. */
struct record_holder {
        const char *role; /* "other-end", "lock-holder", "child" */
        int32_t pid;
        const char *name;    /* short name, as in ps */
        const char *command; /* of a child: argv[0] */
};

struct record_detail {
        const char *call;   /* blocked, lock: name of the system call */
        const char *reason; /* unknown: why; page-fault: why not which memory; suspended: NULL, or by what */
        const char *called; /* what the culprit's line has called: "time.sleep", "requests.api.get" */
        const char *task;   /* asyncio: name of the task that was running, and its coroutine */
        const char *coroutine;
        uint32_t cpu_percent; /* share of the duration on the CPU; valid with `cpu_known` */
        bool cpu_known;
        /* blocked: what the call waits for, by its arguments. */
        bool fd_known;
        int32_t fd;
        const char *what;                  /* that descriptor, or the path in the argument; of page faults below */
        const char *address;               /* that it connects or sends to */
        const char *device;                /* that the file lies on: "ext4 on /dev/sda1 (8:1)" */
        const char *wchan;                 /* the kernel's function in which the thread slept */
        uint64_t timeout_ns;               /* length of the sleep, or the call's time limit; 0: none */
        uint64_t left_ns;                  /* of a sleep until a point in time: what was left when it was first seen */
        const struct record_fd *waits_for; /* of a nested wait */
        size_t waits_for_count;
        uint32_t waits_for_more;
        const struct record_holder *held_by;
        size_t held_by_count;
        const char *object; /* what it waited for: "mutex", "condition variable" */
        int32_t owner;      /* the thread that had it, 0: not known */
        bool deadlock;      /* that thread waits for the stalled one, or is part of another cycle */
        /* page-fault: `what` is the mapped file, or "swap", `device` and `wchan` as above. */
        uint64_t file_offset; /* of the first page in it */
        /* What the kernel counted; valid with `usage_known`. */
        bool usage_known;
        uint64_t user_ns; /* parts of cpu_ns */
        uint64_t system_ns;
        uint64_t voluntary, involuntary; /* switches to another thread */
        uint64_t major_faults;
        /* Why it had no CPU. Each 0 where it is not known, or there was none. */
        uint64_t delay_ns;      /* ready to run */
        uint64_t throttled_ns;  /* of the duration: its cgroup's quota was used up */
        uint64_t steal_ns;      /* taken by the hypervisor from all CPUs together */
        uint64_t others_cpu_ns; /* CPU time of the program's other threads */
        uint64_t pressure_ns;   /* somebody on this machine waited for a CPU */
        uint32_t runnable, cpus;
        uint64_t watchdog_delay_ns; /* the watchdog had no CPU either */
};

/* The callback that took most of a stall, as the program has told it. */
struct record_callback {
        const char *name;     /* NULL: not told */
        const char *function; /* of its address; NULL where no symbol table has one */
        const char *object;   /* "fd 12" */
        uint64_t begin_ns;    /* from the stall's begin */
        uint64_t duration_ns; /* of the stall */
};

struct record_label {
        const char *key;
        const char *value;
};

/* A dump tells of a loop as of a stall, though it may be none: its `id` is the dump's, `begin_ns` and `duration_ns` are
 * of the present state, and what only a whole stall has (cause, signature, profile) is not there. */
struct record_stall {      /* types stall-begin, stall and dump */
        uint64_t id;       /* counts from 1 in each process; with `run` it names the stall for ever: RUN-ID */
        uint64_t begin_ns; /* CLOCK_REALTIME, ns since 1970 */
        const char *state; /* dump: "busy", "idle" in its own wait, "paused" by the program, "outside" of the loop */
        int32_t tid;
        const char *thread; /* its name */
        const char *loop;   /* "epoll:5", "poll", "select", or a name given by the API */
        uint64_t threshold_ns;
        uint64_t duration_ns; /* stall-begin: so far */
        uint64_t cpu_ns;
        uint64_t suspended_ns; /* of the duration it was stopped */
        uint64_t late_ns;      /* how much later than at the threshold the watchdog came */
        uint32_t yields;
        const char *phase; /* "startup" or NULL */
        const char *end;   /* how it ended: NULL by the next wait, "exit" with the process, "thread" with its thread,
                            * "left": it was none, see record_was_no_stall() */
        enum record_cause cause;
        struct record_detail detail;
        const struct record_callback *callback; /* NULL: none was told of, or none took 1 ms */
        uint32_t callbacks;                     /* that the program told of in the iteration */
        const struct record_label *labels;      /* of the work that was labelled longest */
        size_t labels_count;
        uint64_t signature;                 /* 0: none; written as 16 hexadecimal digits */
        uint64_t repeats;                   /* how often this signature was seen before in this process */
        bool stacks_omitted;                /* a repeat: the stacks stand in an earlier record of the same signature */
        const struct record_frame *culprit; /* NULL: none */
        const struct record_fd *ready;      /* the events that the iteration got */
        size_t ready_count;
        uint32_t ready_more;     /* events beyond these */
        uint32_t ready_before;   /* iterations before this one in which they came */
        const char *ready_loss;  /* why some of them are not known, in words */
        uint32_t callbacks_seen; /* by the samples: so many at least were run one after the other; 0: not known */
        const struct record_share *profile; /* its parts, the largest first */
        size_t profile_count;
        const struct record_stack *stacks;
        size_t stacks_count;
        uint32_t stacks_dropped; /* distinct stacks that did not fit */
        const struct record_other *others;
        size_t others_count;
        uint32_t samples; /* taken, with or without a stack */
        const struct record_loss *losses;
        size_t losses_count;
        uint32_t samples_lost;  /* sum of losses */
        uint32_t script_losses; /* samples that lack the frames of a script, and why */
        const char *script_loss;
};

struct record_process {      /* type process, the first line of a file */
        const char *command; /* argv[0] */
        const char *executable;
        const char *agent_version;
        int32_t ppid;
        uint64_t threshold_ns;
        uint64_t interval_ns;
        const char *clock;          /* "tsc" or "clock_gettime" */
        uint64_t begin_ns;          /* CLOCK_REALTIME of the first own wait */
        const char *const *notices; /* what was wrong with the settings or is switched off, one line each */
        size_t notices_count;
};

struct record_bucket {
        uint64_t from_ns; /* lower bound, inclusive */
        uint32_t count;
};

struct record_loop { /* type loop: totals since the loop began */
        int32_t tid;
        const char *thread;
        const char *loop;
        uint64_t iterations;
        uint64_t busy_ns;
        uint64_t idle_ns;
        uint64_t outside_ns; /* after the loop was left */
        uint64_t stalls;
        uint64_t stall_ns;
        uint64_t longest_ns;
        const struct record_bucket *buckets; /* busy time of iterations, buckets that are not empty, ascending */
        size_t buckets_count;
};

/* Type exit, the agent's own account: the last line, unless an exec fails. Then lines follow, and an exit that counts
 * all of it anew. */
struct record_exit {
        const char *reason; /* "exit", "exec", "stop" */
        uint64_t loops;
        uint64_t stalls;
        uint64_t stalls_startup;
        uint64_t stalls_suspended; /* not among them: the program was stopped */
        uint64_t stalls_crowded;   /* beyond LIMIT_STALLS at a time: their samples were not kept */
        uint64_t captures;
        uint64_t captures_signal; /* of them, by signal */
        const struct record_loss *losses;
        size_t losses_count;
        uint64_t candidates_dropped;
        uint64_t iterations_lost; /* long iterations that did not fit the ring */
        uint64_t loops_unwatched; /* threads beyond LIMIT_SLOTS, each counted once */
        uint64_t records_dropped; /* that could not be written, or exceed LIMIT_LINE_BYTES without any stack */
        uint64_t bytes_dropped;   /* of output that could not be written */
        uint64_t reopened;        /* the file was found removed, rotated or emptied, and was begun anew */
        uint64_t watchdog_cpu_ns;
        uint64_t wakeups;
        uint64_t latest_ns;    /* the watchdog's worst lateness */
        uint64_t starved_ns;   /* it came too late for want of a CPU, all together */
        uint64_t stopped_ns;   /* it was stopped */
        uint64_t captures_ns;  /* its time for samples, of other threads too */
        uint64_t calls_mended; /* of the program's that our signal interrupted and that went on; and not */
        uint64_t calls_unmended;
};

struct record {
        int version;
        enum record_type type;
        uint64_t time_ns; /* CLOCK_REALTIME when it was written */
        const char *host;
        int32_t pid;
        const char *run;     /* 16 hexadecimal digits */
        const char *program; /* short name of the process, for people; written in every line */
        union {
                struct record_process process;
                struct record_stall stall; /* stall-begin, stall and dump */
                struct record_loop loop;
                struct record_exit exit;
        };
};

/* Was this begun stall taken back? The thread had left its loop; only the `stall-begin` had to be told to be over. */
bool record_was_no_stall(const struct record_stall *stall);

/* How long it stalled: without the time that it was stopped. */
uint64_t record_stalled_ns(const struct record_stall *stall);

/* Did the program's own other threads use the CPU time that the loop lacked, or the half of it at least? */
bool record_starves_itself(const struct record_stall *stall);

/* Whose code this is, by module, file and function: a table of system libraries, runtimes and loop libraries
 * (record/owner.c). `own_prefixes` is LOOPDOG_OWN: path prefixes separated by ':' that are the user's own; may be
 * NULL. */
enum record_owner record_frame_owner(const struct record_frame *frame, const char *own_prefixes);

/* Index of the frame to blame: the innermost of the user's own code, else the innermost that has a name or a module and
 * is not libc's, the loader's, the vdso's or loopdog's, else 0; -1 for no frames. */
int record_find_culprit(const struct record_frame *frames, size_t count, const char *own_prefixes);

/* Append the record as one line of JSON with '\n'. Where the line would exceed LIMIT_LINE_BYTES or the text's
 * capacity, the rarest stacks are left out and counted in stacks_dropped, that of the culprit last. Returns 0, or
 * -EMSGSIZE where not even the scalars fit: then nothing was appended. */
int record_write_json(struct text *text, const struct record *record);

/* How text is rendered for people. */
struct record_style {
        bool colour;
        unsigned columns; /* width of the terminal; 0: unlimited */
        bool all_frames;  /* do not fold */
        const char *own_prefixes;
        /* The text of a source line without indentation, or NULL; the agent passes NULL here. The string is valid until
         * the next call. */
        const char *(*source_line)(void *context, const char *file, uint32_t line);
        void *source_context;
};

/* One line of advice for this stall, or NULL where nothing is known that is surely right (record/hints.c). */
const char *record_hint(const struct record_stall *stall);

/* Append a stall-begin, stall or dump record in the shape of design.md "Text, for people". Other types: nothing. All
 * strings are made safe for a terminal. */
void record_write_text(struct text *text, const struct record *record, const struct record_style *style);

/* Append the frames of one of the stall's stacks alone. */
void record_write_stack(struct text *text, const struct record_stall *stall, const struct record_stack *stack,
                        const struct record_style *style);

#endif
