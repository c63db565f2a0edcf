/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c - what the rows have in common, and how one of them is made
 *
 * Context: tests; any thread
 */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#define NS_PER_S 1000000000ll
#define LEFT_EARLY_NS 20000000ll /* what is left of a time limit, counted to a tick of the kernel and a little more */
#define LEFT_LATE_NS 150000000ll /* and the thread may have waited for a processor before it read the clock */

const struct call *calls[CALLS_MOST];
size_t calls_count;

static const struct call *const tables[] = {
        calls_sleeps,  calls_polls, calls_locks,  calls_queues,  calls_sockets,
        calls_streams, calls_files, calls_events, calls_signals, calls_repeats,
#ifdef HAVE_LIBURING
        calls_rings,
#endif
};

struct limits {
        struct timespec spec;
        struct timeval val;
};
static const struct limits *limits;
static unsigned lasts_ms;

/* Of the thread that makes a call. */
static _Thread_local volatile int handled;

static void on_signal(int number)
{
        handled++;
}

void calls_begin(unsigned ms)
{
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
        struct limits *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        NEED(page != MAP_FAILED);
        page->spec = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
        page->val = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
        NEED(mprotect(page, 4096, PROT_READ) == 0);
        limits = page;
        lasts_ms = ms;
        NEED(sigaction(SIGUSR2, &action, NULL) == 0);
        action.sa_flags = 0;
        NEED(sigaction(SIGUSR1, &action, NULL) == 0);
        signal(SIGPIPE, SIG_IGN);
        for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
                for (const struct call *call = tables[t]; call->name != NULL; call++) {
                        NEED(calls_count < CALLS_MOST);
                        calls[calls_count++] = call;
                }
}

unsigned calls_ms(void)
{
        return lasts_ms;
}

const struct timespec *calls_limit(void)
{
        return &limits->spec;
}

const struct timeval *calls_limit_val(void)
{
        return &limits->val;
}

struct timespec calls_deadline(clockid_t clock)
{
        struct timespec t;
        clock_gettime(clock, &t);
        t.tv_sec += limits->spec.tv_sec;
        t.tv_nsec += limits->spec.tv_nsec;
        if (t.tv_nsec >= NS_PER_S) {
                t.tv_sec++;
                t.tv_nsec -= NS_PER_S;
        }
        return t;
}

uint64_t scene_now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- a scene ---- */

bool scene_prepare(struct scene *scene, const struct call *call)
{
        memset(scene, 0, sizeof(*scene));
        scene->call = call;
        scene->fds[0] = scene->fds[1] = scene->id = -1;
        if (call->prepare != NULL)
                call->prepare(scene);
        return scene->skipped == NULL;
}

/* A signal mask that a call leaves behind would be the program's from then on. */
static void check_mask(struct scene *scene, const sigset_t *before)
{
        sigset_t after;
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        for (int number = 1; number < NSIG; number++)
                if (sigismember(before, number) != sigismember(&after, number))
                        scene_saw(scene, "mask of %d changed", number);
}

void scene_make(struct scene *scene)
{
        sigset_t mask;
        scene->caller = pthread_self();
        handled = 0;
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        atomic_store(&scene->begin_ns, scene_now_ns());
        errno = 0;
        scene->result = scene->call->make(scene);
        scene->error = errno;
        uint64_t end_ns = scene_now_ns();
        check_mask(scene, &mask);
        if (scene->result >= 0)
                scene->error = 0;
        if (scene->call->number == CALL_RUNS) /* two that come at a time when it gets no processor are one */
                scene_saw(scene, "%s handled", handled > 0 ? "some" : "none");
        else
                scene_saw(scene, "%d handled", handled);
        atomic_store(&scene->end_ns, end_ns);
}

void scene_clean(struct scene *scene)
{
        /* A partner that writes to a stopped terminal would not see it closed: children of other scenes hold it. */
        if (scene->has_partner && isatty(scene->fds[0]))
                tcflow(scene->fds[0], TCOON);
        for (int i = 0; i < 2; i++)
                if (scene->fds[i] >= 0)
                        close(scene->fds[i]);
        if (scene->has_partner)
                pthread_join(scene->partner, NULL);
        if (!scene->object_stays)
                free(scene->object);
}

