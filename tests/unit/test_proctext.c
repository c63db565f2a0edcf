/* SPDX-License-Identifier: Apache-2.0
 *
 * test_proctext.c - fdinfo, mounts and locks as the kernel writes them, and as nobody should
 *
 * Texts are those of Linux 5.10, 6.1 and 6.18.
 *
 * Context: unit test
 */
#include "explain/proctext.h"

#include <criterion/criterion.h>
#include <string.h>

/* Texts are read into buffers of fixed size: what is read of a cut one may be less, never something else. */
static const char *cut_at(const char *text, size_t length)
{
        static char cut[1024];
        memcpy(cut, text, length);
        cut[length] = '\0';
        return cut;
}

/* ---- descriptors ---- */

Test(link_kind, is_told_by_where_it_leads)
{
        cr_expect_eq(proctext_kind_of("/srv/app.log"), PROCTEXT_FILE);
        cr_expect_eq(proctext_kind_of("socket:[123]"), PROCTEXT_SOCKET);
        cr_expect_eq(proctext_kind_of("pipe:[123]"), PROCTEXT_PIPE);
        cr_expect_eq(proctext_kind_of("anon_inode:[eventpoll]"), PROCTEXT_EPOLL);
        cr_expect_eq(proctext_kind_of("anon_inode:[eventfd]"), PROCTEXT_EVENTFD);
        cr_expect_eq(proctext_kind_of("anon_inode:[eventfd:7]"), PROCTEXT_EVENTFD);
        cr_expect_eq(proctext_kind_of("anon_inode:[timerfd]"), PROCTEXT_TIMERFD);
        cr_expect_eq(proctext_kind_of("anon_inode:[pidfd]"), PROCTEXT_PIDFD);
        cr_expect_eq(proctext_kind_of("pidfd:[4026532]"), PROCTEXT_PIDFD);
        cr_expect_eq(proctext_kind_of("anon_inode:inotify"), PROCTEXT_OTHER);
        cr_expect_eq(proctext_kind_of(""), PROCTEXT_OTHER);
        cr_expect_eq(proctext_kind_of("socket:"), PROCTEXT_OTHER);
}

Test(fdinfo, of_each_kind)
{
        struct proctext_fdinfo info;
        proctext_fdinfo("pos:\t0\nflags:\t02000002\nmnt_id:\t28\nino:\t1057\n", &info);
        cr_expect(info.inode_known && info.inode == 1057 && info.mount == 28);
        cr_expect(!info.count_known && !info.left_known && info.pid == 0);
        proctext_fdinfo("pos:\t0\nflags:\t02\nmnt_id:\t15\neventfd-count:                1f\neventfd-id: 3\n", &info);
        cr_expect(info.count_known && info.count == 0x1f && !info.inode_known);
        proctext_fdinfo("clockid: 1\nticks: 0\nsettime flags: 01\nit_value: (0, 49406829)\nit_interval: (1, 0)\n",
                        &info);
        cr_expect(info.left_known && info.left_ns == 49406829);
        proctext_fdinfo("mnt_id:\t15\nPid:\t4711\nNSpid:\t4711\n", &info);
        cr_expect_eq(info.pid, 4711);
        proctext_fdinfo("mnt_id:\t15\nPid:\t-1\n", &info);
        cr_expect_eq(info.pid, 0);
}

Test(fdinfo, that_makes_no_sense_tells_nothing)
{
        struct proctext_fdinfo info;
        static const char *const texts[] = { "",
                                             "mnt_id:",
                                             "mnt_id:\tx\n",
                                             "ino:\t\n",
                                             "it_value: (1\n",
                                             "it_value: (9999999999999, 0)\n",
                                             "it_value: (1, 9999999999)\n",
                                             "Pid:\t99999999999999\n",
                                             "mnt_id:\t99999999999999\n" };
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                proctext_fdinfo(texts[i], &info);
                cr_expect(!info.inode_known && !info.left_known && info.mount == -1 && info.pid == 0, "%s", texts[i]);
        }
}

Test(numbers, are_found_by_the_name_of_their_line)
{
        uint64_t value = 0;
        cr_expect(proctext_number("Name:\tx\nFDSize:\t256\n", "FDSize:", &value));
        cr_expect_eq(value, 256);
        cr_expect(!proctext_number("Name:\tFDSize: 4\n", "FDSize:", &value));
        cr_expect(!proctext_number("FDSize:\n", "FDSize:", &value));
}

/* ---- epoll ---- */

static const char instance[] = "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1057\n"
                               "tfd:        5 events:       19 data:                5  pos:0 ino:4e4 sdev:10\n"
                               "tfd:       12 events: 80000001 data: ffff8800deadbeef  pos:0 ino:4e4 sdev:10\n";

Test(epoll_list, has_a_line_for_each_descriptor)
{
        const char *at = instance;
        struct proctext_target target;
        cr_assert(proctext_next_target(&at, &target));
        cr_expect(target.fd == 5 && target.events == 0x19 && target.data == 5);
        cr_assert(proctext_next_target(&at, &target));
        cr_expect(target.fd == 12 && target.events == 0x80000001 && target.data == UINT64_C(0xffff8800deadbeef));
        cr_expect(!proctext_next_target(&at, &target));
        cr_expect_eq(*at, '\0');
}

