/* SPDX-License-Identifier: Apache-2.0
 *
 * address.h - a socket's address as text
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_ADDRESS_H
#define LOOPDOG_EXPLAIN_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* "127.0.0.1:80", "[2001:db8::1]:443", "/run/x.sock", "@abstract". `length` bytes of a struct sockaddr of any kind,
 * which need not make sense. Returns false, with nothing appended, for one without a name. */
bool address_put(struct text *text, const void *bytes, size_t length);

/* Of IPv4 and IPv6; 0 else. */
uint16_t address_port(const void *bytes, size_t length);

#endif
