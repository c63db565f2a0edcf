/* SPDX-License-Identifier: Apache-2.0
 *
 * hints.c - one line of advice
 *
 * A hint is given only where the system call and the state of the thread leave no doubt what it waits for, and says
 * what holds for C and for scripts alike. No hint is better than a wrong one. More rows come with what is known of
 * descriptors and interpreters.
 *
 * Context: watchdog, reader
 */
#include <stddef.h>
#include <string.h>

#include "record/frame.h"
#include "record/record.h"

static const struct hint {
        const char *calls;
        const char *states; /* of the thread: in 'S' it waits for somebody, in 'D' for a disk */
        const char *text;
} hints[] = {
        { "nanosleep clock_nanosleep", "S",
          "a sleep stops the whole loop: use a timer of the loop (an asynchronous sleep), or sleep in another thread" },
        { "fsync fdatasync msync sync_file_range syncfs sync", "SD",
          "this waits until the disk has written: do it in another thread, or less often" },
        { "flock fcntl", "SD",
          "somebody else holds the file's lock: try without waiting (LOCK_NB, F_SETLK) and again by a timer" },
        { "connect", "SD",
          "connecting waits for the other side: use a non-blocking socket or an asynchronous client, with a timeout" },
        { "wait4 waitid", "SD",
          "this waits for a child process: let the loop watch for its end (SIGCHLD, pidfd, an asynchronous spawn)" },
        { "futex", "SD",
          "this waits for another thread, which holds a lock or has to wake it: the stacks of all threads show which" },
        { "poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2", "SD",
          "a wait within a callback, as of synchronous clients, name look-ups and spawns: use the asynchronous ones" },
        { "read readv recvfrom recvmsg", "S",
          "the data is not there yet and the descriptor blocks: let the loop wait for it, or read in another thread" },
        { "accept accept4", "SD",
          "nobody connects and the socket blocks: make it non-blocking and let the loop wait for it" },
        { "write writev sendto sendmsg", "S",
          "the other end (pipe, socket or terminal) is not read fast enough: drain it, or write without blocking" },
        { "read readv pread64 preadv write writev pwrite64 pwritev open openat newfstatat statx unlink unlinkat rename "
          "getdents64 truncate ftruncate fallocate",
          "D", "this waits for a disk or a network file system: do it in another thread" },
};

/* Is `word` one of the words in `list`? */
static bool has_word(const char *list, const char *word)
{
        size_t length = strlen(word);
        for (const char *at = list; length > 0 && (at = strstr(at, word)) != NULL; at += length)
                if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
                        return true;
        return false;
}

/* Without a state only a call that has one meaning in every state gives a hint. */
static bool fits_state(const struct hint *hint, char state)
{
        return state ? strchr(hint->states, state) != NULL : strcmp(hint->states, "SD") == 0;
}

const char *record_hint(const struct record_stall *stall)
{
        if (stall->cause != RECORD_BLOCKED || !stall->detail.call)
                return NULL;
        int main_stack = record_main_stack(stall);
        char state = main_stack >= 0 ? stall->stacks[main_stack].state : 0;
        for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
                if (has_word(hints[i].calls, stall->detail.call) && fits_state(&hints[i], state))
                        return hints[i].text;
        return NULL;
}

/* Why there is no stack, by words of the reason (capture_loss_text), and what gets one the next time. */
static const struct remedy {
        const char *words;
        const char *text;
} remedies[] = {
        { "dumpable",
          "let the program call prctl(PR_SET_DUMPABLE, 1) after it changed its user, or start it as that user" },
        { "no /proc", "mount /proc where the program runs" },
        { "process_vm_readv", "allow process_vm_readv in the program's seccomp filter" },
        { "loopdog's signal", "name a real-time signal that the program neither uses nor blocks: LOOPDOG_SIGNAL" },
};

const char *record_remedy(const char *reason)
{
        for (size_t i = 0; reason && i < sizeof(remedies) / sizeof(remedies[0]); i++)
                if (strstr(reason, remedies[i].words))
                        return remedies[i].text;
        return NULL;
}
