/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_proc.c - no bytes in place of a file of /proc or of a socket's address make the agent's readers go wrong
 *
 * The input is read as each of the texts that the kernel writes about descriptors, mounts and locks, and as an address.
 *
 * ./dev fuzz builds and runs it. By hand:
 * Build: clang -g -O1 -fsanitize=fuzzer,address,undefined -std=gnu11 -D_GNU_SOURCE -Iinclude -Isrc \
 *              tests/fuzz/fuzz_proc.c src/explain/proctext.c src/explain/address.c src/base/text.c -o fuzz_proc
 * Run:   ./fuzz_proc -max_total_time=120 -max_len=4096 tests/fuzz/corpus/proc
 *
 * Context: fuzzer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "explain/address.h"
#include "explain/proctext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(bool holds)
{
        if (!holds)
                abort();
}

static bool is_terminated(const char *bytes, size_t capacity)
{
        return memchr(bytes, '\0', capacity) != NULL;
}

static void read_descriptors(const char *text)
{
        struct proctext_fdinfo info;
        struct proctext_target target;
        const char *at = text, *end = text + strlen(text);
        proctext_kind_of(text);
        proctext_fdinfo(text, &info);
        check(info.mount >= -INT32_MAX && info.pid >= 0);
        check(!info.left_known || info.left_ns <= UINT64_C(4294967296) * 1000000000);
        while (proctext_next_target(&at, &target))
                check(target.fd >= 0 && at <= end);
        check(at == end);
}

static void read_mounts(const char *text)
{
        for (int32_t id = -1; id < 40; id++) {
                struct proctext_mount mount;
                if (proctext_mount(text, id, &mount))
                        check(is_terminated(mount.device, sizeof mount.device) &&
                              is_terminated(mount.type, sizeof mount.type) &&
                              is_terminated(mount.source, sizeof mount.source));
        }
}

static void read_locks(const char *text)
{
        for (uint64_t inode = 0; inode < 100; inode += 9) {
                struct proctext_lock lock;
                if (proctext_lock(text, 99, inode, &lock))
                        check(lock.holder >= -INT32_MAX);
        }
}

static void read_address(const uint8_t *data, size_t length)
{
        char bytes[256];
        struct text text = TEXT_IN(bytes);
        text_clear(&text);
        bool named = address_put(&text, data, length);
        check(named || text.length == 0);
        check(is_terminated(bytes, sizeof bytes) && strlen(bytes) <= text.length);
        address_port(data, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        uint64_t value;
        char *text = malloc(length + 1);
        check(text != NULL);
        memcpy(text, data, length);
        text[length] = '\0';
        read_descriptors(text);
        read_mounts(text);
        read_locks(text);
        proctext_number(text, "FDSize:", &value);
        read_address(data, length);
        free(text);
        return 0;
}
