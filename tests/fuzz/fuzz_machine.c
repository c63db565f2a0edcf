/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_machine.c - no text of /proc or of a cgroup makes its parser read beyond it, and no path leave its buffer
 *
 * The first byte chooses the parser, the rest is the text, terminated and in a block of its own size, so that a read
 * beyond it is seen.
 *
 * Run:   ./fuzz_machine -max_total_time=120 -max_len=2048 NEW_FINDS tests/fuzz/corpus/machine
 *
 * Context: fuzzer
 */
#include <stdlib.h>
#include <string.h>

#include "capture/usage.h"
#include "explain/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void require(bool holds)
{
        if (!holds)
                abort();
}

/* The group is the first line, the mount the second. */
static void find_folder(char *text)
{
        char folder[64], *mount = strchr(text, '\n');
        struct machine_group group;
        unsigned long mount_length = 0;
        if (mount == NULL)
                return;
        *mount++ = '\0';
        if (!machine_parse_group(text, &group))
                return;
        require(group.path[0] == '/');
        if (machine_parse_mount(mount, &group, folder, sizeof folder, &mount_length))
                require(strlen(folder) < sizeof folder && mount_length <= strlen(folder));
}

static void parse(unsigned which, char *text)
{
        struct sample_usage usage;
        uint64_t number;
        uint32_t count;
        switch (which % 7) {
        case 0:
                usage_parse_stat(text, &usage);
                break;
        case 1:
                usage_parse_delay(text, &number);
                break;
        case 2:
                machine_parse_throttled(text, &number);
                break;
        case 3:
                machine_parse_pressure(text, &number);
                break;
        case 4:
                machine_parse_stat(text, &number, &count);
                break;
        case 5:
                machine_parse_load(text, &count);
                break;
        default:
                find_folder(text);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        if (length == 0)
                return 0;
        char *text = malloc(length);
        require(text != NULL);
        memcpy(text, data + 1, length - 1);
        text[length - 1] = '\0';
        parse(data[0], text);
        free(text);
        return 0;
}
