/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_wild.c - limits and pointers that make no sense, and a limit that does
 *
 *     rules_wild pointers|limit
 *
 * "pointers": what the hooked functions say to wild pointers must be what the kernel says. "limit": a limit of
 * processes that leaves room for threads makes none; one that forbids all of them makes loopdog's, while it can.
 *
 * Context: main
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "truth.h"

#define EXPECT_ERROR(call, number) (errno = 0, VICTIM_CHECK((call) == -1 && errno == (number)))

/* As the compiler does not let us write it. */
static void *wild(uintptr_t address)
{
        void *volatile pointer = (void *)address;
        return pointer;
}

static void check_limits(int resource, void *pointer)
{
        EXPECT_ERROR(setrlimit(resource, pointer), EFAULT);
        EXPECT_ERROR(setrlimit64(resource, pointer), EFAULT);
        EXPECT_ERROR(prlimit(0, resource, pointer, NULL), EFAULT);
        EXPECT_ERROR(prlimit64(0, resource, pointer, NULL), EFAULT);
}

static void check_pointers(void)
{
        static const int resources[] = { RLIMIT_NPROC, RLIMIT_NOFILE };
        char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        VICTIM_CHECK(page != MAP_FAILED);
        for (int i = 0; i < 2; i++) {
                check_limits(resources[i], wild(8));
                check_limits(resources[i], wild(UINT64_MAX - 7));
                check_limits(resources[i], page);
                VICTIM_CHECK(setrlimit(resources[i], wild(0)) == 0); /* nothing is asked for */
                VICTIM_CHECK(prlimit(0, resources[i], wild(0), NULL) == 0);
        }
        int epoll = epoll_create1(0);
        EXPECT_ERROR(epoll_pwait2(epoll, wild(4096), 1, wild(8), NULL), EFAULT);
}

static unsigned count_threads(void)
{
        unsigned count = 0;
        DIR *folder = opendir("/proc/self/task");
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
                count += entry->d_name[0] != '.';
        closedir(folder);
        return count;
}

static void check_limit(int watched)
{
        struct rlimit limit;
        VICTIM_CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur > 100);
        limit.rlim_cur = 100;
        VICTIM_CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0 && count_threads() == 1);
        limit.rlim_cur = 2;
        VICTIM_CHECK(prlimit(0, RLIMIT_NPROC, &limit, NULL) == 0 && count_threads() == 1);
        limit.rlim_cur = limit.rlim_max = 0;
        VICTIM_CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0 && count_threads() == 1u + (watched != 0));
}

int main(int argc, char **argv)
{
        const char *preload = getenv("LD_PRELOAD");
        if (argc > 1 && strcmp(argv[1], "limit") == 0)
                check_limit(preload != NULL && strstr(preload, "loopdog") != NULL);
        else
                check_pointers();
        return 0;
}
