/* SPDX-License-Identifier: Apache-2.0
 *
 * transparent.c - every call that a signal can interrupt, each in a callback of a loop of its own
 *
 *     transparent MILLISECONDS SHARE OF OWN [CALL...]
 *
 * Each call of tests/calls (those with number % OF == SHARE; of them those named) is made once by a thread that is a
 * loop by then, and lasts so long. What the program saw of it is one line of JSON. OWN is `none`, or `plain` or
 * `restart`: then three signals of the program's own, whose handler was installed without or with SA_RESTART, arrive at
 * random moments, the same in each run, while the call sleeps. The test compares runs with the agent and without.
 *
 * A moment that could not be kept, because this thread had no CPU, makes a line `shaken`: its run tells nothing.
 *
 * Context: a thread a call, and main, which sends the signals and ends calls without a time limit
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../calls/calls.h"
#include "truth.h"
#include "turn.h"

#define SIGNALS 3
#define LATE_NS 50000000ull
#define NEAR_NS 10000000ull /* of two signals: the call may end by both */
#define STUCK_MS 30000

struct guest {
        struct turn loop; /* first: the callback gets it */
        struct scene scene;
        size_t number;
        pthread_t thread;
        _Atomic int32_t tid;
        uint64_t moments_ns[SIGNALS]; /* after the call's begin, ascending */
        int sent;
        uint64_t sent_ns; /* the last one */
        bool told;        /* the row's `end` */
        bool late;        /* that, or a signal, came too late */
};

static struct guest guests[CALLS_MOST];
static size_t guests_count;
static int own_signal; /* 0: none */

/* ---- the call ---- */

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        struct guest *guest = (struct guest *)loop;
        scene_make(&guest->scene);
}

/* Whatever comes late from the call, a signal or a ring's end, may interrupt these. */
static void turn_twice(struct turn *loop)
{
        for (int turns = 0; turns < 2; turns++) {
                turn_arm(loop, 20);
                while (turn_wait(loop, 1000, NULL) != 1)
                        ;
        }
}

static void *be_loop(void *opaque)
{
        struct guest *guest = opaque;
        char name[16];
        snprintf(name, sizeof(name), "call-%zu", guest->number);
        pthread_setname_np(pthread_self(), name);
        atomic_store(&guest->tid, (int32_t)syscall(SYS_gettid));
        turn_open(&guest->loop);
        turn_run(&guest->loop, 3, NULL);
        turn_run(&guest->loop, 1, on_timer);
        turn_twice(&guest->loop);
        turn_close(&guest->loop);
        return NULL;
}

/* ---- signals and ends ---- */

static void choose_moments(struct guest *guest)
{
        uint64_t random = guest->number * 0x9e3779b97f4a7c15ull + 1;
        uint64_t step_ns = calls_ms() * 1000000ull / 5;
        for (int i = 0; i < SIGNALS; i++) {
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                guest->moments_ns[i] = (uint64_t)(i + 1) * step_ns + random % (step_ns / 2);
        }
}

static bool sleeps_in_its_call(const struct guest *guest)
{
        char path[64], text[64] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", atomic_load(&guest->tid));
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
        close(fd);
        return length > 0 && text[0] >= '0' && text[0] <= '9' && atoi(text) == guest->scene.call->number;
}

static void send_signal(struct guest *guest)
{
        if (guest->scene.call->number != CALL_RUNS && !sleeps_in_its_call(guest))
                return;
        guest->sent_ns = scene_now_ns();
        pthread_kill(guest->scene.caller, own_signal);
        guest->sent++;
}

/* Was every signal sent when it was due, and the end told? */
static bool is_shaken(const struct guest *guest)
{
        uint64_t begin_ns = atomic_load(&guest->scene.begin_ns), end_ns = atomic_load(&guest->scene.end_ns);
        if (guest->late || end_ns < guest->sent_ns)
                return true;
        return own_signal != 0 && guest->sent < SIGNALS && end_ns > begin_ns + guest->moments_ns[guest->sent];
}

