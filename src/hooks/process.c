/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - the hooks of what a guest must know of its host
 *
 * Closed descriptors end epoll loops; unloaded code makes caches stale; before the process gives up its root directory,
 * its user, its mounts or its system calls, the agent opens what it could not open afterwards; and where the kernel
 * asks for a process of one thread, the watchdog makes room. All pass the call on unchanged.
 *
 * Context: app thread; close() also in children of vfork and in signal handlers
 */
#undef _FILE_OFFSET_BITS /* setrlimit() and setrlimit64() are hooked under their own names */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/number.h"
#include "base/raw.h"
#include "hooks/hooks.h"
#include "loop/loop.h"

EXPORTED int close(int fd)
{
        if (fd >= 0)
                loop_note_close((unsigned)fd, (unsigned)fd);
        return REAL(close)(fd);
}

/* What `to` was before is closed, unless it is the same descriptor already or the call is going to fail. Only where a
 * loop waits there is that worth a system call. */
static void note_replaced(int from, int to, int flags)
{
        if (to < 0 || from == to || !loop_waits_on((unsigned)to) || (flags & ~O_CLOEXEC) != 0)
                return;
        if (raw_syscall_sigsafe(SYS_fcntl, (uint64_t)from, F_GETFD, 0, 0, 0, 0) >= 0)
                loop_note_close((unsigned)to, (unsigned)to);
}

EXPORTED int dup2(int from, int to)
{
        note_replaced(from, to, 0);
        return REAL(dup2)(from, to);
}

EXPORTED int dup3(int from, int to, int flags)
{
        note_replaced(from, to, flags);
        return REAL(dup3)(from, to, flags);
}

EXPORTED int close_range(unsigned first, unsigned last, int flags)
{
        if (REAL(close_range) == NULL) {
                errno = ENOSYS;
                return -1;
        }
        if (first <= last && flags == 0)
                loop_note_close(first, last);
        return REAL(close_range)(first, last, flags);
}

#define MOST_DESCRIPTORS (1u << 20) /* what a process may have where its administrator has raised nothing */

/* Close those that /proc lists in this piece. Which are being closed may not be the one that is read from. */
static unsigned close_listed(const char *piece, long bytes, unsigned first, unsigned listing)
{
        unsigned closed = 0;
        for (long at = 0; at < bytes;) {
                const struct dirent64 *entry = (const void *)(piece + at);
                uint64_t number = 0;
                const char *digits = entry->d_name;
                at += entry->d_reclen;
                if (number_take(&digits, 10, &number) && number >= first && number != listing)
                        closed += raw_syscall_sigsafe(SYS_close, number, 0, 0, 0, 0, 0) == 0;
        }
        return closed;
}

