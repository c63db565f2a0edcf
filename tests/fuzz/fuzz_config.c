/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_config.c - no environment makes the settings crash, leave their ranges or say more than a line for each variable
 *
 * The input is a list of variables separated by newlines; half of the inputs get "LOOPDOG_" before each, so that more
 * of them mean something. notice() is replaced to look at each line. Every variable is also checked as a flag would be,
 * and what config_check() accepts must be what config_load() takes without a word.
 *
 * Build: clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -std=gnu11 -D_GNU_SOURCE \
 *              -Iinclude -Isrc tests/fuzz/fuzz_config.c src/base/config.c src/base/text.c -o fuzz_config
 * Run:   ./fuzz_config -max_total_time=120 -max_len=4096 NEW_FINDS tests/fuzz/corpus/config
 *
 * Context: fuzzer
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/notice.h"
#include "base/text.h"

#define VARIABLES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static size_t noted;

static void require(bool holds)
{
        if (!holds)
                abort();
}

static void require_printable(const char *line)
{
        char bytes[4 * LIMIT_NOTICE_BYTES];
        struct text again = TEXT_IN(bytes);
        text_clear(&again);
        text_printable(&again, line);
        require(strcmp(line, bytes) == 0);
}

/* Instead of base/notice.c: the line is whole, on one line, safe on a terminal and about a setting. */
void notice(const char *format, ...)
{
        char bytes[LIMIT_NOTICE_BYTES];
        struct text line = TEXT_IN(bytes);
        va_list arguments;
        va_start(arguments, format);
        text_vformat(&line, format, arguments);
        va_end(arguments);
        require(!line.cut && strncmp(bytes, "LOOPDOG_", 8) == 0);
        require_printable(bytes);
        noted++;
}

static bool within(uint64_t value, uint64_t least, uint64_t most)
{
        return value >= least && value <= most;
}

static void require_ranges(const struct config *loaded)
{
        const uint64_t ms = 1000000, second = 1000 * ms, hour = 3600 * second;
        require(loaded->threshold_ns == 0 || within(loaded->threshold_ns, ms, hour));
        require(within(loaded->interval_ns, ms, 60 * second));
        require(loaded->grace_ns <= hour);
        require(within(loaded->limit_bytes, 4000, UINT64_C(1000000000000)));
        require(within(loaded->loops, CONFIG_LOOPS_AUTO, CONFIG_LOOPS_API));
        require(loaded->redact < 8);
        require(loaded->signal == 0 || loaded->signal == CONFIG_SIGNAL_NONE ||
                (loaded->signal >= SIGRTMIN && loaded->signal <= SIGRTMAX));
        require(!loaded->output || within(strlen(loaded->output), 1, LIMIT_PATH - 1));
        require(!loaded->own || within(strlen(loaded->own), 1, LIMIT_PATH - 1));
}

/* Alone, a variable gives one line or none, and config_check() says the same about it. */
static void try_alone(char *variable)
{
        struct config loaded;
        char complaint[2 * LIMIT_NOTICE_BYTES];
        char *environment[] = { variable, NULL };
        char *equals = strchr(variable, '=');
        noted = 0;
        config_load(&loaded, environment);
        require_ranges(&loaded);
        require(noted <= 1);
        if (!equals || strncmp(variable, "LOOPDOG_", 8) != 0) {
                require(noted == 0);
                return;
        }
        *equals = '\0';
        int status = config_check(variable, equals + 1, complaint, sizeof(complaint));
        require(status == (noted ? -EINVAL : 0));
        require((complaint[0] != '\0') == (noted == 1));
        require_printable(complaint);
        *equals = '=';
}

static void try_quantities(const char *variable)
{
        uint64_t value = 0;
        int status = config_parse_duration(variable, &value);
        require(status == 0 || status == -EINVAL || status == -ERANGE);
        status = config_parse_size(variable, &value);
        require(status == 0 || status == -EINVAL || status == -ERANGE);
}

/* Each variable a block of its own, so that a byte read behind it is found. */
static char *make_variable(const char *bytes, size_t length, const char *prefix)
{
        size_t prefix_length = strlen(prefix);
        char *variable = malloc(prefix_length + length + 1);
        memcpy(variable, prefix, prefix_length);
        memcpy(variable + prefix_length, bytes, length);
        variable[prefix_length + length] = '\0';
        return variable;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        char *environment[VARIABLES + 1] = { NULL };
        size_t count = 0;
        const char *at = (const char *)data, *end = at + length;
        const char *prefix = length % 2 ? "LOOPDOG_" : "";
        while (at < end && count < VARIABLES) {
                const char *newline = memchr(at, '\n', (size_t)(end - at));
                size_t taken = (size_t)((newline ? newline : end) - at);
                environment[count++] = make_variable(at, taken, prefix);
                at += taken + 1;
        }
        struct config loaded;
        noted = 0;
        config_load(&loaded, environment);
        require_ranges(&loaded);
        require(noted <= count);
        for (size_t i = 0; i < count; i++) {
                try_alone(environment[i]);
                try_quantities(environment[i]);
                free(environment[i]);
        }
        return 0;
}
