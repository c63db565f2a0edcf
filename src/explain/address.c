/* SPDX-License-Identifier: Apache-2.0
 *
 * address.c - a socket's address as text
 *
 * inet_ntop() would do for two of the families, but reaches into stdio; and a name here comes from the memory of a
 * program that may be just about to be wrong.
 *
 * Context: watchdog
 */
#include "explain/address.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void put_ipv4(struct text *text, const uint8_t *bytes)
{
        text_format(text, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
}

static unsigned group_of(const uint8_t *bytes, int index)
{
        return (unsigned)bytes[2 * index] << 8 | bytes[2 * index + 1];
}

/* The longest run of zero groups, of two or more, is written "::" (RFC 5952). Returns its length. */
static int find_zeros(const uint8_t *bytes, int *from)
{
        int longest = 1;
        for (int i = 0; i < 8;) {
                int end = i;
                while (end < 8 && group_of(bytes, end) == 0)
                        end++;
                if (end - i > longest) {
                        longest = end - i;
                        *from = i;
                }
                i = end + 1;
        }
        return longest > 1 ? longest : 0;
}

static void put_ipv6(struct text *text, const uint8_t *bytes)
{
        static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
        int from = 8, zeros = find_zeros(bytes, &from);
        if (memcmp(bytes, mapped, sizeof mapped) == 0) {
                text_string(text, "::ffff:");
                put_ipv4(text, bytes + 12);
                return;
        }
        for (int i = 0; i < 8; i++) {
                if (zeros > 0 && i == from) {
                        text_string(text, "::");
                        i += zeros - 1;
                        continue;
                }
                if (i > 0 && !(zeros > 0 && i == from + zeros))
                        text_char(text, ':');
                text_hex(text, group_of(bytes, i), 1);
        }
}

/* A path ends with a NUL or with the address; an abstract name begins with a NUL and may hold more of them. */
static bool put_unix(struct text *text, const struct sockaddr_un *address, size_t length)
{
        size_t start = offsetof(struct sockaddr_un, sun_path);
        if (length <= start)
                return false;
        size_t room = length - start;
        const char *path = address->sun_path;
        if (path[0] != '\0') {
                text_bytes(text, path, strnlen(path, room));
                return true;
        }
        if (room < 2)
                return false;
        text_char(text, '@');
        for (size_t i = 1; i < room; i++)
                text_char(text, path[i] != '\0' ? path[i] : '@');
        return true;
}

bool address_put(struct text *text, const void *bytes, size_t length)
{
        union {
                struct sockaddr any;
                struct sockaddr_in ipv4;
                struct sockaddr_in6 ipv6;
                struct sockaddr_un local;
        } address;
        memset(&address, 0, sizeof address);
        if (length < sizeof address.any.sa_family)
                return false;
        if (length > sizeof address)
                length = sizeof address;
        memcpy(&address, bytes, length);
        if (address.any.sa_family == AF_UNIX)
                return put_unix(text, &address.local, length);
        if (address.any.sa_family == AF_INET && length >= 8) {
                put_ipv4(text, (const uint8_t *)&address.ipv4.sin_addr);
                text_format(text, ":%u", ntohs(address.ipv4.sin_port));
                return true;
        }
        if (address.any.sa_family == AF_INET6 && length >= 24) {
                text_char(text, '[');
                put_ipv6(text, (const uint8_t *)&address.ipv6.sin6_addr);
                text_format(text, "]:%u", ntohs(address.ipv6.sin6_port));
                return true;
        }
        return false;
}

uint16_t address_port(const void *bytes, size_t length)
{
        struct sockaddr_in address;
        if (length < 4) /* the port stands at the same place in both */
                return 0;
        memset(&address, 0, sizeof address);
        memcpy(&address, bytes, length < sizeof address ? length : sizeof address);
        return address.sin_family == AF_INET || address.sin_family == AF_INET6 ? ntohs(address.sin_port) : 0;
}
