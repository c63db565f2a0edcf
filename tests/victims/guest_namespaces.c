/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_namespaces.c - a server that puts itself into a sandbox when its loop is at work
 *
 *     guest_namespaces user | sandbox | enter | kinds | pids
 *
 * "user": a namespace of users. "sandbox": mounts of its own, then another root, and nothing left of the old one.
 * "enter": by descriptors, with their type and without. "kinds": all flags that unshare() knows, one after the other,
 * and some that it does not; semaphores are undone. "pids": a child is the first process of a namespace. Each stalls
 * before and after.
 *
 * Context: main, a process of one thread: what the kernel may refuse one of several
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static struct turn loop;

/* A call that succeeds leaves errno alone. */
#define SEE(call)                                                                                                      \
        do {                                                                                                           \
                errno = EXDEV;                                                                                         \
                int result_ = (call);                                                                                  \
                see("%s: %d, %s", #call, result_, strerror(errno));                                                    \
        } while (0)

static void users(void)
{
        stall_asleep(&loop);
        SEE(unshare(CLONE_NEWUSER));
        stall_asleep(&loop);
        SEE(unshare(CLONE_NEWUSER));
        stall_busy(&loop);
}

/* The truth's log is opened by its path: it must be below the new root. */
static void sandbox(void)
{
        stall_asleep(&loop);
        VICTIM_CHECK(mkdir("jail", 0755) == 0 || errno == EEXIST);
        SEE(unshare(CLONE_NEWNS));
        VICTIM_CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
        VICTIM_CHECK(mount("jail", "jail", NULL, MS_BIND, NULL) == 0 && chdir("jail") == 0);
        SEE((int)syscall(SYS_pivot_root, ".", "."));
        SEE(umount2(".", MNT_DETACH));
        VICTIM_CHECK(chdir("/") == 0 && setenv("VICTIM_TRUTH", "/truth", 1) == 0);
        stall_asleep(&loop);
        SEE(unshare(CLONE_NEWUSER));
        stall_asleep(&loop);
}

static int open_namespace(const char *of, const char *name)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/%.20s/ns/%.20s", of, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        VICTIM_CHECK(fd >= 0);
        return fd;
}

/* A child's namespace of users, which outlives it. */
static int users_of_a_child(void)
{
        int to_child[2], to_us[2];
        char byte = 0, pid[16];
        VICTIM_CHECK(pipe(to_child) == 0 && pipe(to_us) == 0);
        pid_t child = fork();
        if (child == 0) {
                byte = unshare(CLONE_NEWUSER) == 0;
                VICTIM_CHECK(write(to_us[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1);
                exit(0);
        }
        VICTIM_CHECK(read(to_us[0], &byte, 1) == 1 && byte == 1);
        snprintf(pid, sizeof pid, "%d", child);
        int fd = open_namespace(pid, "user");
        VICTIM_CHECK(write(to_child[1], &byte, 1) == 1);
        see_end("the child", child);
        return fd;
}

static void enter(void)
{
        int mounts = open_namespace("self", "mnt"), net = open_namespace("self", "net"), child = users_of_a_child();
        stall_asleep(&loop);
        SEE(setns(mounts, CLONE_NEWNS));
        stall_asleep(&loop);
        SEE(setns(mounts, 0));
        SEE(setns(net, CLONE_NEWNET));
        SEE(setns(net, CLONE_NEWNS));
        SEE(setns(-1, 0));
        SEE(unshare(CLONE_NEWTIME));
        int time_to_be = open_namespace("self", "time_for_children");
        SEE(setns(time_to_be, CLONE_NEWTIME));
        stall_asleep(&loop);
        SEE(setns(child, CLONE_NEWUSER));
        stall_asleep(&loop);
}

static void see_semaphore_undone(int flag)
{
        struct sembuf up = { .sem_op = 1, .sem_flg = SEM_UNDO };
        int set = semget(IPC_PRIVATE, 1, 0600);
        VICTIM_CHECK(set >= 0 && semop(set, &up, 1) == 0);
        SEE(unshare(flag));
        see("the semaphore: %d", semctl(set, 0, GETVAL));
        semctl(set, 0, IPC_RMID);
}

static void kinds(void)
{
        stall_asleep(&loop);
        see_semaphore_undone(CLONE_SYSVSEM);
        SEE(unshare(0));
        SEE(unshare(CLONE_FILES));
        SEE(unshare(CLONE_FS));
        SEE(unshare(CLONE_THREAD));
        SEE(unshare(CLONE_SIGHAND));
        SEE(unshare(CLONE_VM));
        SEE(unshare(CLONE_PARENT));
        stall_asleep(&loop);
        SEE(unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWCGROUP));
        SEE(unshare(CLONE_NEWIPC));
        SEE(unshare(CLONE_NEWNS | CLONE_NEWUSER | CLONE_THREAD));
        stall_asleep(&loop);
}

/* The kernel gives a process that has left its namespace of pids no thread more. */
static void pids(void)
{
        stall_asleep(&loop);
        SEE(unshare(CLONE_NEWPID));
        stall_asleep(&loop);
        pid_t child = fork();
        if (child == 0) {
                see("the first: %d", getpid());
                turn_close(&loop);
                turn_open(&loop);
                stall_busy(&loop);
                exit(3);
        }
        see_end("the first", child);
        turn_run(&loop, 5, NULL);
}

int main(int argc, char **argv)
{
        static const struct victim_case cases[] = {
                { "user", users },  { "sandbox", sandbox }, { "enter", enter },
                { "kinds", kinds }, { "pids", pids },       { NULL, NULL },
        };
        VICTIM_CHECK(argc > 1);
        turn_open(&loop);
        victim_case_of(cases, argv[1])->run();
        return 0;
}
