/* SPDX-License-Identifier: Apache-2.0
 *
 * test_address.c - the address of a socket as text, whatever bytes it is made of
 *
 * Context: unit test
 */
#include "explain/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static char output[256];

static const char *put(const void *bytes, size_t length)
{
        struct text text = TEXT_IN(output);
        text_clear(&text);
        return address_put(&text, bytes, length) ? output : NULL;
}

static const char *put_ipv6(const char *string, uint16_t port)
{
        struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        cr_assert_eq(inet_pton(AF_INET6, string, &address.sin6_addr), 1);
        return put(&address, sizeof address);
}

Test(address, of_ipv4)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(5432) };
        inet_pton(AF_INET, "10.0.0.5", &address.sin_addr);
        cr_expect_str_eq(put(&address, sizeof address), "10.0.0.5:5432");
        cr_expect_eq(address_port(&address, sizeof address), 5432);
}

Test(address, of_ipv6_is_what_inet_ntop_writes)
{
        static const char *const strings[] = {
                "::",         "::1",   "2001:db8::1",     "1:2:3:4:5:6:7:8", "fe80::1:0:0:2", "1::",
                "1:0:0:2::3", "0:1::", "1:0:2:3:4:5:6:7", "::ffff:10.0.0.5", "a:b::"
        };
        for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
                char wanted[128], canonical[64];
                struct in6_addr bytes;
                inet_pton(AF_INET6, strings[i], &bytes);
                inet_ntop(AF_INET6, &bytes, canonical, sizeof canonical);
                snprintf(wanted, sizeof wanted, "[%s]:443", canonical);
                cr_expect_str_eq(put_ipv6(strings[i], 443), wanted);
        }
}

Test(address, of_unix)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/x.sock" };
        size_t start = offsetof(struct sockaddr_un, sun_path);
        cr_expect_str_eq(put(&address, sizeof address), "/run/x.sock");
        cr_expect_str_eq(put(&address, start + 4), "/run", "a path need not end with a NUL");
        memcpy(address.sun_path, "\0bus\0x", 6);
        cr_expect_str_eq(put(&address, start + 6), "@bus@x");
        cr_expect_null(put(&address, start), "without a name");
        cr_expect_null(put(&address, start + 1));
}

Test(address, of_nonsense_is_none)
{
        uint8_t bytes[128];
        for (int family = 0; family < 256; family++) {
                memset(bytes, 0xff, sizeof bytes);
                bytes[0] = (uint8_t)family;
                bytes[1] = 0;
                bool known = family == AF_UNIX || family == AF_INET || family == AF_INET6;
                cr_expect_eq(put(bytes, sizeof bytes) != NULL, known, "%d", family);
                for (size_t length = 0; length < 8; length++)
                        cr_expect(family == AF_UNIX || put(bytes, length) == NULL);
        }
        cr_expect_eq(address_port(bytes, 1), 0);
}
