/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_plugin.c - a plugin with a loop of its own, for hosts that load it with RTLD_DEEPBIND
 *
 * Bound so, its calls go to libc past every preloaded library. It closes and opens descriptors, waits and stalls.
 *
 * Context: the thread that calls plugin_run()
 */
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void plugin_run(void);

__attribute__((visibility("default"))) void plugin_run(void)
{
        struct epoll_event event = { .events = EPOLLIN };
        struct timespec pause = { .tv_nsec = 150000000 };
        int epoll = epoll_create1(EPOLL_CLOEXEC), source = eventfd(1, EFD_CLOEXEC);
        epoll_ctl(epoll, EPOLL_CTL_ADD, source, &event);
        for (int i = 0; i < 6; i++) {
                epoll_wait(epoll, &event, 1, 10);
                if (i == 3)
                        nanosleep(&pause, NULL);
        }
        close(source);
        close(epoll);
}
