/* SPDX-License-Identifier: Apache-2.0
 *
 * socket.h - what a socket of the host is connected to
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_SOCKET_H
#define LOOPDOG_EXPLAIN_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/* "tcp 127.0.0.1:80 <- 10.0.0.7:53410 (CLOSE_WAIT)", "udp 0.0.0.0:53", "unix /run/x.sock, peer redis-server (4711)".
 * The host's descriptor `fd`; `link` is said where it can't be asked. */
void socket_put(struct text *what, int fd, const char *link);

/* The address in a call's argument, as it may be recorded: LOOPDOG_REDACT=peers hides it. False: it has none. */
bool socket_put_peer(struct text *text, const void *bytes, size_t length);

#endif
