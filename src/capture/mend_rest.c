/* SPDX-License-Identifier: Apache-2.0
 *
 * mend_rest.c - calls that return less than was asked for, because our signal has interrupted them
 *
 * A blocking write of a megabyte to a pipe returns what it has written so far when a signal arrives, and many programs
 * do not expect that. Whether the kernel cut it short or the call had ended by itself can't be seen from the result
 * alone, so only calls are continued that can't end short by themselves (or where asking again does no harm), and the
 * rest is asked for until it is done or there is an error; the error is left to the program's next call, as the kernel
 * would have done.
 *
 * Left alone: non-blocking descriptors, regular files (a limit on their size raises SIGXFSZ), terminals, messages,
 * whatever has a time limit that may have run out.
 *
 * Context: on a thread of the host, outside of the handler; mend_is_short also within it. No vector registers: see
 * mend_run.c
 */
#pragma GCC target("general-regs-only")

#include "capture/mend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "base/raw.h"
#include "capture/calls.h"

#define LIMIT_PARTS 1024 /* UIO_MAXIOV */

bool mend_is_short_sigsafe(int64_t number, const uint64_t arguments[6], int64_t result)
{
        uint64_t done = (uint64_t)result;
        if (result <= 0)
                return false;
        switch (number) {
        case SYS_write:
        case SYS_sendto:
                return done < arguments[2];
        case SYS_recvfrom:
                return done < arguments[2] && (arguments[3] & MSG_WAITALL) != 0;
        case SYS_recvmsg:
                return (arguments[2] & MSG_WAITALL) != 0;
        case SYS_writev:
        case SYS_sendmsg:
                return true; /* the parts are added up by mend_rest_sigsafe() */
        case SYS_getrandom:
                return done < arguments[1] && (arguments[2] & (GRND_RANDOM | GRND_NONBLOCK)) == 0;
        case SYS_io_getevents:
                return result < (int64_t)arguments[1];
        case SYS_io_uring_enter: /* all is submitted, but the wait for completions was cut short */
                return arguments[2] != 0 && (arguments[3] & IORING_ENTER_GETEVENTS) != 0;
        default:
                return false;
        }
}

/* Make a call. `*again`: our signal may have cut it short once more. */
static long issue_sigsafe(const struct mend_call *call, struct mend_frame *frame, bool *again)
{
        long result;
        do {
                frame->interrupted = 0;
                result = mend_call_sigsafe(call, frame);
        } while (result == MEND_INTERRUPTED);
        *again = result > 0 && frame->interrupted != 0;
        return result;
}

/* ---- bytes ---- */

struct stream {
        struct mend_frame *frame;
        uint64_t fd;
        uint64_t flags;
        bool receives;
        bool is_socket;
        long done;
};

/* A call began after it was seen running; in that time a limit may have run out. */
static bool may_have_expired_sigsafe(const struct mend_frame *frame, uint64_t seconds, uint64_t ns)
{
        if (frame->running_ns == 0 || seconds > 1000000000)
                return frame->running_ns == 0;
        return frame->handler_ns - frame->running_ns >= seconds * 1000000000ull + ns;
}

static bool option_sigsafe(uint64_t fd, int option, void *value, uint32_t length)
{
        return call_allowed_sigsafe(SYS_getsockopt) &&
               raw_syscall_sigsafe(SYS_getsockopt, fd, SOL_SOCKET, (uint64_t)option, (uintptr_t)value,
                                   (uintptr_t)&length, 0) == 0;
}

static bool socket_goes_on_sigsafe(const struct stream *stream)
{
        int type, domain;
        struct timeval limit;
        if (!option_sigsafe(stream->fd, SO_TYPE, &type, sizeof(type)) || type != SOCK_STREAM)
                return false;
        /* A local socket ends a message where descriptors were passed, MSG_WAITALL or not. */
        if (stream->receives && (!option_sigsafe(stream->fd, SO_DOMAIN, &domain, sizeof(domain)) ||
                                 (domain != AF_INET && domain != AF_INET6)))
                return false;
        if (!option_sigsafe(stream->fd, stream->receives ? SO_RCVTIMEO : SO_SNDTIMEO, &limit, sizeof(limit)))
                return false;
        return (limit.tv_sec == 0 && limit.tv_usec == 0) ||
               !may_have_expired_sigsafe(stream->frame, (uint64_t)limit.tv_sec, (uint64_t)limit.tv_usec * 1000);
}

static bool goes_on_sigsafe(struct stream *stream)
{
        struct stat about;
        if (!call_allowed_sigsafe(SYS_fcntl) || !call_allowed_sigsafe(SYS_fstat))
                return false;
        if (stream->flags & (MSG_DONTWAIT | MSG_PEEK | MSG_OOB | MSG_TRUNC | MSG_ERRQUEUE))
                return false;
        long flags = raw_syscall_sigsafe(SYS_fcntl, stream->fd, F_GETFL, 0, 0, 0, 0);
        if (flags < 0 || (flags & O_NONBLOCK) != 0)
                return false;
        if (raw_syscall_sigsafe(SYS_fstat, stream->fd, (uintptr_t)&about, 0, 0, 0, 0) != 0)
                return false;
        stream->is_socket = S_ISSOCK(about.st_mode);
        if (stream->is_socket)
                return socket_goes_on_sigsafe(stream);
        return !stream->receives && S_ISFIFO(about.st_mode);
}

