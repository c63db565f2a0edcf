/* SPDX-License-Identifier: Apache-2.0
 *
 * signals.c - calls that wait for a signal of the program's own
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

/* The mask that a wait brings along; a signal that captures running threads is left out, as it has to arrive. */
static sigset_t only_usr2(void)
{
        sigset_t set;
        sigfillset(&set);
        sigdelset(&set, SIGUSR2);
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                sigdelset(&set, number);
        return set;
}

static sigset_t usr2(void)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        return set;
}

/* Outside of the wait it is blocked, before and after. */
static void begin_blocking(sigset_t *before)
{
        sigset_t set = usr2();
        pthread_sigmask(SIG_BLOCK, &set, before);
}

static long end_blocking(struct scene *scene, const sigset_t *before, long result)
{
        struct timespec none = { 0, 0 };
        sigset_t now, set = usr2();
        int error = errno;
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        for (int number = 1; number < NSIG; number++)
                if (sigismember(&now, number) != (number == SIGUSR2 ? 1 : sigismember(before, number)))
                        scene_saw(scene, "mask of %d is another", number);
        while (sigtimedwait(&set, NULL, &none) > 0)
                ;
        pthread_sigmask(SIG_SETMASK, before, NULL);
        errno = error;
        return result;
}

static long do_pause(struct scene *scene)
{
        return pause();
}

static long do_sigsuspend(struct scene *scene)
{
        sigset_t before, set = only_usr2();
        begin_blocking(&before);
        return end_blocking(scene, &before, sigsuspend(&set));
}

static long do_ppoll(struct scene *scene)
{
        sigset_t before, set = only_usr2();
        begin_blocking(&before);
        return end_blocking(scene, &before, ppoll(NULL, 0, NULL, &set));
}

static long do_pselect(struct scene *scene)
{
        sigset_t before, set = only_usr2();
        begin_blocking(&before);
        return end_blocking(scene, &before, pselect(0, NULL, NULL, NULL, NULL, &set));
}

static void make_epoll(struct scene *scene)
{
        scene->fds[0] = epoll_create1(EPOLL_CLOEXEC);
        NEED(scene->fds[0] >= 0);
}

static long do_epoll_pwait(struct scene *scene)
{
        struct epoll_event event;
        sigset_t before, set = only_usr2();
        begin_blocking(&before);
        return end_blocking(scene, &before, epoll_pwait(scene->fds[0], &event, 1, -1, &set));
}

static long saw_info(struct scene *scene, long result, const siginfo_t *info)
{
        int error = errno;
        scene_saw(scene, "signal %d, code %d", info->si_signo, info->si_code);
        errno = error;
        return result;
}

static long wait_for_usr2(struct scene *scene, const struct timespec *limit)
{
        siginfo_t info = { .si_signo = 0 };
        sigset_t before, set = usr2();
        begin_blocking(&before);
        return end_blocking(scene, &before, saw_info(scene, sigtimedwait(&set, &info, limit), &info));
}

static long do_sigtimedwait(struct scene *scene)
{
        return wait_for_usr2(scene, calls_limit());
}

static long do_sigtimedwait_for_long(struct scene *scene)
{
        static const struct timespec minute = { 60, 0 };
        return wait_for_usr2(scene, &minute);
}

static long do_sigwaitinfo(struct scene *scene)
{
        return wait_for_usr2(scene, NULL);
}

static long do_sigwait(struct scene *scene)
{
        sigset_t before, set = usr2();
        int number = 0;
        begin_blocking(&before);
        int error = sigwait(&set, &number);
        scene_saw(scene, "signal %d", number);
        return end_blocking(scene, &before, scene_answer(-error));
}

/* Every signal there is, ours among them: it must not be handed to the program. */
static long do_wait_for_all(struct scene *scene)
{
        siginfo_t info = { .si_signo = 0 };
        sigset_t before, all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        long result = sigtimedwait(&all, &info, calls_limit());
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return saw_info(scene, result, &info);
}

static void make_signalfd(struct scene *scene)
{
        sigset_t set = usr2();
        scene->fds[0] = signalfd(-1, &set, SFD_CLOEXEC);
        NEED(scene->fds[0] >= 0);
}

static void make_signalfd_of_all(struct scene *scene)
{
        sigset_t all;
        sigfillset(&all);
        scene->fds[0] = signalfd(-1, &all, SFD_CLOEXEC);
        NEED(scene->fds[0] >= 0);
}

static long read_signalfd(struct scene *scene)
{
        struct signalfd_siginfo info = { .ssi_signo = 0 };
        long result = read(scene->fds[0], &info, sizeof(info));
        int error = errno;
        scene_saw(scene, "signal %u", info.ssi_signo);
        errno = error;
        return result;
}

static long do_signalfd(struct scene *scene)
{
        sigset_t before;
        begin_blocking(&before);
        return end_blocking(scene, &before, read_signalfd(scene));
}

static long do_signalfd_of_all(struct scene *scene)
{
        sigset_t before, all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        long result = read_signalfd(scene);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return result;
}

#define INFO_BYTES sizeof(struct signalfd_siginfo)

const struct call calls_signals[] = {
        { "pause", NULL, do_pause, scene_send_signal, -1, EINTR, SYS_pause, MENDED },
        { "sigsuspend", NULL, do_sigsuspend, scene_send_signal, -1, EINTR, SYS_rt_sigsuspend, MENDED },
        { "ppoll for a signal", NULL, do_ppoll, scene_send_signal, -1, EINTR, SYS_ppoll, MENDED },
        { "pselect for a signal", NULL, do_pselect, scene_send_signal, -1, EINTR, SYS_pselect6, MENDED },
        { "epoll_pwait for a signal", make_epoll, do_epoll_pwait, scene_send_signal, -1, EINTR, SYS_epoll_pwait,
          MENDED },
        { "sigtimedwait", NULL, do_sigtimedwait, NULL, -1, EAGAIN, SYS_rt_sigtimedwait, MENDED },
        { "sigtimedwait, its signal", NULL, do_sigtimedwait_for_long, scene_send_signal, SIGUSR2, 0,
          SYS_rt_sigtimedwait, MENDED },
        { "sigtimedwait for all signals", NULL, do_wait_for_all, NULL, -1, EAGAIN, SYS_rt_sigtimedwait, BLOCKED },
        { "sigwaitinfo", NULL, do_sigwaitinfo, scene_send_signal, SIGUSR2, 0, SYS_rt_sigtimedwait, MENDED },
        { "sigwait", NULL, do_sigwait, scene_send_signal, 0, 0, SYS_rt_sigtimedwait, HIDDEN },
        { "read of a signalfd", make_signalfd, do_signalfd, scene_send_signal, INFO_BYTES, 0, SYS_read, RESTARTED },
        { "read of a signalfd of all", make_signalfd_of_all, do_signalfd_of_all, scene_send_signal, INFO_BYTES, 0,
          SYS_read, BLOCKED },
        { 0 },
};