Test(epoll_list, that_was_cut_has_only_whole_lines)
{
        for (size_t length = 0; length < sizeof instance; length++) {
                const char *cut = cut_at(instance, length);
                const char *at = cut;
                struct proctext_target target;
                while (proctext_next_target(&at, &target))
                        cr_expect((target.fd == 5 && target.data == 5) ||
                                  (target.fd == 12 && target.data == UINT64_C(0xffff8800deadbeef)));
        }
}

Test(epoll_list, of_nonsense_is_empty)
{
        static const char *const texts[] = { "tfd:\n", "tfd: -3 events: 1 data: 1\n", "tfd: 1 data: 3\n",
                                             "tfd: 99999999999 events: 1 data: 1\n",
                                             "tfd: 1 events: 100000000 data: 1\n" };
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                const char *at = texts[i];
                struct proctext_target target;
                cr_expect(!proctext_next_target(&at, &target), "%s", texts[i]);
        }
}

/* ---- mounts ---- */

static const char mounts[] = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                             "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n"
                             "272 27 0:39 / /mnt/x - y rw - fuse slow_files rw,user_id=0\n";

Test(mounts, are_found_by_their_number)
{
        struct proctext_mount mount;
        cr_assert(proctext_mount(mounts, 27, &mount));
        cr_expect_str_eq(mount.device, "254:0");
        cr_expect_str_eq(mount.type, "ext4");
        cr_expect_str_eq(mount.source, "/dev/vda");
        cr_expect(!proctext_mount(mounts, 2, &mount));
        cr_expect(!proctext_mount("", 27, &mount));
}

Test(mounts, are_found_by_their_device)
{
        struct proctext_mount mount;
        cr_assert(proctext_mount_of(mounts, "254:0", &mount));
        cr_expect_str_eq(mount.type, "ext4");
        cr_expect_str_eq(mount.source, "/dev/vda");
        cr_expect(!proctext_mount_of(mounts, "254:1", &mount));
        cr_expect(!proctext_mount_of(mounts, "", &mount));
}

Test(mounts, that_were_cut_have_only_whole_lines)
{
        for (size_t length = 0; length < sizeof mounts; length++) {
                const char *cut = cut_at(mounts, length);
                struct proctext_mount mount;
                if (proctext_mount(cut, 27, &mount))
                        cr_expect_str_eq(mount.source, "/dev/vda");
        }
}

Test(mounts, with_long_names_are_cut)
{
        static char line[1024] = "1 2 8:1 / / rw - ";
        struct proctext_mount mount;
        memset(line + strlen(line), 'x', 500);
        strcat(line, " /dev/sda\n");
        cr_assert(proctext_mount(line, 1, &mount));
        cr_expect_eq(strlen(mount.type), sizeof mount.type - 1);
        cr_expect_str_eq(mount.source, "/dev/sda");
}

/* ---- locks ---- */

static const char locks[] = "1: POSIX  ADVISORY  READ 800 fe:01:77 0 EOF\n"
                            "2: FLOCK  ADVISORY  WRITE 4711 fe:01:123456 0 EOF\n"
                            "2: -> FLOCK  ADVISORY  WRITE 99 fe:01:123456 0 EOF\n"
                            "2: -> FLOCK  ADVISORY  READ 100 fe:01:123456 0 EOF\n"
                            "3: OFDLCK ADVISORY  WRITE -1 fe:01:5 0 EOF\n"
                            "3: -> OFDLCK ADVISORY  WRITE -1 fe:01:5 0 EOF\n"
                            "4: POSIX  ADVISORY  READ 5000 fe:01:9 0 EOF\n"
                            "4: -> POSIX  ADVISORY  WRITE 99 fe:01:9 10 19\n";

Test(locks, name_who_holds_what_a_process_waits_for)
{
        struct proctext_lock lock;
        cr_assert(proctext_lock(locks, 99, 123456, &lock));
        cr_expect(lock.holder == 4711 && lock.exclusive);
        cr_assert(proctext_lock(locks, 99, 9, &lock));
        cr_expect(lock.holder == 5000 && !lock.exclusive);
        cr_assert(proctext_lock(locks, 100, 0, &lock));
        cr_expect_eq(lock.holder, 4711);
}

Test(locks, of_open_files_belong_to_no_process)
{
        struct proctext_lock lock;
        cr_assert(proctext_lock(locks, 12345, 5, &lock));
        cr_expect_eq(lock.holder, -1);
        cr_expect(!proctext_lock(locks, 12345, 0, &lock), "whose it is can't be told without the file");
}

Test(locks, that_nobody_waits_for_are_not_named)
{
        struct proctext_lock lock;
        cr_expect(!proctext_lock(locks, 800, 77, &lock));
        cr_expect(!proctext_lock(locks, 4711, 123456, &lock));
        cr_expect(!proctext_lock(locks, 99, 5555, &lock));
        cr_expect(!proctext_lock("", 99, 0, &lock));
        cr_expect(!proctext_lock("2: -> FLOCK  ADVISORY  WRITE 99 fe:01:1 0 EOF\n", 99, 1, &lock));
}

Test(locks, that_were_cut_name_nobody_else)
{
        for (size_t length = 0; length < sizeof locks; length++) {
                const char *cut = cut_at(locks, length);
                struct proctext_lock lock;
                if (proctext_lock(cut, 99, 123456, &lock))
                        cr_expect_eq(lock.holder, 4711);
        }
}
