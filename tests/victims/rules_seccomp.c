/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_seccomp.c - a server under a filter that punishes a system call which it never makes itself
 *
 *     rules_seccomp kill|errno before|after|all CALL
 *
 * The filter ends the process (kill) or answers EPERM (errno) where CALL is made: process_vm_readv, rt_tgsigqueueinfo,
 * tgkill, pidfd_getfd, openat, membarrier or fork (a child of any kind, but no thread). "before": installed before the
 * first wait, so that the watchdog inherits it. "after": when the loop is under way, by this thread for itself only.
 * "all": the same for all threads. Then one stall asleep and one on the CPU, of 300 ms each; no log of the truth, which
 * could not be opened. At the end it looks for children: only its own may show.
 *
 * Context: main
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static const struct {
        const char *name;
        uint32_t number;
} calls[] = {
        { "process_vm_readv", SYS_process_vm_readv },
        { "rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo },
        { "tgkill", SYS_tgkill },
        { "pidfd_getfd", SYS_pidfd_getfd },
        { "openat", SYS_openat },
        { "membarrier", SYS_membarrier },
        { "fork", SYS_clone },
};

static uint32_t number_of(const char *name)
{
        for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
                if (strcmp(calls[i].name, name) == 0)
                        return calls[i].number;
        VICTIM_CHECK(!"a call that is known");
        return 0;
}

/* By the plain system call, as libseccomp does it: libc's prctl() would tell us. */
static void install(struct sock_filter *program, unsigned length, unsigned flags)
{
        struct sock_fprog filter = { .len = (unsigned short)length, .filter = program };
        VICTIM_CHECK(syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        VICTIM_CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter) == 0);
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))

static void forbid(uint32_t number, uint32_t action, unsigned flags)
{
        struct sock_filter program[] = {
                LOAD(nr),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                RETURN(action),
                RETURN(SECCOMP_RET_ALLOW),
        };
        install(program, sizeof program / sizeof *program, flags);
}

/* As qemu's sandbox: clone3 does not exist, and clone must make a thread. */
static void forbid_children(uint32_t action, unsigned flags)
{
        struct sock_filter program[] = {
                LOAD(nr),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
                RETURN(SECCOMP_RET_ERRNO | ENOSYS),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
                LOAD(args[0]),
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x00010000 /* CLONE_THREAD */, 1, 0),
                RETURN(action),
                RETURN(SECCOMP_RET_ALLOW),
        };
        install(program, sizeof program / sizeof *program, flags);
}

static VICTIM_FRAME void on_sleep(struct turn *loop)
{
        quiet_sleep_ms(300);
}

static VICTIM_FRAME void on_busy(struct turn *loop)
{
        quiet_busy_ms(300);
}

/* Nobody else's child may be found, also where children of every kind are asked for. */
static void check_children(pid_t own)
{
        int status;
        if (own > 0)
                VICTIM_CHECK(waitpid(own, &status, 0) == own && WIFEXITED(status));
        VICTIM_CHECK(waitpid(-1, &status, __WALL | WNOHANG) == -1 && errno == ECHILD);
}

int main(int argc, char **argv)
{
        VICTIM_CHECK(argc == 4);
        uint32_t action = strcmp(argv[1], "kill") == 0 ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
        unsigned flags = strcmp(argv[2], "all") == 0 ? SECCOMP_FILTER_FLAG_TSYNC : 0;
        uint32_t number = number_of(argv[3]);
        struct turn loop;
        pid_t child = fork();
        if (child == 0)
                _exit(0);
        turn_open(&loop);
        if (strcmp(argv[2], "before") != 0)
                turn_run(&loop, 10, NULL);
        (number == SYS_clone ? forbid_children(action, flags) : forbid(number, action, flags));
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_sleep);
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_busy);
        turn_run(&loop, 5, NULL);
        check_children(child);
        return 0;
}
