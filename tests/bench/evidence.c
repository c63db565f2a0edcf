/* SPDX-License-Identifier: Apache-2.0
 *
 * evidence.c - what it costs the watchdog to find out what a call waits for, and what was served
 *
 *     bench_evidence CASE DESCRIPTORS SAMPLES
 *
 * The process has so many descriptors open, all of them in one epoll instance. A thread with a table of its own, as the
 * watchdog's, looks at one sample after the other, 2 ms apart: a stall's first, and its second, which goes on with a
 * search. CASE "all" is the dearest call with all else that a stall's first sample looks at. A line each: nanoseconds
 * of the first, nanoseconds of the second, descriptors open.
 *
 * Context: bench; core's parts without the hooks
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/proc.h"
#include "explain/evidence.h"
#include "explain/fault.h"
#include "explain/machine.h"
#include "explain/served.h"

#define CLIENTS 8

static struct sample sample = { .state = 'S', .syscall_known = true };
static struct served_wait served_wait = { .by = SERVED_EPOLL };
static struct evidences evidences;
static struct fault_watch fault;
static struct machine_reading reading;
static struct served served;
static struct epoll_event events[CLIENTS];
static struct pollfd set[CLIENTS];
static struct sockaddr_in address;
static int epoll, clients[CLIENTS], fds[2];
static unsigned count, samples;
static bool serves, faults, all;
static struct {
        uint64_t first_ns, second_ns;
} * took;

static void in_call(int number, uint64_t a, uint64_t b, uint64_t c)
{
        sample.syscall = number;
        sample.arguments[0] = a;
        sample.arguments[1] = b;
        sample.arguments[2] = c;
}

static int connected(void)
{
        static int server = -1;
        socklen_t length = sizeof address;
        if (server < 0) {
                server = socket(AF_INET, SOCK_STREAM, 0);
                address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
                if (bind(server, (struct sockaddr *)&address, length) != 0 || listen(server, CLIENTS) != 0)
                        exit(1);
                getsockname(server, (struct sockaddr *)&address, &length);
        }
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, length) != 0)
                exit(1);
        return fd;
}

static void add(int fd)
{
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.fd = fd };
        if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
                exit(1);
}

/* As many as asked for, or as may be. */
static void open_all(unsigned wanted)
{
        struct rlimit limit;
        limit.rlim_cur = limit.rlim_max = wanted + 200; /* as root */
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
                getrlimit(RLIMIT_NOFILE, &limit);
        wanted = wanted + 100 < limit.rlim_max ? wanted : (unsigned)limit.rlim_max - 100; /* some are left to look */
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        epoll = epoll_create1(0);
        for (int i = 0; i < CLIENTS; i++) {
                add(clients[i] = connected());
                set[i] = (struct pollfd){ .fd = clients[i], .events = POLLIN };
                events[i] = (struct epoll_event){ .events = EPOLLOUT, .data.fd = clients[i] };
        }
        if (pipe(fds) != 0)
                exit(1);
        for (count = (unsigned)fds[1] + 1; count < wanted; count++) {
                int fd = eventfd(0, 0);
                if (fd < 0)
                        return;
                add(fd);
        }
}

/* A place in a loop whose events are known to carry descriptors: otherwise there is little to measure. */
static uint64_t known_site(void)
{
        void *library = dlopen("libpython3.11.so.1.0", RTLD_LAZY);
        return library != NULL ? (uintptr_t)dlsym(library, "Py_IsInitialized") + 1 : 0;
}

static bool choose(const char *name)
{
        static struct timespec pause = { 1, 0 };
        int file = open("/proc/self/exe", O_RDONLY);
        serves = strcmp(name, "ready") == 0;
        faults = strcmp(name, "fault") == 0;
        all = strcmp(name, "all") == 0;
        if (strcmp(name, "sleep") == 0)
                in_call(SYS_nanosleep, (uintptr_t)&pause, 0, 0);
        else if (strcmp(name, "recv") == 0)
                in_call(SYS_recvfrom, (uint64_t)clients[0], 0, 0);
        else if (strcmp(name, "connect") == 0)
                in_call(SYS_connect, (uint64_t)clients[0], (uintptr_t)&address, sizeof address);
        else if (strcmp(name, "poll") == 0 || all)
                in_call(SYS_poll, (uintptr_t)set, CLIENTS, 0);
        else if (strcmp(name, "epoll") == 0)
                in_call(SYS_epoll_wait, (uint64_t)epoll, 0, 1);
        else if (strcmp(name, "pipe") == 0)
                in_call(SYS_read, (uint64_t)fds[0], 0, 0);
        else if (strcmp(name, "file") == 0)
                in_call(SYS_fsync, (uint64_t)file, 0, 0);
        else if (strcmp(name, "flock") == 0)
                in_call(SYS_flock, (uint64_t)file, 0, 0);
        else
                return serves || faults;
        return true;
}

static uint64_t look(void)
{
        uint64_t begin_ns = clock_monotonic_ns();
        if (serves || (all && evidences.count == 0))
                served_look(&served, &served_wait);
        if (all && evidences.count == 0)
                machine_read(&reading);
        if (serves)
                return clock_monotonic_ns() - begin_ns;
        if (faults) {
                fault_look(&fault, (int32_t)served_wait.tid, &sample);
                return clock_monotonic_ns() - begin_ns;
        }
        struct evidence *found = evidences_look(&evidences, (int32_t)served_wait.tid, &sample);
        if (found != NULL)
                evidences_confirm(found);
        return clock_monotonic_ns() - begin_ns;
}

static void *watch(void *unused)
{
        if (descriptors_unshare(-1) != DESCRIPTORS_OWN || proc_begin() != 0)
                exit(1);
        for (unsigned i = 0; i < samples; i++) {
                evidences_clear(&evidences);
                fault_end(&fault);
                usleep(2000);
                uint64_t first_ns = look();
                usleep(2000);
                took[i].first_ns = first_ns;
                took[i].second_ns = look();
        }
        return NULL;
}

int main(int argc, char **argv)
{
        pthread_t thread;
        if (argc != 4)
                return 2;
        samples = (unsigned)atoi(argv[3]);
        open_all((unsigned)atoi(argv[2]));
        if (!choose(argv[1]))
                return 2;
        served_wait.tid = gettid();
        served_wait.epoll_fd = epoll;
        served_wait.result = CLIENTS;
        served_wait.site = known_site();
        served_wait.arrays[0] = (uintptr_t)events;
        memcpy(served_wait.kept, events, sizeof served_wait.kept);
        took = calloc(samples, sizeof *took);
        if (took == NULL || pthread_create(&thread, NULL, watch, NULL) != 0 || pthread_join(thread, NULL) != 0)
                return 1;
        for (unsigned i = 0; i < samples; i++) /* the other table has no output */
                printf("%lu %lu %u\n", took[i].first_ns, took[i].second_ns, count);
        return 0;
}
