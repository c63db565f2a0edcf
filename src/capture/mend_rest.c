/* SPDX-License-Identifier: Apache-2.0
 *
 * mend_rest.c - calls that return less than was asked for, because our signal has interrupted them
 *
 * A blocking write of a megabyte to a pipe returns what it has written so far when a signal arrives, and many programs
 * do not expect that. Whether the kernel cut it short or the call had ended by itself can't be seen from the result
 * alone, so only calls are continued that can't end short by themselves (or where asking again does no harm), and the
 * rest is asked for until it is done or there is an error, which the kernel would have left to the program's next call.
 *
 * A socket gives its error away to whoever asks first: a program whose connection was reset would see the end of the
 * stream instead of ECONNRESET, or die of SIGPIPE at its next write. So the rest of a socket is waited for by ppoll(),
 * which shows an error and leaves it there, and is moved without waiting.
 *
 * A read ends with what is there. Only the devices that never end (/dev/zero, /dev/urandom and their kin) are read on:
 * they return less than was asked for after a signal alone, at the end of a page or, before Linux 5.18, of 64 bytes.
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
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>

#include "base/calls.h"
#include "base/memory.h"
#include "base/raw.h"

#define LIMIT_PARTS 1024      /* UIO_MAXIOV */
#define LIMIT_READ 0x7ffff000 /* bytes that one call of read or readv returns at most */
#define DEVICE_PIECE 64
#define DEVICE_MAJOR 1
#define SLICE_NS 20000000ull /* doubled after each try in vain */
#define LONGEST_SLICE_NS 1000000000ull

