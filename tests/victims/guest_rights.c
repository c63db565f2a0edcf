/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_rights.c - a server that closes what it does not know and gives up what it does not need
 *
 *     guest_rights closed | close-range | limit N early|late | drop | raw-drop | keeps | chroot |
 *     dumpable | no-privilege | lock-early current|future | lock-late | squeeze
 *
 * "closed", "close-range": all descriptors but the standard ones, those too in the second, when the loop is watched.
 * "limit": RLIMIT_NOFILE is N more than what is open, before the first wait or later. "drop": root becomes somebody
 * else for good, with its groups and capabilities; "raw-drop" by plain system calls, which tell nobody; "keeps" so that
 * it still has capabilities, which is this thread's matter alone, and uses one. "chroot": into an empty folder, then
 * another user. "dumpable": PR_SET_DUMPABLE 0. Each stalls before and after, asleep and on the CPU. "no-privilege": no
 * thread of the process may have used a privilege when it ends. "lock-early": all memory is locked before the first
 * wait, that of later, too, or not, by a user who may lock 16 MB; "lock-late": by root when the loop is watched.
 * "squeeze": by children that may lock hardly any more.
 *
 * Context: main
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

#define NOBODY 65534
#define USED_PRIVILEGE 0x100 /* PF_SUPERPRIV, which the kernel sets in a thread that was asked for a capability */

static struct turn loop;
static char **arguments; /* after the mode */

static void stall_both(void)
{
        stall_asleep(&loop);
        stall_busy(&loop);
}

/* ---- descriptors ---- */

static void close_and_begin_again(void (*close_all)(void))
{
        stall_asleep(&loop);
        close_all();
        turn_open(&loop);
        stall_both();
}

static void close_from_three(void)
{
        closefrom(3);
        see("closed: now %s", fcntl(3, F_GETFD) == -1 && errno == EBADF ? "nothing" : "something");
}

static void closed(void)
{
        close_and_begin_again(close_from_three);
        see("the loop's are %d and %d", loop.epoll, loop.timer);
}

/* Its output goes to what the number 1 led to before. */
static void close_everything(void)
{
        VICTIM_CHECK(fcntl(STDOUT_FILENO, F_DUPFD, 50) == 50);
        VICTIM_CHECK(close_range(0, 49, 0) == 0 && close_range(51, ~0u, 0) == 0);
}

static void close_by_range(void)
{
        close_and_begin_again(close_everything);
        VICTIM_CHECK(dup2(50, STDOUT_FILENO) == STDOUT_FILENO);
        see("the loop's are %d and %d", loop.epoll, loop.timer);
}

/* ---- a limit ---- */

/* The loop's own descriptors are the last that it needs, but for the one of the truth's log. */
static void lower(void)
{
        struct rlimit limit = { (rlim_t)(loop.timer + 1 + atoi(arguments[0])), RLIM_INFINITY };
        limit.rlim_max = limit.rlim_cur;
        VICTIM_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        int fd = -1, more = 0;
        while ((fd = dup(STDOUT_FILENO)) >= 0)
                more++;
        see("limit: %d more, then %s", more, strerror(errno));
        closefrom(loop.timer + 1);
}

static void limit(void)
{
        bool early = strcmp(arguments[1], "early") == 0;
        if (early)
                lower();
        else
                stall_asleep(&loop);
        if (!early)
                lower();
        stall_both();
}

/* ---- users and roots ---- */

static void leave_capabilities(uint32_t wanted)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];
        memset(data, 0, sizeof data);
        data[0].effective = data[0].permitted = wanted;
        VICTIM_CHECK(syscall(SYS_capset, &header, data) == 0);
}