/* ---- for the rows ---- */

void scene_fail(const char *file, int line, const char *what)
{
        fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, strerror(errno));
        abort();
}

void scene_saw(struct scene *scene, const char *format, ...)
{
        size_t used = strlen(scene->seen);
        va_list list;
        if (used > 0 && used + 2 < sizeof(scene->seen)) {
                strcpy(scene->seen + used, ", ");
                used += 2;
        }
        va_start(list, format);
        vsnprintf(scene->seen + used, sizeof(scene->seen) - used, format, list);
        va_end(list);
}

void scene_saw_left(struct scene *scene, const char *name, int64_t seconds, int64_t ns)
{
        int64_t passed_ns = (int64_t)(scene_now_ns() - atomic_load(&scene->begin_ns));
        int64_t sum_ns = seconds * NS_PER_S + ns + passed_ns - (int64_t)lasts_ms * 1000000;
        if (sum_ns > -LEFT_EARLY_NS && sum_ns < LEFT_LATE_NS)
                scene_saw(scene, "%s fits", name);
        else
                scene_saw(scene, "%s %lld ns after %lld ns", name, (long long)(seconds * NS_PER_S + ns),
                          (long long)passed_ns);
}

long scene_share(long done, long whole)
{
        return done == whole ? SHARE_WHOLE : done > 0 && done < whole ? SHARE_PART : done;
}

void scene_partner(struct scene *scene, void *(*main)(void *))
{
        NEED(pthread_create(&scene->partner, NULL, main, scene) == 0);
        scene->has_partner = true;
}

void scene_pause(unsigned ms)
{
        struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
        while (nanosleep(&t, &t) != 0)
                ;
}

void scene_await_end(struct scene *scene)
{
        uint64_t begin_ns;
        while ((begin_ns = atomic_load(&scene->begin_ns)) == 0)
                scene_pause(1);
        while (scene_now_ns() < begin_ns + lasts_ms * 1000000ull)
                scene_pause(1);
}

static void be_child(struct scene *scene, void (*begin)(struct scene *), const int orders[2], const int ready[2])
{
        char byte;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (begin != NULL)
                begin(scene);
        NEED(write(ready[1], "x", 1) == 1);
        NEED(read(orders[0], &byte, 1) == 1);
        _exit(3);
}

void scene_child(struct scene *scene, void (*begin)(struct scene *))
{
        int orders[2], ready[2];
        char byte;
        NEED(pipe2(orders, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
        scene->id = fork();
        NEED(scene->id >= 0);
        if (scene->id == 0)
                be_child(scene, begin, orders, ready);
        NEED(read(ready[0], &byte, 1) == 1);
        close(ready[0]);
        close(ready[1]);
        close(orders[0]);
        scene->orders = orders[1];
}

/* By a byte: a child that was made later may hold the pipe as well, so closing it tells nothing. */
void scene_end_child(struct scene *scene)
{
        scene_try(write(scene->orders, "x", 1) == 1);
}

long scene_answer(long result)
{
        if (result >= 0)
                return result;
        errno = (int)-result;
        return -1;
}

void scene_pipe(struct scene *scene)
{
        NEED(pipe2(scene->fds, O_CLOEXEC) == 0);
}

void scene_terminal(struct scene *scene)
{
        char name[64];
        scene->fds[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (scene->fds[1] < 0 || grantpt(scene->fds[1]) != 0 || unlockpt(scene->fds[1]) != 0 ||
            ptsname_r(scene->fds[1], name, sizeof(name)) != 0) {
                scene->skipped = "no pseudo-terminal can be made here";
                return;
        }
        scene->fds[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        NEED(scene->fds[0] >= 0);
}

/* In large pieces and then in small ones. */
void scene_fill(int fd)
{
        static const char bytes[4096];
        int flags = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        while (write(fd, bytes, sizeof(bytes)) > 0)
                ;
        while (write(fd, bytes, 1) > 0)
                ;
        fcntl(fd, F_SETFL, flags);
}

int scene_signals(void)
{
        return handled;
}

void scene_send_signal(struct scene *scene)
{
        pthread_kill(scene->caller, SIGUSR2);
}
