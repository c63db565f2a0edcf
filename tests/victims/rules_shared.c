/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_shared.c - a server whose descriptor table loopdog must share
 *
 *     rules_shared watched|reuse|forks|seen
 *
 * A filter refuses unshare() and close_range(), so loopdog's files stand in this program's own table. "watched": it
 * stalls all the same. "reuse": it closes all that it does not know and puts sockets at their numbers; it must never
 * read a byte from them nor lose one. "forks": 20 children, and no descriptor more than before. "seen": only
 * unshare() is refused, and so none of them may show here.
 *
 * Context: main
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

#define NUMBERS 1000

static struct turn loop;
static bool known[NUMBERS];
static int peer;

static void refuse_own_tables(bool all)
{
        unsigned second = all ? SYS_close_range : SYS_unshare;
        struct sock_filter program[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 1, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = { .len = sizeof program / sizeof *program, .filter = program };
        VICTIM_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        VICTIM_CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
}

static VICTIM_FRAME void on_sleep(struct turn *turn)
{
        planted_sleep_ms(300, "on_sleep");
}

static bool is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

static unsigned count_open(int from)
{
        unsigned count = 0;
        for (int fd = from; fd < NUMBERS; fd++)
                count += is_open(fd);
        return count;
}

/* As a daemon does it that was told to. */
static void close_unknown_and_use_their_numbers(void)
{
        int pair[2];
        VICTIM_CHECK(count_open(900) > 0); /* else this shows nothing */
        for (int fd = 3; fd < NUMBERS; fd++)
                if (!known[fd])
                        close(fd);
        VICTIM_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        peer = pair[0];
        for (int fd = pair[1]; fd < NUMBERS - 1;)
                VICTIM_CHECK((fd = fcntl(pair[1], F_DUPFD, fd + 1)) >= 0);
}

static void check_sockets(void)
{
        char byte;
        VICTIM_CHECK(recv(peer, &byte, 1, 0) == -1 && errno == EAGAIN);
        for (int fd = 3; fd < NUMBERS; fd++)
                VICTIM_CHECK(is_open(fd));
}

static void fork_often(void)
{
        turn_run(&loop, 2, NULL);
        unsigned before = count_open(3);
        for (int i = 0; i < 20; i++) {
                pid_t child = fork();
                if (child == 0) {
                        VICTIM_CHECK(count_open(3) <= before);
                        _exit(0);
                }
                VICTIM_CHECK(waitpid(child, NULL, 0) == child);
                turn_run(&loop, 2, NULL); /* the watchdog starts again */
        }
        VICTIM_CHECK(count_open(3) <= before);
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "watched";
        refuse_own_tables(strcmp(mode, "seen") != 0);
        turn_open(&loop);
        for (int fd = 0; fd < NUMBERS; fd++)
                known[fd] = is_open(fd);
        turn_run(&loop, 5, NULL);
        if (strcmp(mode, "seen") == 0)
                VICTIM_CHECK(count_open(900) == 0);
        if (strcmp(mode, "forks") == 0)
                fork_often();
        turn_run(&loop, 1, on_sleep);
        turn_run(&loop, 5, NULL);
        if (strcmp(mode, "reuse") == 0) {
                close_unknown_and_use_their_numbers();
                turn_run(&loop, 1, on_sleep);
                turn_run(&loop, 5, NULL);
                check_sockets();
        }
        return 0;
}