static void see_what_is_left(void)
{
        see("users %u %u, groups %u %u", getuid(), geteuid(), getgid(), getegid());
        see("back to root: %d", setuid(0));
        see("to open: %d", open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static void drop(void)
{
        stall_asleep(&loop);
        VICTIM_CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
        VICTIM_CHECK(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0);
        VICTIM_CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
        leave_capabilities(0);
        see_what_is_left();
        stall_both();
}

static void keep_some(void)
{
        stall_asleep(&loop);
        VICTIM_CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
        leave_capabilities(1u << CAP_SETGID);
        see("with a capability, other groups: %d %d", setgroups(0, NULL), setresgid(NOBODY, NOBODY, NOBODY));
        leave_capabilities(0);
        see("without it: %d %d", setgroups(0, NULL), setgid(0));
        see_what_is_left();
        stall_both();
}

static void drop_unseen(void)
{
        stall_asleep(&loop);
        VICTIM_CHECK(syscall(SYS_setgroups, 0, NULL) == 0);
        VICTIM_CHECK(syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0);
        VICTIM_CHECK(syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0);
        see_what_is_left();
        stall_both();
}

/* The truth's log is opened by its path: it must be below the new root. */
static void change_root(void)
{
        stall_asleep(&loop);
        VICTIM_CHECK(mkdir("jail", 0755) == 0 || errno == EEXIST);
        VICTIM_CHECK(chroot("jail") == 0 && chdir("/") == 0);
        VICTIM_CHECK(chmod("/", 0777) == 0 && setenv("VICTIM_TRUTH", "/truth", 1) == 0);
        VICTIM_CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
        see_what_is_left();
        stall_both();
}

static void turn_dumpable_off(void)
{
        stall_asleep(&loop);
        VICTIM_CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
        see("dumpable: %d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
        stall_both();
}

/* ---- privileges ---- */

/* The ninth field of `stat`. */
static unsigned flags_of(const char *tid)
{
        char path[64], text[512], state;
        unsigned flags = 0;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", tid);
        FILE *file = fopen(path, "re");
        if (file == NULL)
                return 0;
        size_t length = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[length] = '\0';
        const char *end = strrchr(text, ')');
        VICTIM_CHECK(end != NULL && sscanf(end, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) == 2);
        return flags;
}

static void no_privilege(void)
{
        unsigned threads = 0, used = 0;
        stall_both();
        DIR *folder = opendir("/proc/self/task");
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
                if (entry->d_name[0] != '.') {
                        threads++;
                        used += (flags_of(entry->d_name) & USED_PRIVILEGE) != 0;
                }
        closedir(folder);
        see("threads that have used a privilege: %u", used);
        VICTIM_CHECK(threads > 0);
        VICTIM_CHECK(setpriority(PRIO_PROCESS, 0, -11) == 0 || errno == EPERM || errno == EACCES);
        char own[16];
        snprintf(own, sizeof own, "%d", getpid());
        see("after it has used one: %d", (flags_of(own) & USED_PRIVILEGE) != 0);
}

/* ---- memory ---- */

/* So much may be locked from now on, or less where that is more than we may allow. */
static void limit_locked(uint64_t bytes)
{
        struct rlimit now;
        VICTIM_CHECK(getrlimit(RLIMIT_MEMLOCK, &now) == 0);
        bytes = bytes < now.rlim_max ? bytes : now.rlim_max;
        VICTIM_CHECK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ bytes, bytes }) == 0);
}

static void become_nobody(void)
{
        VICTIM_CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static void lock_all(const char *which)
{
        bool future = strcmp(which, "future") == 0;
        int error = mlockall(future ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT) == 0 ? 0 : errno;
        see("mlockall: %s", strerror(error));
        void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        see("a megabyte: %s", memory == MAP_FAILED ? strerror(errno) : "mapped");
}

static void lock_early(void)
{
        limit_locked(16 << 20);
        become_nobody();
        lock_all(arguments[0]);
        stall_both();
}

static void lock_late(void)
{
        stall_both();
        lock_all("future");
        stall_both();
}

static uint64_t locked_bytes(void)
{
        char line[256];
        unsigned long kilobytes = 0;
        FILE *file = fopen("/proc/self/status", "re");
        VICTIM_CHECK(file != NULL);
        while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmLck: %lu", &kilobytes) != 1)
                ;
        fclose(file);
        return (uint64_t)kilobytes << 10;
}

/* As mlockall(2) advises: a stack that has to grow when nothing may be locked any more is the program's end. */
static void grow_stack(void)
{
        volatile char bytes[128 * 1024];
        for (size_t i = 0; i < sizeof bytes; i += 1024)
                bytes[i] = 1;
}

/* A child whose memory is locked and may grow by so much. What it plants is not told: often nothing of it is seen. */
static void squeeze_one(unsigned kilobytes)
{
        pid_t child = fork();
        VICTIM_CHECK(child >= 0);
        if (child == 0) {
                turn_open(&loop);
                grow_stack();
                VICTIM_CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
                limit_locked(locked_bytes() + ((uint64_t)kilobytes << 10));
                become_nobody();
                turn_run(&loop, 3, NULL);
                quiet_sleep_ms(60);
                turn_run(&loop, 1, NULL);
                quiet_busy_ms(60);
                turn_run(&loop, 2, NULL);
                _exit(0);
        }
        see_end("a child with little more", child);
}

static void squeeze(void)
{
        for (unsigned kilobytes = 0; kilobytes <= 1600; kilobytes += 100)
                squeeze_one(kilobytes);
}

int main(int argc, char **argv)
{
        static const struct victim_case cases[] = {
                { "closed", closed },
                { "close-range", close_by_range },
                { "limit", limit },
                { "drop", drop },
                { "raw-drop", drop_unseen },
                { "keeps", keep_some },
                { "chroot", change_root },
                { "dumpable", turn_dumpable_off },
                { "no-privilege", no_privilege },
                { "lock-early", lock_early },
                { "lock-late", lock_late },
                { "squeeze", squeeze },
                { NULL, NULL },
        };
        VICTIM_CHECK(argc > 1);
        arguments = argv + 2;
        turn_open(&loop);
        victim_case_of(cases, argv[1])->run();
        return 0;
}
