/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_doctor.c - no files of /proc make the doctor go wrong
 *
 * The input is `status`, `maps`, `environ` and `auxv` of a process, divided by the bytes 1 and 2. Every check is asked.
 *
 * ./dev fuzz builds and runs it, with -max_len=4096.
 *
 * Context: fuzzer
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "doctor/check.h"

#define PID 42

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static char root[] = "/tmp/loopdog-fuzz.XXXXXX";
static const char *const names[] = { "status", "maps", "environ", "auxv" };
#define FILES (sizeof(names) / sizeof(*names))

static void check(bool holds)
{
        if (!holds)
                abort();
}

static void remove_all(void)
{
        char *command = alloc_format("rm -rf %s", root);
        if (system(command) != 0)
                fprintf(stderr, "%s stays\n", root);
        free(command);
}

static void make_folders(void)
{
        static const char *const folders[] = { "42", "42/task", "42/task/42", "42/task/43" };
        static bool made;
        if (made)
                return;
        made = true;
        check(mkdtemp(root));
        atexit(remove_all);
        for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
                char *path = alloc_format("%s/%s", root, folders[i]);
                check(mkdir(path, 0700) == 0);
                free(path);
        }
}

static void write_file(const char *name, const uint8_t *bytes, size_t length)
{
        char *path = alloc_format("%s/42/%s", root, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        check(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
        close(fd);
        free(path);
}

static void write_files(const uint8_t *data, size_t length)
{
        for (size_t i = 0; i < FILES; i++) {
                const uint8_t *end = memmem(data, length, "\1\2", 2);
                size_t size = end ? (size_t)(end - data) : length;
                write_file(names[i], data, size);
                if (i == 0) {
                        write_file("task/42/status", data, size);
                        write_file("task/43/status", data, size);
                }
                size_t used = end ? size + 2 : size;
                data += used;
                length -= used;
        }
}

static void ask(const struct check *checks, const struct examined *examined)
{
        for (; checks->name; checks++) {
                struct finding finding = checks->look(examined);
                check(finding.verdict == VERDICT_NONE || (finding.found && finding.found[0]));
                check(finding.verdict < VERDICT_NOTE || finding.fix);
                finding_free(&finding);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        static const struct trial trial;
        struct subject subject;
        struct account account = { .run = alloc_string("") }; /* to find records would open what the fuzzer thinks of */
        make_folders();
        write_files(data, length);
        subject_read(&subject, root, PID);
        check(subject.exists && subject.name);
        const struct examined examined = { .subject = &subject, .account = &account, .trial = &trial };
        ask(process_checks, &examined);
        ask(record_checks, &examined);
        subject_free(&subject);
        account_free(&account);
        return 0;
}
