/* SPDX-License-Identifier: Apache-2.0
 *
 * test_storm.c - system calls that are interrupted by our signal again and again go on as if nothing had happened
 *
 * Each call of tests/calls lasts 150 ms, while its thread gets signals of ours (signal_ask() sends them although the
 * thread sleeps, which capture_take() would never do). Result, errno, whatever else the program sees, and time must be
 * as without, and the number of calls that were made to go on proves that the signals did interrupt. Some calls are
 * made at the same time, so that the whole takes seconds.
 *
 * The same with signals of the program's own at random moments, the same in both runs, whose handler restarts calls or
 * does not: in the midst of ours, and with one of ours right behind. Judged as in test_transparent.py: what could not
 * be judged, as this machine gave somebody no CPU, is made again on both sides; any other difference is one at once.
 *
 * LOOPDOG_STORM_MS=1050 for calls so long, with 200 signals each (./dev soak).
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

#include "../calls/calls.h"
#include "capture/handler.h"
#include "capture/signal.h"
#include "capture/task.h"
#include "victim.h"

#define TOGETHER 5
#define TRIES 5
#define MANY 1000
#define OWN_SIGNALS 3
#define OWN_TRIES 15
#define OWN_EARLY_MS 12 /* a tick of the kernel, by which a socket's time limit may be short */
#define OWN_LATE_MS 80
#define OWN_TOLD_LATE_NS 50000000ull

struct player {
        struct scene scene;
        struct victim victim;
        unsigned captures;
        unsigned long mended;
        bool told;
        bool told_late;
        /* Of the program's own signals. */
        uint64_t moments_ns[OWN_SIGNALS]; /* after the call's begin, ascending */
        unsigned sent;
        uint64_t sent_ns; /* the last one */
        bool met_ours;    /* one of ours came right behind one of them */
};

struct stage {
        struct player players[TOGETHER];
        size_t count;
};

static void *make_the_call(struct victim *victim)
{
        scene_make(&((struct player *)victim->argument)->scene);
        return NULL;
}

/* ---- signals of the program's own ---- */

static int own_signal; /* 0: none */

/* The same for each run of a row. */
static void choose_moments(struct player *player)
{
        uint64_t random = 0xcbf29ce484222325ull + (uint64_t)own_signal;
        uint64_t step_ns = calls_ms() * 1000000ull / 5;
        for (const char *at = player->scene.call->name; *at != '\0'; at++)
                random = (random ^ (unsigned char)*at) * 0x100000001b3ull;
        for (unsigned i = 0; i < OWN_SIGNALS; i++) {
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                player->moments_ns[i] = (i + 1) * step_ns + random % (step_ns / 2);
        }
}

/* ---- one stage ---- */

static void raise_curtain(struct stage *stage, const struct call *const *rows, size_t count)
{
        stage->count = 0;
        for (size_t i = 0; i < count; i++) {
                struct player *player = &stage->players[stage->count];
                memset(player, 0, sizeof(*player));
                if (!scene_prepare(&player->scene, rows[i])) {
                        printf("not made: %s: %s\n", rows[i]->name, player->scene.skipped);
                        continue;
                }
                stage->count++;
                choose_moments(player);
                victim_start(&player->victim, make_the_call, player);
                cr_assert(victim_sleeps(&player->victim, rows[i]->number), "%s", rows[i]->name);
        }
}

static uint64_t age_ns(const struct player *player)
{
        return now_ns() - atomic_load(&player->scene.begin_ns);
}

/* The watchdog sends nothing to a handler that is not ours: then the test itself does. */
static bool is_plain;

static bool hit(struct player *player)
{
        struct sample sample;
        memset(&sample, 0, sizeof(sample));
        if (!is_plain)
                return signal_ask(&player->victim.task, now_ns() - age_ns(player), &sample) == CAPTURE_OK;
        uint64_t arrived = atomic_load(&handler.arrived);
        syscall(SYS_tgkill, getpid(), player->victim.task.tid, atomic_load(&handler.number));
        for (int i = 0; i < 1000 && atomic_load(&handler.arrived) == arrived; i++)
                sleep_us(100);
        return atomic_load(&handler.arrived) != arrived;
}

/* Mended, a poll goes on as a ppoll; so the number tells nothing. */
static bool sleeps(struct player *player)
{
        struct task_call call;
        return task_read_call(&player->victim.task, &call) == 0 && call.asleep;
}