/* false: it has ended. */
static bool attend_to(struct guest *guest)
{
        struct scene *scene = &guest->scene;
        uint64_t begin_ns = atomic_load(&scene->begin_ns);
        if (atomic_load(&scene->end_ns) != 0)
                return false;
        if (begin_ns == 0)
                return true;
        uint64_t age_ns = scene_now_ns() - begin_ns, lasts_ns = calls_ms() * 1000000ull;
        if (own_signal != 0 && guest->sent < SIGNALS && age_ns >= guest->moments_ns[guest->sent]) {
                guest->late |= guest->sent + 1 < SIGNALS && age_ns + NEAR_NS > guest->moments_ns[guest->sent + 1];
                send_signal(guest);
        }
        if (age_ns >= lasts_ns && !guest->told) {
                guest->told = true;
                guest->late |= age_ns > lasts_ns + LATE_NS;
                if (scene->call->end != NULL)
                        scene->call->end(scene);
        }
        return true;
}

static void attend_to_all(void)
{
        uint64_t end_ns = scene_now_ns() + (calls_ms() + STUCK_MS) * 1000000ull;
        for (bool busy = true; busy; scene_pause(1)) {
                busy = false;
                for (size_t i = 0; i < guests_count; i++)
                        busy |= attend_to(&guests[i]);
                if (scene_now_ns() < end_ns)
                        continue;
                for (size_t i = 0; i < guests_count; i++)
                        if (atomic_load(&guests[i].scene.end_ns) == 0)
                                fprintf(stderr, "%s does not end\n", guests[i].scene.call->name);
                _exit(2);
        }
}

/* ---- */

static bool is_chosen(size_t number, char **arguments)
{
        if (number % (size_t)atoi(arguments[3]) != (size_t)atoi(arguments[2]))
                return false;
        if (arguments[5] == NULL)
                return true;
        for (char **name = arguments + 5; *name != NULL; name++)
                if (strcmp(*name, calls[number]->name) == 0)
                        return true;
        return false;
}

/* Before the first loop: no agent is at work when processes are made. */
static void prepare_all(char **arguments)
{
        for (size_t i = 0; i < calls_count; i++) {
                struct guest *guest = &guests[guests_count];
                if (!is_chosen(i, arguments))
                        continue;
                guest->number = i;
                choose_moments(guest);
                if (scene_prepare(&guest->scene, calls[i]))
                        guests_count++;
                else
                        printf("{\"call\": \"%s\", \"skipped\": \"%s\"}\n", calls[i]->name, guest->scene.skipped);
        }
}

/* May a signal that met it while it was just entered, or while it blocked all signals, be seen? */
static bool is_limited(const struct call *call)
{
        return call->how == LIMITED || call->how == BLOCKED;
}

static void tell(const struct guest *guest)
{
        const struct scene *scene = &guest->scene;
        printf("{\"call\": \"%s\", \"thread\": \"call-%zu\", \"result\": %ld, \"error\": %d, \"seen\": \"%s\","
               " \"ms\": %.1f, \"sent\": %d, \"shaken\": %s, \"limited\": %s, \"runs\": %s,"
               " \"expected\": [%ld, %d]}\n",
               scene->call->name, guest->number, scene->result, scene->error, scene->seen,
               (double)(atomic_load(&scene->end_ns) - atomic_load(&scene->begin_ns)) / 1e6, guest->sent,
               is_shaken(guest) ? "true" : "false", is_limited(scene->call) ? "true" : "false",
               scene->call->number == CALL_RUNS ? "true" : "false", scene->call->result,
               scene->call->result < 0 ? scene->call->error : 0);
}

int main(int count, char **arguments)
{
        VICTIM_CHECK(count >= 5);
        calls_begin((unsigned)atoi(arguments[1]));
        own_signal = strcmp(arguments[4], "plain") == 0 ? SIGUSR1 : strcmp(arguments[4], "restart") == 0 ? SIGUSR2 : 0;
        prepare_all(arguments);
        fflush(stdout);
        for (size_t i = 0; i < guests_count; i++)
                VICTIM_CHECK(pthread_create(&guests[i].thread, NULL, be_loop, &guests[i]) == 0);
        attend_to_all();
        for (size_t i = 0; i < guests_count; i++) {
                pthread_join(guests[i].thread, NULL);
                tell(&guests[i]);
        }
        return 0;
}
