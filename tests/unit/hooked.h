/* SPDX-License-Identifier: Apache-2.0
 *
 * hooked.h - the hooks of exec, linked into the test itself
 *
 * There they stand before libc's functions, as they do in a host. Each test has a folder for programs that it makes.
 *
 * Context: unit tests
 */
#ifndef LOOPDOG_TESTS_HOOKED_H
#define LOOPDOG_TESTS_HOOKED_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/hooks/exec.c"
#include "../../src/hooks/hooks.c"

static unsigned begun, failed;

static inline void count_begun(void)
{
        begun++;
        errno = EXDEV;
}

static inline void count_failed(void)
{
        failed++;
        errno = EXDEV;
}

static bool owns_none(int number)
{
        return false;
}

static const struct hooks_calls counting = {
        .rights_end = nothing,
        .user_changes = nothing,
        .user_changed = nothing,
        .exec_begins = count_begun,
        .exec_failed = count_failed,
        .code_unloaded = nothing,
        .owns_signal = owns_none,
};

static char folder[64];

static inline void set_up_hooks(void)
{
        hooks_setup(&counting, true);
        strcpy(folder, "/tmp/loopdog-exec-XXXXXX");
        cr_assert(mkdtemp(folder) != NULL);
}

static inline void remove_folder(void)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        cr_expect(zero(int, system(command)));
}

static inline const char *in_folder(const char *name)
{
        static char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
}

static inline const char *make_file(const char *name, const void *bytes, size_t length)
{
        const char *path = in_folder(name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
        cr_assert(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
        close(fd);
        return path;
}

/* The beginning of a program: a header and one segment that names its loader; NULL for a static one. */
static inline const char *make_program(const char *name, unsigned char class, uint16_t machine, const char *loader)
{
        struct {
                Elf64_Ehdr header;
                Elf64_Phdr segments[2];
                char loader[300];
        } file = { .header = { .e_machine = machine, .e_phoff = sizeof file.header, .e_phnum = loader ? 2 : 1 } };
        memcpy(file.header.e_ident, ELFMAG, SELFMAG);
        file.header.e_ident[EI_CLASS] = class;
        file.segments[0].p_type = PT_LOAD;
        file.segments[1].p_type = PT_INTERP;
        file.segments[1].p_offset = offsetof(__typeof__(file), loader);
        if (loader != NULL) {
                strcpy(file.loader, loader);
                file.segments[1].p_filesz = strlen(loader) + 1;
        }
        return make_file(name, &file, sizeof file);
}

#define GLIBC "/lib64/ld-linux-x86-64.so.2"
#define MUSL "/lib/ld-musl-x86_64.so.1"

#define ENVIRONMENT(...) ((char *const[]){ __VA_ARGS__, NULL })
#define VARIABLE(string) ((char *)(uintptr_t)(string))

#endif
