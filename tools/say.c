/* SPDX-License-Identifier: Apache-2.0
 *
 * say.c - messages to people, on stderr
 *
 * A descriptor that poll() calls writable takes at least PIPE_BUF bytes without waiting where it is a pipe, so pieces
 * of that size need no O_NONBLOCK, which would be shared with the watched program.
 *
 * Context: reader
 */
#include "say.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/text.h"

#define QUEUE_BYTES (16u << 20)

static struct {
        bool on;
        bool broken; /* a write failed for good */
        char *bytes;
        size_t length;
        uint64_t dropped;
} queue;

static struct {
        void (*take)(void *context, const char *bytes, size_t length);
        void *context;
} diverted;

static bool writable(int timeout_ms)
{
        struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
        return poll(&room, 1, timeout_ms) > 0;
}

/* Write what goes; without `wait` only what goes at once. Returns how much that was. */
static size_t write_some(const char *bytes, size_t length, bool wait)
{
        size_t done = 0;
        while (done < length && !queue.broken) {
                if (!writable(wait ? -1 : 0))
                        break;
                size_t piece = length - done;
                if (!wait && piece > PIPE_BUF)
                        piece = PIPE_BUF;
                ssize_t written = write(STDERR_FILENO, bytes + done, piece);
                if (written > 0)
                        done += (size_t)written;
                else if (written == 0 || (errno != EAGAIN && errno != EINTR))
                        queue.broken = true;
        }
        return queue.broken ? length : done;
}

static void append(const char *bytes, size_t length)
{
        if (queue.length + length > QUEUE_BYTES) {
                queue.dropped += length;
                return;
        }
        queue.bytes = alloc_resize(queue.bytes, queue.length + length, 1);
        memcpy(queue.bytes + queue.length, bytes, length);
        queue.length += length;
}

void say_divert(void (*take)(void *context, const char *bytes, size_t length), void *context)
{
        diverted.take = take;
        diverted.context = context;
}

static bool passing; /* a line that is to go stands there */

static const char remove_line[] = "\r\033[K";

void say_passing(const char *line)
{
        if (!line && !passing)
                return;
        char *text = alloc_format("%s%s", remove_line, line ? line : "");
        write_some(text, strlen(text), true);
        free(text);
        passing = line;
}

void say_bytes(const char *bytes, size_t length)
{
        if (diverted.take) {
                diverted.take(diverted.context, bytes, length);
                return;
        }
        say_passing(NULL);
        if (!queue.on) {
                write_some(bytes, length, true);
                return;
        }
        size_t done = queue.length ? 0 : write_some(bytes, length, false);
        if (done < length)
                append(bytes + done, length - done);
}

void say(const char *format, ...)
{
        char plain[2048];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(plain, sizeof(plain), format, arguments);
        va_end(arguments);

        char array[4 * sizeof(plain) + 16];
        struct text line = TEXT_IN(array);
        text_string(&line, "loopdog: ");
        text_printable(&line, plain);
        text_char(&line, '\n');
        say_bytes(line.bytes, line.length);
}

void say_queue(void)
{
        queue.on = true;
}

bool say_pending(void)
{
        return queue.length > 0;
}

void say_drain(void)
{
        if (queue.length == 0)
                return;
        size_t done = write_some(queue.bytes, queue.length, false);
        queue.length -= done;
        memmove(queue.bytes, queue.bytes + done, queue.length);
}

void say_unqueue(void)
{
        queue.on = false;
        write_some(queue.bytes, queue.length, true);
        free(queue.bytes);
        queue.bytes = NULL;
        queue.length = 0;
        if (queue.dropped > 0)
                say("%llu bytes of output were dropped: nobody read stderr", (unsigned long long)queue.dropped);
        queue.dropped = 0;
}
