/* SPDX-License-Identifier: Apache-2.0
 *
 * thread.c - the kernel's id of a thread and libc's descriptor of it, one from the other
 *
 * libc registers the head of each thread's list of robust mutexes, which lies within its descriptor, and the kernel
 * gives that address to anybody in the same process.
 *
 * libc tells its debuggers where a thread's id stands (_thread_db_pthread_tid: its bits, how many of them, its place).
 * By that a thread knows its own id without a system call.
 *
 * Context: watchdog; thread_note_layout() in the constructor, thread_own_id() and what is noted of the process on any
 */
#include "base/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/memory.h"
#include "base/raw.h"

#define DESCRIPTOR_BYTES 2048 /* where libc keeps a thread's id, from the pthread_t on */
#define SELF 16               /* the descriptor's address in itself: part of the ABI of x86-64 */

static uint64_t own_pointer(void)
{
        return (uint64_t)(uintptr_t)__builtin_thread_pointer();
}

static bool is_descriptor(uint64_t address)
{
        uint64_t self;
        return address != 0 && memory_get_sigsafe(address + SELF, &self, sizeof self) && self == address;
}

static _Atomic uint64_t id_offset; /* 0: not known */

void thread_note_layout(void)
{
        const uint32_t *field = dlsym(RTLD_DEFAULT, "_thread_db_pthread_tid");
        if (field != NULL && field[0] == 32 && field[1] == 1 && field[2] % 4 == 0 && field[2] < DESCRIPTOR_BYTES)
                atomic_store(&id_offset, field[2]);
}

int32_t thread_own_id(void)
{
        uint64_t offset = atomic_load(&id_offset);
        return offset != 0 ? *(const volatile int32_t *)(uintptr_t)(own_pointer() + offset) : 0;
}

static _Atomic int32_t process;

void process_note(void)
{
        atomic_store(&process, (int32_t)raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0));
}

int32_t process_noted(void)
{
        return atomic_load(&process);
}

int32_t process_id(void)
{
        if (!call_allowed_sigsafe(SYS_getpid))
                return process_noted();
        return (int32_t)raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

uint64_t thread_id_offset(void)
{
        static uint8_t bytes[DESCRIPTOR_BYTES];
        uint64_t offset = atomic_load(&id_offset);
        if (offset != 0)
                return offset;
        int32_t tid = (int32_t)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
        ssize_t n = memory_read_sigsafe(own_pointer(), bytes, sizeof bytes);
        for (ssize_t at = 64; at + 4 <= n && offset == 0; at += 4) /* behind the part that the ABI knows */
                if (memcmp(bytes + at, &tid, sizeof tid) == 0)
                        offset = (uint64_t)at;
        atomic_store(&id_offset, offset);
        return offset;
}

int thread_id_of(uint64_t pthread, int32_t *tid)
{
        uint64_t offset = thread_id_offset();
        if (offset == 0)
                return -ENOENT;
        return is_descriptor(pthread) && memory_get_sigsafe(pthread + offset, tid, sizeof *tid) ? 0 : -EFAULT;
}

static uint64_t robust_list_of(int32_t tid)
{
        uint64_t head = 0, length = 0;
        if (!call_allowed_sigsafe(SYS_get_robust_list) ||
            raw_syscall_sigsafe(SYS_get_robust_list, (uint64_t)tid, (uintptr_t)&head, (uintptr_t)&length, 0, 0, 0) != 0)
                return 0;
        return head;
}

uint64_t thread_pointer_of(int32_t tid)
{
        uint64_t own = robust_list_of(0), other = robust_list_of(tid);
        int32_t found;
        if (own == 0 || other == 0)
                return 0;
        uint64_t pthread = other - (own - own_pointer());
        return thread_id_of(pthread, &found) == 0 && found == tid ? pthread : 0;
}

bool thread_is_ours(int32_t tid)
{
        if (tid <= 0 || !call_allowed_sigsafe(SYS_tgkill))
                return false;
        long pid = raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
        return raw_syscall_sigsafe(SYS_tgkill, (uint64_t)pid, (uint64_t)tid, 0, 0, 0, 0) == 0;
}
