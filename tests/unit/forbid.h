/* SPDX-License-Identifier: Apache-2.0
 *
 * forbid.h - put the calling thread under a seccomp filter, for good
 *
 * Context: unit tests, in a child or at the end of a test
 */
#ifndef LOOPDOG_TESTS_UNIT_FORBID_H
#define LOOPDOG_TESTS_UNIT_FORBID_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))

/* `action` for each of three calls; the same one thrice for fewer. Ends the process where there are no filters. */
static void forbid(const int numbers[3], uint32_t action, unsigned flags)
{
        struct sock_filter program[] = {
                LOAD(nr),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[0], 2, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[1], 1, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[2], 0, 1),
                RETURN(action),
                RETURN(SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = { .len = sizeof program / sizeof *program, .filter = program };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter) != 0)
                _exit(90);
}

#endif
