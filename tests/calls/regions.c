/* SPDX-License-Identifier: Apache-2.0
 *
 * regions.c - code that holds the locks which a careless agent would wait for
 *
 * Context: tests; any thread
 */
#include "regions.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

#define LIBRARY "libutil.so.1" /* of libc6, and used by nobody any more */

void throw_and_catch(int depth);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void region_allocate(struct region_flag *flag)
{
        void *blocks[64];
        flag->inside = 1;
        for (unsigned i = 0; i < 64; i++)
                blocks[i] = malloc(16 + i * i * 40);
        for (unsigned i = 0; i < 64; i += 2)
                blocks[i] = realloc(blocks[i], 5000 + i);
        malloc_trim(0);
        for (unsigned i = 0; i < 64; i++)
                free(blocks[i]);
        flag->inside = 0;
}

static void throw(struct region_flag * flag)
{
        flag->inside = 1;
        throw_and_catch(30);
        flag->inside = 0;
}

static void load(struct region_flag *flag)
{
        flag->inside = 1;
        void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        NEED(handle != NULL);
        dlclose(handle);
        flag->inside = 0;
}

static int spin_in_callback(struct dl_phdr_info *info, size_t size, void *opaque)
{
        struct region_flag *flag = opaque;
        flag->inside = 1; /* the loader's lock is held here */
        for (uint64_t end_ns = scene_now_ns() + 20000; scene_now_ns() < end_ns;)
                ;
        flag->inside = 0;
        return 0;
}

static void iterate(struct region_flag *flag)
{
        dl_iterate_phdr(spin_in_callback, flag);
}

/* A cycle: here the loader's lock first and then the mutex, in the other thread the mutex first. It ends because this
 * one does not wait for ever. */
static int take_mutex_in_callback(struct dl_phdr_info *info, size_t size, void *opaque)
{
        struct region_flag *flag = opaque;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 2000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                until.tv_sec++;
        }
        flag->inside = 1;
        if (pthread_mutex_timedlock(&mutex, &until) == 0)
                pthread_mutex_unlock(&mutex);
        flag->inside = 0;
        return 1;
}

static void go_round(struct region_flag *flag)
{
        if (flag->pattern == REGION_PATTERN) { /* the captured thread */
                dl_iterate_phdr(take_mutex_in_callback, flag);
                return;
        }
        pthread_mutex_lock(&mutex);
        load(flag);
        pthread_mutex_unlock(&mutex);
}

static FILE *null;

static void open_null(void)
{
        null = fopen("/dev/null", "w");
}

static void print(struct region_flag *flag)
{
        static pthread_once_t opened =
                PTHREAD_ONCE_INIT; /* two threads print: what one locks the other must not change */
        pthread_once(&opened, open_null);
        flag->inside = 1;
        flockfile(null);
        for (unsigned i = 0; i < 50; i++)
                fprintf(null, "%u %s %f\n", i, "line", i / 3.0);
        funlockfile(null);
        fflush(NULL);
        flag->inside = 0;
}

/* In libc's fork(), which holds its locks around the system call. Not while it waits for the child, which takes most of
 * the time and no lock. */
static void fork_once(struct region_flag *flag)
{
        flag->inside = 1;
        pid_t child = fork();
        flag->inside = 0;
        if (child == 0)
                _exit(0);
        int status;
        NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

const struct region regions[] = {
        { "malloc", region_allocate, true },
        { "C++ throw", throw, true },
        { "dlopen and dlclose", load, true },
        { "dl_iterate_phdr", iterate, true },
        { "a cycle through the loader's lock", go_round, true },
        { "stdio", print, true },
        { "fork", fork_once, false },
        { 0 },
};

const struct region *region_named(const char *name)
{
        for (const struct region *region = regions; region->name != NULL; region++)
                if (strcmp(region->name, name) == 0)
                        return region;
        return NULL;
}