static long move_part_sigsafe(const struct stream *stream, uint64_t address, uint64_t length, bool *again)
{
        struct mend_call call;
        call.number = !stream->is_socket ? SYS_write : stream->receives ? SYS_recvfrom : SYS_sendto;
        call.arguments[0] = stream->fd;
        call.arguments[1] = address;
        call.arguments[2] = length;
        /* A socket whose peer is gone raises SIGPIPE only where nothing was sent: that is the next call's. */
        call.arguments[3] = stream->flags | (stream->receives ? 0 : MSG_NOSIGNAL);
        call.arguments[4] = call.arguments[5] = 0;
        return call_allowed_sigsafe(call.number) ? issue_sigsafe(&call, stream->frame, again) : -ENOSYS;
}

/* Move what is not yet done of one part. false: no more can be done. */
static bool part_sigsafe(struct stream *stream, const struct iovec *part, uint64_t *skip)
{
        if (*skip >= part->iov_len) {
                *skip -= part->iov_len;
                return true;
        }
        uint64_t length = part->iov_len - *skip, moved = 0;
        bool again = true;
        while (moved < length && again) {
                long more =
                        move_part_sigsafe(stream, (uintptr_t)part->iov_base + *skip + moved, length - moved, &again);
                if (more <= 0)
                        break;
                moved += (uint64_t)more;
        }
        stream->done += (long)moved;
        *skip = 0;
        return moved == length;
}

static void parts_sigsafe(struct stream *stream, uint64_t address, uint64_t count)
{
        uint64_t skip = (uint64_t)stream->done;
        for (uint64_t i = 0; i < count && i < LIMIT_PARTS; i++) {
                struct iovec part;
                if (!mend_read_sigsafe(address + i * sizeof(part), &part, sizeof(part)) ||
                    !part_sigsafe(stream, &part, &skip))
                        return;
        }
}

static long stream_sigsafe(struct mend_frame *frame)
{
        const uint64_t *arguments = frame->arguments;
        struct stream stream;
        struct msghdr message;
        struct iovec single;
        uint64_t skip = (uint64_t)frame->result;
        stream.frame = frame;
        stream.fd = arguments[0];
        stream.flags = 0;
        stream.done = (long)frame->result;
        stream.receives = frame->number == SYS_recvfrom || frame->number == SYS_recvmsg;
        if (frame->number == SYS_sendto || frame->number == SYS_recvfrom)
                stream.flags = arguments[3];
        else if (frame->number == SYS_sendmsg || frame->number == SYS_recvmsg)
                stream.flags = arguments[2];
        if (!goes_on_sigsafe(&stream))
                return frame->result;
        if (frame->number == SYS_writev) {
                parts_sigsafe(&stream, arguments[1], arguments[2]);
        } else if (frame->number == SYS_sendmsg || frame->number == SYS_recvmsg) {
                if (mend_read_sigsafe(arguments[1], &message, sizeof(message)))
                        parts_sigsafe(&stream, (uintptr_t)message.msg_iov, message.msg_iovlen);
        } else {
                single.iov_base = (void *)(uintptr_t)arguments[1];
                single.iov_len = arguments[2];
                part_sigsafe(&stream, &single, &skip);
        }
        return stream.done;
}

/* ---- others ---- */

static void copy_call_sigsafe(struct mend_call *call, const struct mend_frame *frame)
{
        call->number = frame->number;
        for (int i = 0; i < 6; i++)
                call->arguments[i] = frame->arguments[i];
}

/* Ask for what is missing of `least_at` things (at most `most_at`) that are stored one after the other. */
static long counted_sigsafe(struct mend_frame *frame, unsigned address_at, size_t each_bytes, unsigned least_at,
                            unsigned most_at)
{
        struct mend_call call;
        long done = (long)frame->result, more = done;
        bool again = true;
        copy_call_sigsafe(&call, frame);
        while (more > 0 && again) {
                call.arguments[address_at] += (uint64_t)more * each_bytes;
                call.arguments[least_at] -= (uint64_t)more;
                if (most_at != least_at)
                        call.arguments[most_at] -= (uint64_t)more;
                if ((int64_t)call.arguments[least_at] <= 0)
                        break;
                more = issue_sigsafe(&call, frame, &again);
                done += more > 0 ? more : 0;
        }
        return done;
}

static bool spec_may_have_expired_sigsafe(const struct mend_frame *frame, uint64_t address)
{
        struct timespec limit;
        if (address == 0)
                return false;
        return !mend_read_sigsafe(address, &limit, sizeof(limit)) ||
               may_have_expired_sigsafe(frame, (uint64_t)limit.tv_sec, (uint64_t)limit.tv_nsec);
}

static long events_sigsafe(struct mend_frame *frame)
{
        if (spec_may_have_expired_sigsafe(frame, frame->arguments[4]))
                return (long)frame->result;
        return counted_sigsafe(frame, 3, sizeof(struct io_event), 1, 2);
}

/* Wait as before, but submit nothing. If enough has completed meanwhile, this returns at once. */
static long ring_sigsafe(struct mend_frame *frame)
{
        struct io_uring_getevents_arg ring;
        struct mend_call call;
        bool again;
        if ((frame->arguments[3] & IORING_ENTER_EXT_ARG) != 0 &&
            (frame->arguments[5] != sizeof(ring) || !mend_read_sigsafe(frame->arguments[4], &ring, sizeof(ring)) ||
             spec_may_have_expired_sigsafe(frame, ring.ts)))
                return frame->result;
        copy_call_sigsafe(&call, frame);
        call.arguments[1] = 0;
        issue_sigsafe(&call, frame, &again);
        return frame->result;
}

long mend_rest_sigsafe(struct mend_frame *frame)
{
        if (!mend_unblock_sigsafe(frame))
                return frame->result;
        switch (frame->number) {
        case SYS_getrandom:
                return counted_sigsafe(frame, 0, 1, 1, 1);
        case SYS_io_getevents:
                return events_sigsafe(frame);
        case SYS_io_uring_enter:
                return ring_sigsafe(frame);
        default:
                return stream_sigsafe(frame);
        }
}