/* Only to a sleeper, so that no two are one. Each second one is met by ours while its handler begins or ends. */
static void send_own(struct player *player, unsigned captures)
{
        if (own_signal == 0 || player->sent == OWN_SIGNALS || age_ns(player) < player->moments_ns[player->sent])
                return;
        if (atomic_load(&player->scene.end_ns) != 0 || !sleeps(player))
                return;
        player->sent_ns = now_ns();
        pthread_kill(player->scene.caller, own_signal);
        player->sent++;
        if (captures > 0 && player->moments_ns[player->sent - 1] % 2 == 0) {
                player->met_ours = true;
                hit(player);
        }
}

/* Until shortly before it ends by itself. A call that is made to go on is counted at the latest when the next signal
 * is about to be sent. */
static void interrupt(struct player *player, unsigned captures)
{
        uint64_t mended = atomic_load(&handler.mended);
        if (player->captures >= captures || age_ns(player) > (calls_ms() - 10) * 1000000ull ||
            atomic_load(&player->scene.end_ns) != 0 || (own_signal != 0 && !sleeps(player)))
                return;
        if (hit(player))
                player->captures++;
        sleep_us(1000);
        player->mended += atomic_load(&handler.mended) - mended;
}

/* What ends the call is told once. false: it has ended. */
static bool go_on(struct player *player)
{
        if (atomic_load(&player->scene.end_ns) != 0)
                return false;
        if (age_ns(player) >= calls_ms() * 1000000ull && !player->told) {
                player->told = true;
                player->told_late = age_ns(player) > calls_ms() * 1000000ull + OWN_TOLD_LATE_NS;
                if (player->scene.call->end != NULL)
                        player->scene.call->end(&player->scene);
        }
        return true;
}

static void drop_curtain(struct stage *stage)
{
        for (size_t i = 0; i < stage->count; i++) {
                victim_join(&stage->players[i].victim);
                scene_clean(&stage->players[i].scene);
        }
}

static void play(struct stage *stage, const struct call *const *rows, size_t count, unsigned captures)
{
        raise_curtain(stage, rows, count);
        for (bool busy = true; busy; sleep_us(200)) {
                busy = false;
                for (size_t i = 0; i < stage->count; i++) {
                        send_own(&stage->players[i], captures);
                        interrupt(&stage->players[i], captures);
                        busy |= go_on(&stage->players[i]);
                }
        }
        drop_curtain(stage);
}

/* ---- what must come out ---- */

/* The kernel counts SO_RCVTIMEO and SO_SNDTIMEO in its own ticks, of up to 10 ms (HZ is 100 to 1000), and the first of
 * them has already begun when the call does: such a call may end up to a tick early, also without us. */
static double least_ms(const struct call *call)
{
        return calls_ms() - (call->how == ANEW ? 10 : 0.1);
}

/* A socket's time limit begins anew with each signal. */
static double most_ms(const struct call *call, unsigned captures)
{
        return calls_ms() + 80 + (captures > 0 && call->how == ANEW && call->end == NULL ? calls_ms() : 0);
}

static bool is_in_time(const struct scene *scene, unsigned captures)
{
        if (captures > 0 && scene->call->how == LIMITED)
                return true;
        double took_ms = (double)(atomic_load(&scene->end_ns) - atomic_load(&scene->begin_ns)) / 1e6;
        cr_assert(took_ms > least_ms(scene->call), "%s: %.1f ms", scene->call->name, took_ms);
        return took_ms < most_ms(scene->call, captures);
}

static bool ended_as_it_should(const struct scene *scene)
{
        return scene->result == scene->call->result && (scene->result >= 0 || scene->error == scene->call->error);
}

static void check_player(const struct player *player, const struct scene *alone, unsigned captures)
{
        const struct scene *scene = &player->scene;
        const struct call *call = scene->call;
        if (call->how == RESTARTED)
                cr_assert_eq(player->mended, 0, "%s: mended %lu times", call->name, player->mended);
        if (call->how == LIMITED && captures > 0)
                return;
        cr_assert(ended_as_it_should(scene), "%s: %ld (errno %d)", call->name, scene->result, scene->error);
        if (alone != NULL)
                cr_assert_str_eq(scene->seen, alone->seen, "%s: %s instead of %s", call->name, scene->seen,
                                 alone->seen);
}

/* What a busy machine does once and again, and our signals would do each time; or NULL. */
static const char *trouble(const struct player *player, unsigned captures)
{
        enum how how = player->scene.call->how;
        if (captures > 0 && player->captures == 0)
                return "was not captured";
        if (captures == MANY && how != LIMITED && how != RESTARTED && player->mended == 0)
                return "was not mended";
        return is_in_time(&player->scene, captures) ? NULL : "is late";
}

