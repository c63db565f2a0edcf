/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_company.c - a server that has other libraries between itself and libc
 *
 *     guest_company work | compute | plugin FILE | prelinked FILE [ADDRESS] | late FILE
 *
 * "work": two threads allocate and free in every way while the loop does so too, and stalls; it tells the time, sleeps
 * and waits by the clock. Built in several ways (ASan, at a fixed address, static). "compute": only what may be
 * interrupted by a profiler's signals, whose handlers make a sleep end early. "plugin": FILE is loaded with
 * RTLD_DEEPBIND and runs a loop of its own, with a stall, before this program's. "prelinked": FILE, a library with an
 * address of its own, stalls this program's loop; ADDRESS is taken before it is loaded. "late": FILE, which is the
 * agent, is loaded when the loop is under way, used, and given back.
 *
 * Context: main and two threads
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

#define BLOCKS 64

static struct turn loop;
static char **arguments; /* after the mode */
static atomic_bool stop;

/* ---- work ---- */

static void *allocate(unsigned how, size_t bytes)
{
        void *block = NULL;
        switch (how % 4) {
        case 0:
                return malloc(bytes);
        case 1:
                return calloc(1, bytes);
        case 2:
                return realloc(malloc(bytes / 2 + 1), bytes);
        default:
                return posix_memalign(&block, 64, bytes) == 0 ? block : NULL;
        }
}

static VICTIM_FRAME unsigned allocate_and_check(unsigned seed)
{
        unsigned char *blocks[BLOCKS];
        size_t sizes[BLOCKS];
        unsigned wrong = 0;
        for (unsigned i = 0; i < BLOCKS; i++) {
                sizes[i] = (size_t)1 << (seed + i) % 16;
                blocks[i] = allocate(i, sizes[i]);
                VICTIM_CHECK(blocks[i] != NULL && malloc_usable_size(blocks[i]) >= sizes[i]);
                memset(blocks[i], (int)i, sizes[i]);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
                wrong += blocks[i][0] != i || blocks[i][sizes[i] - 1] != i;
                free(blocks[i]);
        }
        return wrong;
}

static void *work_beside(void *wrong)
{
        for (unsigned i = 0; !atomic_load(&stop); i++) {
                *(unsigned *)wrong += allocate_and_check(i);
                quiet_sleep_ms(1);
        }
        return NULL;
}

static VICTIM_FRAME void on_allocate(struct turn *turn)
{
        struct truth begin = truth_begin();
        unsigned wrong = 0;
        for (unsigned i = 0; truth_now_ns() - begin.begin_ns < 300000000; i++)
                wrong += allocate_and_check(i);
        truth_end(begin, "cpu", "", "on_allocate");
        see("allocated, %u wrong", wrong);
}

static void compute(void)
{
        for (int i = 0; i < 12; i++) {
                turn_arm(&loop, 20);
                while (turn_wait(&loop, 1000, i == 5 ? on_allocate : NULL) == -1)
                        VICTIM_CHECK(errno == EINTR);
        }
}

/* The year, and whether a wait of 20 ms ends by its clock as it should. */
static void see_time(void)
{
        struct tm parts;
        time_t now = time(NULL);
        gmtime_r(&now, &parts);
        see("year %s", parts.tm_year + 1900 >= 2026 ? parts.tm_year + 1900 == 2040 ? "2040" : "as ever" : "long ago");
        see("an empty wait: %d", turn_wait(&loop, 20, NULL));
}

static void work(void)
{
        unsigned wrong[2] = { 0, 0 };
        pthread_t threads[2];
        see_time();
        for (int i = 0; i < 2; i++)
                VICTIM_CHECK(pthread_create(&threads[i], NULL, work_beside, &wrong[i]) == 0);
        stall_asleep(&loop);
        turn_run(&loop, 1, on_allocate);
        turn_run(&loop, 2, NULL);
        atomic_store(&stop, true);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        see("beside it %u and %u wrong", wrong[0], wrong[1]);
}

#ifndef VICTIM_STATIC /* such a program loads no libraries */

/* ---- a plugin in a world of its own ---- */

static void plugin(void)
{
        void *handle = dlopen(arguments[0], RTLD_NOW | RTLD_DEEPBIND);
        VICTIM_CHECK(handle != NULL);
        void (*run)(void) = (void (*)(void))(uintptr_t)dlsym(handle, "plugin_run");
        VICTIM_CHECK(run != NULL);
        stall_asleep(&loop);
        struct truth begin = truth_begin();
        run();
        truth_end(begin, "", "", ""); /* no wait of its own is seen: to this program's loop it is one long call */
        stall_busy(&loop);
        see("given back: %d", dlclose(handle));
        stall_asleep(&loop);
}

/* ---- a library with an address of its own ---- */

static void (*prelinked_sleep)(unsigned ms), (*prelinked_busy)(unsigned ms);

static VICTIM_FRAME void on_prelinked_sleep(struct turn *turn)
{
        struct truth begin = truth_begin();
        prelinked_sleep(200);
        truth_end(begin, "blocked", "prelinked_sleep", "on_prelinked_sleep");
}

static VICTIM_FRAME void on_prelinked_busy(struct turn *turn)
{
        struct truth begin = truth_begin();
        prelinked_busy(200);
        truth_end(begin, "cpu", "prelinked_busy", "on_prelinked_busy");
}

static void prelinked(void)
{
        Dl_info info;
        if (arguments[1] != NULL) {
                void *taken = (void *)(uintptr_t)strtoul(arguments[1], NULL, 0);
                VICTIM_CHECK(mmap(taken, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == taken);
        }
        void *handle = dlopen(arguments[0], RTLD_NOW | RTLD_LOCAL);
        VICTIM_CHECK(handle != NULL);
        prelinked_sleep = (void (*)(unsigned))(uintptr_t)dlsym(handle, "prelinked_sleep");
        prelinked_busy = (void (*)(unsigned))(uintptr_t)dlsym(handle, "prelinked_busy");
        VICTIM_CHECK(prelinked_sleep != NULL && prelinked_busy != NULL);
        VICTIM_CHECK(dladdr((void *)(uintptr_t)prelinked_sleep, &info) != 0);
        see("loaded at its address: %d", (uintptr_t)info.dli_fbase == 0x10000000);
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_prelinked_sleep);
        turn_run(&loop, 1, on_prelinked_busy);
        turn_run(&loop, 2, NULL);
}

/* ---- the agent, late ---- */

static void late(void)
{
        static const int flags[] = { RTLD_NOW | RTLD_LOCAL, RTLD_LAZY | RTLD_GLOBAL };
        turn_run(&loop, 3, NULL);
        for (int i = 0; i < 2; i++) {
                void *handle = dlopen(arguments[0], flags[i]);
                if (handle == NULL)
                        see("not loaded: %s", dlerror());
                VICTIM_CHECK(handle != NULL);
                see("it has its function: %d", dlsym(handle, "loopdog_start") != NULL);
                stall_asleep(&loop);
                see("given back: %d", dlclose(handle));
                stall_busy(&loop);
        }
}

#endif

int main(int argc, char **argv)
{
        static const struct victim_case cases[] = {
                { "work", work },     { "compute", compute },
#ifndef VICTIM_STATIC
                { "plugin", plugin }, { "prelinked", prelinked }, { "late", late },
#endif
                { NULL, NULL },
        };
        VICTIM_CHECK(argc > 1);
        arguments = argv + 2;
        turn_open(&loop);
        victim_case_of(cases, argv[1])->run();
        turn_close(&loop); /* what ASan does at the end is no stall of the loop */
        return 0;
}