/* As libc does where the kernel has no close_range(), with nothing but system calls: it may be a child that closes. */
static bool close_by_proc(unsigned first)
{
        _Alignas(struct dirent64) char piece[1024];
        long bytes, listing = raw_syscall_sigsafe(SYS_openat, (uint64_t)AT_FDCWD, (uintptr_t) "/proc/self/fd",
                                                  O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
        if (listing < 0)
                return false;
        while ((bytes = raw_syscall_sigsafe(SYS_getdents64, (uint64_t)listing, (uintptr_t)piece, sizeof piece, 0, 0,
                                            0)) > 0)
                if (close_listed(piece, bytes, first, (unsigned)listing) != 0) /* the list has changed */
                        raw_syscall_sigsafe(SYS_lseek, (uint64_t)listing, 0, SEEK_SET, 0, 0, 0);
        raw_syscall_sigsafe(SYS_close, (uint64_t)listing, 0, 0, 0, 0, 0);
        return bytes == 0;
}

/* A libc of before 2.34 has no closefrom(), but a program that asks the loader for one finds ours. */
static void close_from(unsigned first)
{
        if (call_allowed_sigsafe(SYS_close_range) &&
            raw_syscall_sigsafe(SYS_close_range, first, UINT_MAX, 0, 0, 0, 0) == 0)
                return;
        if (!close_by_proc(first))
                for (unsigned fd = first; fd < MOST_DESCRIPTORS; fd++)
                        raw_syscall_sigsafe(SYS_close, fd, 0, 0, 0, 0, 0);
}

EXPORTED void closefrom(int first)
{
        unsigned from = first < 0 ? 0 : (unsigned)first;
        loop_note_close(from, UINT_MAX);
        if (hooks_real.closefrom != NULL) /* not REAL(): where libc has none it would look for it each time */
                hooks_real.closefrom(first);
        else
                close_from(from);
}

EXPORTED int dlclose(void *handle)
{
        int result = REAL(dlclose)(handle);
        hooks_calls->code_unloaded();
        return result;
}

/* libunwind, which is loaded by the watchdog alone, finds out by a call whether there is this call, and never needs it:
 * it is given memory to read by us. The filter of Debian's redis-server ends the process for it. */
EXPORTED int mincore(void *address, size_t bytes, unsigned char *present)
{
        if (loop_is_watchdog) {
                errno = ENOSYS;
                return -1;
        }
        return REAL(mincore)(address, bytes, present);
}

EXPORTED int chroot(const char *path)
{
        hooks_calls->rights_end();
        return REAL(chroot)(path);
}

/* Only root has rights to give up, and most programs that call these are not root or stay it. */
static void note_user(unsigned id)
{
        if (id != 0 && geteuid() == 0)
                hooks_calls->rights_end();
        hooks_calls->user_changes();
}

static int user_changed(int result)
{
        if (result == 0)
                hooks_calls->user_changed();
        return result;
}

EXPORTED int setuid(uid_t uid)
{
        note_user(uid);
        return user_changed(REAL(setuid)(uid));
}

EXPORTED int seteuid(uid_t uid)
{
        note_user(uid);
        return user_changed(REAL(seteuid)(uid));
}

EXPORTED int setreuid(uid_t real_uid, uid_t effective_uid)
{
        note_user(effective_uid);
        return user_changed(REAL(setreuid)(real_uid, effective_uid));
}

EXPORTED int setresuid(uid_t real_uid, uid_t effective_uid, uid_t saved_uid)
{
        note_user(effective_uid);
        return user_changed(REAL(setresuid)(real_uid, effective_uid, saved_uid));
}

EXPORTED int setgid(gid_t gid)
{
        note_user(gid);
        return user_changed(REAL(setgid)(gid));
}

EXPORTED int setegid(gid_t gid)
{
        note_user(gid);
        return user_changed(REAL(setegid)(gid));
}

EXPORTED int setregid(gid_t real_gid, gid_t effective_gid)
{
        note_user(effective_gid);
        return user_changed(REAL(setregid)(real_gid, effective_gid));
}

EXPORTED int setresgid(gid_t real_gid, gid_t effective_gid, gid_t saved_gid)
{
        note_user(effective_gid);
        return user_changed(REAL(setresgid)(real_gid, effective_gid, saved_gid));
}

EXPORTED int setgroups(size_t count, const gid_t *groups)
{
        hooks_calls->user_changes();
        return REAL(setgroups)(count, groups);
}

EXPORTED int initgroups(const char *user, gid_t group)
{
        hooks_calls->user_changes();
        return REAL(initgroups)(user, group);
}

EXPORTED int prctl(int option, ...)
{
        unsigned long a[4];
        va_list list;
        va_start(list, option);
        /* As libc does: whatever lies in the registers is passed on. */
        for (int i = 0; i < 4; i++)
                a[i] = va_arg(list, unsigned long);
        va_end(list);
        if (option == PR_SET_SECCOMP || (option == PR_SET_DUMPABLE && a[0] == 0))
                hooks_calls->rights_end();
        if (option == PR_SET_TSC && a[0] == PR_TSC_SIGSEGV)
                clock_leave_tsc();
        return REAL(prctl)(option, a[0], a[1], a[2], a[3]);
}

/* haproxy's worker forbids itself new processes, and with them threads, before it waits for the first time. A limit
 * that leaves room for some is no reason to make one now: the process itself counts as one. */
static void note_limit(pid_t pid, int resource, const uint64_t *limit)
{
        if (resource != RLIMIT_NPROC || !hooks_is_readable(limit) || *limit > 1 || (pid != 0 && pid != getpid()))
                return;
        struct rlimit64 now;
        if (REAL(prlimit64)(0, RLIMIT_NPROC, NULL, &now) == 0 && *limit < now.rlim_cur)
                hooks_calls->threads_end();
}

/* The soft limit stands first, in both structures with 64 bits. */
#define SOFT(limit) ((const uint64_t *)(const void *)(limit))
_Static_assert(sizeof((struct rlimit *)0)->rlim_cur == 8 && offsetof(struct rlimit, rlim_cur) == 0, "SOFT()");

EXPORTED int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
        note_limit(0, (int)resource, SOFT(limit));
        return REAL(setrlimit)(resource, limit);
}

EXPORTED int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
        note_limit(0, (int)resource, SOFT(limit));
        return REAL(setrlimit64)(resource, limit);
}

EXPORTED int prlimit(pid_t pid, __rlimit_resource_t resource, const struct rlimit *limit, struct rlimit *old)
{
        note_limit(pid, (int)resource, SOFT(limit));
        return REAL(prlimit)(pid, resource, limit, old);
}

EXPORTED int prlimit64(pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *limit, struct rlimit64 *old)
{
        note_limit(pid, (int)resource, SOFT(limit));
        return REAL(prlimit64)(pid, resource, limit, old);
}

/* What the kernel refuses a thread that is not the only one of its process, or with its root directory (users, mounts,
 * time; threads, signal handlers, memory), and what it does only when the last thread has let go (semaphores). */
#define ALONE_TO_LEAVE                                                                                                 \
        (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)
#define ALONE_TO_ENTER (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWTIME)

/* Not for all flags: a process that has left its namespace of pids can make no thread any more. */
static void note_namespaces(int flags, int alone)
{
        if (flags & (CLONE_NEWUSER | CLONE_NEWNS))
                hooks_calls->rights_end();
        if (flags & alone)
                hooks_calls->must_be_alone();
}

EXPORTED int unshare(int flags)
{
        note_namespaces(flags, ALONE_TO_LEAVE);
        return REAL(unshare)(flags);
}

/* Without a type, the descriptor may lead to a namespace of any. */
EXPORTED int setns(int fd, int type)
{
        note_namespaces(type != 0 ? type : ALONE_TO_ENTER, ALONE_TO_ENTER);
        return REAL(setns)(fd, type);
}