static void check_stage(struct stage *stage, const struct call *const *rows, size_t count, unsigned captures,
                        const struct stage *alone)
{
        const char *what = NULL, *who = NULL;
        for (int tries = 0; tries < TRIES; tries++) {
                play(stage, rows, count, captures);
                who = NULL;
                for (size_t i = 0; i < stage->count; i++) {
                        const struct player *player = &stage->players[i];
                        const char *now = trouble(player, captures);
                        check_player(player, alone != NULL ? &alone->players[i].scene : NULL, captures);
                        if (now != NULL)
                                what = now, who = player->scene.call->name;
                }
                if (who == NULL)
                        return;
        }
        cr_assert_fail("%s %s, %d times", who, what, TRIES);
}

/* ---- all of them ---- */

static void begin(void)
{
        const char *why = NULL, *ms = getenv("LOOPDOG_STORM_MS");
        calls_begin(ms != NULL ? (unsigned)atoi(ms) : 150);
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

/* Calls whose threads our signal never reaches, and threads that do not sleep (test_race, test_rest), are left out. */
static size_t choose(const struct call **rows, bool restarted)
{
        size_t count = 0;
        for (size_t i = 0; i < calls_count; i++)
                if (calls[i]->how != BLOCKED && calls[i]->number != CALL_RUNS &&
                    (calls[i]->how == RESTARTED) == restarted)
                        rows[count++] = calls[i];
        return count;
}

/* Calls of one kind together: where none is to be mended, none may be. */
static void for_all(void (*what)(const struct call *const *rows, size_t count))
{
        static const struct call *rows[CALLS_MOST];
        for (int kind = 0; kind < 2; kind++) {
                size_t count = choose(rows, kind == 0);
                for (size_t i = 0; i < count; i += TOGETHER)
                        what(rows + i, count - i < TOGETHER ? count - i : TOGETHER);
        }
}

static struct stage alone, captured;
static unsigned long captures_of_all;

static void play_with_many(const struct call *const *rows, size_t count)
{
        check_stage(&alone, rows, count, 0, NULL);
        check_stage(&captured, rows, count, MANY, &alone);
        for (size_t i = 0; i < captured.count; i++)
                captures_of_all += captured.players[i].captures;
}

static void play_with_one(const struct call *const *rows, size_t count)
{
        check_stage(&alone, rows, count, 0, NULL);
        check_stage(&captured, rows, count, 1, &alone);
}

Test(storm, no_call_sees_one_capture, .init = begin)
{
        for_all(play_with_one);
}

Test(storm, no_call_sees_many_captures, .init = begin)
{
        for_all(play_with_many);
        printf("%lu captures accepted, no difference\n", captures_of_all);
}

/* The storm is real: a plain handler on the same signals is seen by every call that is mended, and by no other. */
static void plain_handler(int number, siginfo_t *info, void *context)
{
        atomic_fetch_add(&handler.arrived, 1);
}

static void check_harm(const struct scene *scene, const struct scene *unharmed)
{
        const struct call *call = scene->call;
        bool is_same = ended_as_it_should(scene) && strcmp(scene->seen, unharmed->seen) == 0;
        if (call->how == MENDED || call->how == ANEW)
                cr_assert(scene->result == -1 && scene->error == EINTR, "%s: %ld (errno %d)", call->name, scene->result,
                          scene->error);
        else
                cr_assert_eq(is_same, call->how == RESTARTED || call->how == HIDDEN, "%s: %ld (errno %d), %s; alone %s",
                             call->name, scene->result, scene->error, scene->seen, unharmed->seen);
}

static void play_with_plain_handler(const struct call *const *rows, size_t count)
{
        struct sigaction ours, plain = { .sa_flags = SA_SIGINFO | SA_RESTART };
        plain.sa_sigaction = plain_handler;
        check_stage(&alone, rows, count, 0, NULL);
        sigaction(atomic_load(&handler.number), &plain, &ours);
        play(&captured, rows, count, 1);
        sigaction(atomic_load(&handler.number), &ours, NULL);
        for (size_t i = 0; i < captured.count; i++)
                check_harm(&captured.players[i].scene, &alone.players[i].scene);
}

Test(storm, with_a_plain_handler_every_mended_call_fails, .init = begin)
{
        is_plain = true;
        for_all(play_with_plain_handler);
}

/* ---- under the program's own signals ---- */

static unsigned limited; /* calls that met a limit */

static double took_ms(const struct player *player)
{
        return (double)(atomic_load(&player->scene.end_ns) - atomic_load(&player->scene.begin_ns)) / 1e6;
}

/* Was every signal sent when it was due, and the end told? */
static bool is_shaken(const struct player *player)
{
        uint64_t begin_ns = atomic_load(&player->scene.begin_ns), end_ns = atomic_load(&player->scene.end_ns);
        if (player->told_late || end_ns < player->sent_ns)
                return true;
        return player->sent < OWN_SIGNALS && end_ns > begin_ns + player->moments_ns[player->sent];
}

static bool is_same(const struct player *one, const struct player *other)
{
        return one->scene.result == other->scene.result && one->scene.error == other->scene.error &&
               one->sent == other->sent && strcmp(one->scene.seen, other->scene.seen) == 0;
}

/* How often did the program's handler run? */
static unsigned handled(const struct player *player)
{
        const char *end = strstr(player->scene.seen, " handled"), *begin = end;
        cr_assert_not_null(end, "%s: %s", player->scene.call->name, player->scene.seen);
        while (begin > player->scene.seen && begin[-1] >= '0' && begin[-1] <= '9')
                begin--;
        return (unsigned)atoi(begin);
}

/* A signal that meets ours may be handled without ending the call, as if it had come before (docs/limits.md). Then the
 * next one ends it, or what ends the call alone; but none is lost. */
static bool is_as_limited(const struct player *without, const struct player *with)
{
        const struct scene *mine = &with->scene, *other = &without->scene;
        bool as_without = mine->result == other->result && mine->error == other->error;
        return with->met_ours && with->sent > without->sent && handled(with) == with->sent &&
               (as_without || ended_as_it_should(mine));
}

/* NULL: the pair is alike. What is no matter of chance fails at once. */
static const char *doubt(const struct player *without, const struct player *with)
{
        double off_ms = took_ms(with) - took_ms(without);
        if (is_shaken(without) || is_shaken(with))
                return "a signal came late";
        if (!is_same(with, without) && is_as_limited(without, with)) {
                limited++;
                return NULL;
        }
        cr_assert(is_same(with, without), "%s: %ld (errno %d), %s, %u sent; without ours %ld (errno %d), %s, %u sent",
                  with->scene.call->name, with->scene.result, with->scene.error, with->scene.seen, with->sent,
                  without->scene.result, without->scene.error, without->scene.seen, without->sent);
        if (off_ms < -OWN_EARLY_MS || off_ms > OWN_LATE_MS)
                return off_ms < 0 ? "it is early" : "it is late";
        return with->captures == 0 ? "it was not captured" : NULL;
}

/* Those in doubt are left in `rows`; their number. */
static size_t find_doubtful(const struct call **rows, const char **why)
{
        size_t left = 0;
        for (size_t i = 0; i < captured.count; i++) {
                const char *reason = doubt(&alone.players[i], &captured.players[i]);
                captures_of_all += captured.players[i].captures;
                if (reason != NULL) {
                        rows[left++] = captured.players[i].scene.call;
                        *why = reason;
                }
        }
        return left;
}

/* Rows with a limit show here what they show of ours alone. And libc's lio_listio(), ended by a signal, leaves its list
 * of waiters on the stack of its thread, where libc writes to it later: no thread may end after that. */
static bool can_be_compared(const struct call *call)
{
        return call->how != LIMITED && strcmp(call->name, "lio_listio") != 0;
}

static void play_with_own(const struct call *const *all, size_t count)
{
        const struct call *rows[TOGETHER];
        const char *why = NULL;
        size_t left = 0;
        for (size_t i = 0; i < count; i++)
                if (can_be_compared(all[i]))
                        rows[left++] = all[i];
        for (int tries = 0; tries < OWN_TRIES && left > 0; tries++) {
                play(&alone, rows, left, 0);
                play(&captured, rows, left, MANY);
                left = find_doubtful(rows, &why);
        }
        if (left > 0)
                cr_assert_fail("%s: %s, %d times", rows[0]->name, why, OWN_TRIES);
}

static void play_all_with_own(int number)
{
        own_signal = number;
        for_all(play_with_own);
        printf("%lu captures accepted, %u calls met ours as docs/limits.md says, no other difference\n",
               captures_of_all, limited);
}

Test(storm, own_signals_interrupt_in_it_as_without, .init = begin)
{
        play_all_with_own(SIGUSR1);
}

Test(storm, own_signals_restart_in_it_as_without, .init = begin)
{
        play_all_with_own(SIGUSR2);
}
