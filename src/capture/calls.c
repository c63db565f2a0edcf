/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c - the system calls of this stage, and which of them are refused here
 *
 * Context: capture_refuse() on the watchdog, before or after capture_start()
 */
#include "capture/calls.h"

#include <sys/syscall.h>

#include "capture/capture.h"

_Atomic uint64_t calls_refused[CALLS_KNOWN / 64];

/* Of what every program does (open, pread64, close, mmap, getpid, futex) nothing is listed. */
const short capture_calls[] = {
        SYS_process_vm_readv,   /* without it nothing is captured */
        SYS_rt_tgsigqueueinfo,  /* without one of these four no signal is sent */
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_gettid,
        SYS_process_vm_writev,  /* without these, less of a call that our signal interrupted can be mended */
        SYS_rt_sigpending,
        SYS_clock_gettime,
        SYS_prctl,
        SYS_epoll_pwait,
        SYS_ppoll,
        SYS_fstat,
        SYS_fcntl,
        SYS_getsockopt,
        SYS_sendto,
        SYS_recvfrom,
        SYS_write,
        -1,
};

void capture_refuse(int number)
{
        if (number >= 0 && number < CALLS_KNOWN)
                atomic_fetch_or(&calls_refused[number / 64], (uint64_t)1 << number % 64);
}