bool mend_is_short_sigsafe(int64_t number, const uint64_t arguments[6], int64_t result)
{
        uint64_t done = (uint64_t)result;
        if (result <= 0)
                return false;
        switch (number) {
        case SYS_read:
                return done < arguments[2] && done % DEVICE_PIECE == 0 && done < LIMIT_READ;
        case SYS_readv: /* the parts are added up by mend_rest_sigsafe() */
                return done % DEVICE_PIECE == 0 && done < LIMIT_READ;
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
        uint64_t deadline_ns; /* of the socket's own time limit, CLOCK_MONOTONIC; 0: none */
        uint64_t slice_ns;
        bool reads; /* by a call that ends with what is there */
        bool receives;
        bool is_socket;
        bool promised; /* poll said that something can be moved, */
        bool refused;  /* and then nothing could be: it would say so again at once */
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

static bool socket_goes_on_sigsafe(struct stream *stream)
{
        int type, domain, least;
        struct timeval limit;
        if (!call_allowed_sigsafe(SYS_ppoll))
                return false;
        if (!option_sigsafe(stream->fd, SO_TYPE, &type, sizeof(type)) || type != SOCK_STREAM)
                return false;
        /* A local socket ends a message where descriptors were passed, MSG_WAITALL or not. */
        if (stream->receives && (!option_sigsafe(stream->fd, SO_DOMAIN, &domain, sizeof(domain)) ||
                                 (domain != AF_INET && domain != AF_INET6)))
                return false;
        /* Poll would wait for so many bytes, even if fewer are missing. */
        if (stream->receives && (!option_sigsafe(stream->fd, SO_RCVLOWAT, &least, sizeof(least)) || least > 1))
                return false;
        if (!option_sigsafe(stream->fd, stream->receives ? SO_RCVTIMEO : SO_SNDTIMEO, &limit, sizeof(limit)))
                return false;
        if (limit.tv_sec == 0 && limit.tv_usec == 0)
                return true;
        uint64_t rest_ns = (uint64_t)limit.tv_usec * 1000;
        stream->deadline_ns = mend_now_ns_sigsafe() + (uint64_t)limit.tv_sec * 1000000000 + rest_ns;
        return !may_have_expired_sigsafe(stream->frame, (uint64_t)limit.tv_sec, rest_ns);
}

static bool is_endless_sigsafe(const struct stat *about)
{
        if (!S_ISCHR(about->st_mode) || major(about->st_rdev) != DEVICE_MAJOR)
                return false;
        switch (minor(about->st_rdev)) {
        case 5: /* zero */
        case 7: /* full */
        case 8: /* random */
        case 9: /* urandom */
                return true;
        default:
                return false;
        }
}

static bool device_goes_on_sigsafe(const struct stream *stream)
{
        struct stat about;
        return call_allowed_sigsafe(SYS_fstat) &&
               raw_syscall_sigsafe(SYS_fstat, stream->fd, (uintptr_t)&about, 0, 0, 0, 0) == 0 &&
               is_endless_sigsafe(&about);
}

static bool goes_on_sigsafe(struct stream *stream)
{
        struct stat about;
        if (stream->reads)
                return device_goes_on_sigsafe(stream);
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

/* As ppoll(), for `most_ns` at most and never longer than the socket's time limit. 0 where that has run out. */
static long poll_sigsafe(const struct stream *stream, struct pollfd *poll, uint64_t most_ns)
{
        uint64_t now_ns = stream->deadline_ns != 0 ? mend_now_ns_sigsafe() : 0;
        uint64_t left_ns = UINT64_MAX;
        if (stream->deadline_ns != 0)
                left_ns = stream->deadline_ns > now_ns ? stream->deadline_ns - now_ns : 0;
        if (most_ns < left_ns)
                left_ns = most_ns;
        struct timespec limit = { .tv_sec = (time_t)(left_ns / 1000000000), .tv_nsec = (long)(left_ns % 1000000000) };
        struct mend_call call;
        bool again;
        call.number = SYS_ppoll;
        call.arguments[0] = (uintptr_t)poll;
        call.arguments[1] = 1;
        call.arguments[2] = left_ns != UINT64_MAX ? (uintptr_t)&limit : 0; /* the kernel stores what is left */
        call.arguments[3] = call.arguments[4] = call.arguments[5] = 0;
        return issue_sigsafe(&call, stream->frame, &again);
}

/* The bytes that can be received without asking the socket for its error. */
static uint64_t queued_sigsafe(const struct stream *stream)
{
        int bytes = 0;
        if (!call_allowed_sigsafe(SYS_ioctl) ||
            raw_syscall_sigsafe(SYS_ioctl, stream->fd, FIONREAD, (uintptr_t)&bytes, 0, 0, 0) != 0 || bytes < 0)
                return 0;
        return (uint64_t)bytes;
}

/* Wait until something can be moved; how much may be tried, or 0: the rest is left to the program. */
static uint64_t movable_sigsafe(struct stream *stream, uint64_t wanted)
{
        for (;;) {
                short events = stream->receives ? POLLIN | POLLPRI : POLLOUT;
                bool blind = stream->refused;
                struct pollfd poll = { .fd = (int)stream->fd, .events = blind ? 0 : events };
                uint64_t most_ns = blind ? SLICE_NS : stream->receives ? UINT64_MAX : stream->slice_ns;
                long ready = poll_sigsafe(stream, &poll, most_ns);
                stream->promised = ready > 0;
                stream->refused = false;
                if (ready < 0) /* by a signal of the program's own */
                        return 0;
                if ((poll.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
                        return stream->receives ? queued_sigsafe(stream) : 0;
                if ((poll.revents & POLLPRI) != 0) /* a receiving call ends at urgent data */
                        return 0;
                if (ready == 0 && stream->deadline_ns != 0 && mend_now_ns_sigsafe() >= stream->deadline_ns)
                        return 0;
                /* Poll wants more room in a socket's buffer than a write does, and the reader may be waiting for just
                 * this rest: it is tried from time to time. */
                if (ready > 0 || (!stream->receives && !blind))
                        return wanted;
        }
}

static long move_part_sigsafe(struct stream *stream, uint64_t address, uint64_t length, bool *again)
{
        struct mend_call call;
        uint64_t movable = stream->is_socket ? movable_sigsafe(stream, length) : length;
        if (movable == 0)
                return 0;
        call.number = stream->reads        ? SYS_read
                      : !stream->is_socket ? SYS_write
                      : stream->receives   ? SYS_recvfrom
                                           : SYS_sendto;
        call.arguments[0] = stream->fd;
        call.arguments[1] = address;
        call.arguments[2] = movable < length ? movable : length;
        /* A socket whose peer is gone raises SIGPIPE only where nothing was sent: that is the next call's. */
        uint64_t flags = stream->flags & ~(uint64_t)MSG_WAITALL;
        call.arguments[3] = flags | MSG_DONTWAIT | (stream->receives ? 0 : MSG_NOSIGNAL);
        call.arguments[4] = call.arguments[5] = 0;
        long moved = call_allowed_sigsafe(call.number) ? issue_sigsafe(&call, stream->frame, again) : -ENOSYS;
        if (!stream->is_socket)
                return moved;
        *again = moved > 0 || moved == -EAGAIN;
        stream->refused = moved == -EAGAIN && stream->promised;
        if (moved > 0)
                stream->slice_ns = SLICE_NS;
        else if (stream->slice_ns < LONGEST_SLICE_NS)
                stream->slice_ns *= 2;
        return moved == -EAGAIN ? 0 : moved;
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
                uint64_t address = (uintptr_t)part->iov_base + *skip + moved;
                again = false;
                long more = move_part_sigsafe(stream, address, length - moved, &again);
                if (more < 0)
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
                if (!memory_get_sigsafe(address + i * sizeof(part), &part, sizeof(part)) ||
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
        stream.deadline_ns = 0;
        stream.slice_ns = SLICE_NS;
        stream.promised = stream.refused = false;
        stream.done = (long)frame->result;
        stream.is_socket = false;
        stream.reads = frame->number == SYS_read || frame->number == SYS_readv;
        stream.receives = frame->number == SYS_recvfrom || frame->number == SYS_recvmsg;
        if (frame->number == SYS_sendto || frame->number == SYS_recvfrom)
                stream.flags = arguments[3];
        else if (frame->number == SYS_sendmsg || frame->number == SYS_recvmsg)
                stream.flags = arguments[2];
        if (!goes_on_sigsafe(&stream))
                return frame->result;
        if (frame->number == SYS_writev || frame->number == SYS_readv) {
                parts_sigsafe(&stream, arguments[1], arguments[2]);
        } else if (frame->number == SYS_sendmsg || frame->number == SYS_recvmsg) {
                if (memory_get_sigsafe(arguments[1], &message, sizeof(message)))
                        parts_sigsafe(&stream, (uintptr_t)message.msg_iov, message.msg_iovlen);
        } else {
                single.iov_base = (void *)(uintptr_t)arguments[1];
                single.iov_len = stream.reads && arguments[2] > LIMIT_READ ? LIMIT_READ : arguments[2];
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
        return !memory_get_sigsafe(address, &limit, sizeof(limit)) ||
               may_have_expired_sigsafe(frame, (uint64_t)limit.tv_sec, (uint64_t)limit.tv_nsec);
}

static long events_sigsafe(struct mend_frame *frame)
{
        if (spec_may_have_expired_sigsafe(frame, frame->arguments[4]))
                return (long)frame->result;
        return counted_sigsafe(frame, 3, sizeof(struct io_event), 1, 2);
}

/* Wait on, and submit nothing. If enough has completed meanwhile, this returns at once. */
static long ring_sigsafe(struct mend_frame *frame)
{
        struct io_uring_getevents_arg ring;
        if ((frame->arguments[3] & IORING_ENTER_EXT_ARG) != 0 &&
            (frame->arguments[5] != sizeof(ring) || !memory_get_sigsafe(frame->arguments[4], &ring, sizeof(ring)) ||
             spec_may_have_expired_sigsafe(frame, ring.ts)))
                return frame->result;
        mend_wait_sigsafe(frame);
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
