/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.h - every bound of the agent, in one place
 *
 * The agent allocates nothing while it watches, so each table has a size. What does not fit is counted and said in
 * the record, never dropped in silence.
 *
 * Context: everywhere
 */
#ifndef LOOPDOG_BASE_LIMITS_H
#define LOOPDOG_BASE_LIMITS_H

/* loop/ */
#define LIMIT_SLOTS 4096         /* threads that are loops at the same time; later ones are counted, not watched */
#define LIMIT_REFUSED_WAITS 4096 /* a thread that got no slot asks again after so many waits */
#define LIMIT_RING 16            /* long iterations that ended before the watchdog came by, per loop; power of two */
#define LIMIT_OWN_SET 8          /* descriptors remembered of a poll or select loop's last own set */
#define LIMIT_OWN_SCAN 64        /* descriptors of the present set compared with them */
#define LIMIT_SUSPECTS 4         /* call sites of poll and select remembered of a thread that is no loop yet */
#define LIMIT_NAMED 1024         /* loops open through the API */
#define LIMIT_LOOP_NAME 48       /* bytes of a loop's name, with its NUL */
#define LIMIT_CALLBACKS 16       /* callbacks within each other */
#define LIMIT_SAID_NAME 64       /* bytes kept of a callback's and an object's name, with the NUL */
#define LIMIT_LABELS 4           /* labels of the current work */
#define LIMIT_LABEL_KEY 16       /* bytes, with the NUL */
#define LIMIT_LABEL_VALUE 128
#define LIMIT_SECTIONS 8 /* sections within each other */
#define LIMIT_SAID 4     /* long iterations whose callbacks and labels are kept for the watchdog, per loop */

/* watch/ */
#define LIMIT_PATIENCE_NS 1000000000ull /* for the watchdog's end or answer: at fork, exec, exit, when asked */
#define LIMIT_DUMP_NS 800000000ull      /* capturing all loops at once, within the patience of whoever asked */
#define LIMIT_STALLS 32                 /* stalls with stacks at the same time; further ones are recorded without */

/* For its end before a call in which libc would else end the process: on a starved machine rather late than dead. A
 * setuid() or its kin in a library's constructor waits for so long where the watchdog wants the loader's lock, which
 * that thread holds. */
#define LIMIT_CREDENTIALS_NS 30000000000ull

/* capture/ */
#define LIMIT_STACK_BYTES (256 * 1024)       /* of one thread's stack copied into a sample */
#define LIMIT_STACK_EXTENT (1ull << 30)      /* a stack of several mappings is followed this far */
#define LIMIT_CAPTURE_NS 400000ull           /* trying one capture, without the wait for a handler */
#define LIMIT_SIGNAL_WAIT_NS 20000000ull     /* for the handler of a thread that blocks our signal meanwhile */
#define LIMIT_SIGNAL_STARVED_NS 100000000ull /* for the handler of a thread that runs or waits for a processor */
#define LIMIT_SIGNAL_THREADS 4096            /* threads whose signal masks are read to choose the signal */
#define LIMIT_GIVE_UP_STEPS 2000             /* of 50 us, for a signal of ours that is on its way to some thread */
#define LIMIT_ALTERNATE_BYTES 65536          /* an alternate signal stack that is larger holds two handlers at a time */
#define LIMIT_COROUTINE_BYTES 16384          /* a coroutine's stack that is larger has room for a signal's frame */
#define LIMIT_DRAIN_STEPS 20000              /* of 50 us, for the watchdog to send what it is sending, before exec */

/* unwind/ */
#define LIMIT_FRAMES 512   /* frames of one stack; the outermost are cut */
#define LIMIT_MODULES 1024 /* mapped ELF objects */
#define LIMIT_NAME 256     /* bytes of a function's name */

/* explain/ */
#define LIMIT_STACKS 32         /* distinct stacks of one stall; further ones are counted */
#define LIMIT_OTHER_FRAMES 128  /* frames of another thread that is part of a stall */
#define LIMIT_CHAIN 4           /* threads that wait for each other, without the stalled one */
#define LIMIT_STALL_FRAMES 2048 /* frames of all distinct stacks of one stall */

#define LIMIT_EVIDENCES 3          /* system calls of one stall whose arguments are kept */
#define LIMIT_EVIDENCE_NS 70000ull /* looking at arguments and descriptors, at the first sample of a call; */
#define LIMIT_SERVED_NS 60000ull   /* at the events that the iteration got, at a stall's first sample; */
#define LIMIT_SEARCH_NS 60000ull   /* for the other end of a pipe, at a later sample, */
#define LIMIT_SEARCH_STEPS 40      /* for so many samples */
#define LIMIT_GATHERINGS 16        /* of a stall's evidence, where its system calls change and change */
#define LIMIT_WAITED 8             /* descriptors of a nested wait that are described; further ones are counted */
#define LIMIT_WAITED_SCAN 1024     /* of its set that are read */
#define LIMIT_SERVED 8             /* events that are described; further ones are counted */
#define LIMIT_SERVED_BEFORE 8      /* iterations that a loop may have gone on after them without a sleep */
#define LIMIT_SERVED_KEPT 4        /* of them, copied by the hook */
#define LIMIT_EPOLL_TARGETS 64     /* descriptors of a process that may have the list of an epoll instance read */
#define LIMIT_EPOLL_ASKED 4000     /* the same, that may have one descriptor looked for in it: 10 us for each 1,000 */
#define LIMIT_HOLDERS 3            /* processes that hold what a loop waits for */
#define LIMIT_FAULTS 64            /* page faults of one stall whose addresses are looked up */
#define LIMIT_WHAT 160             /* bytes of a descriptor's description */
#define LIMIT_MOUNTS_BYTES 32768   /* of the list of mounts that is searched for a file's device */
#define LIMIT_LOCKS_BYTES 32768    /* of the list of file locks */

/* record/ */
#define LIMIT_LINE_BYTES (256 * 1024) /* one record; the rarest stacks are dropped until it fits */
#define LIMIT_STRING 4096             /* bytes of one string in a record; a longer one ends in "..." */
#define LIMIT_PATH 1024               /* bytes of an output path after the placeholders */
#define LIMIT_SIGNATURES 512          /* signatures whose repeats are counted */

/* base/ */
#define LIMIT_DESCRIPTOR 2048         /* numbers of ours in the host's table, from 900 upwards as a rule */
#define LIMIT_DESCRIPTORS_UNKNOWN 256 /* taken for RLIMIT_NOFILE where that can't be asked for */
#define LIMIT_SETTINGS 64             /* settings that a program hands over, and of its environment half as many */
#define LIMIT_NOTICES 24              /* things said once at the first own wait */
#define LIMIT_NOTICE_BYTES 256

#endif
