/* SPDX-License-Identifier: Apache-2.0
 *
 * program.c - can the loader of a program use our preload?
 *
 * Read from the program's file without libc, because exec may be called where that must not be: in a child of vfork, in
 * a signal handler.
 *
 * Context: app thread, children of fork and vfork included; async-signal-safe
 */
#include "base/program.h"

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "base/raw.h"

#define LIMIT_SCRIPTS 4 /* interpreters of interpreters, as the kernel */

static ssize_t read_start(int fd, void *bytes, size_t capacity, uint64_t offset)
{
        return raw_syscall_sigsafe(SYS_pread64, (uint64_t)fd, (uintptr_t)bytes, capacity, offset, 0, 0);
}

int program_open(int directory, const char *path)
{
        return (int)raw_syscall_sigsafe(SYS_openat, (uint64_t)(int64_t)directory, (uintptr_t)path,
                                        O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
}

static void close_plain(int fd)
{
        raw_syscall_sigsafe(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
}

/* A 64-bit x86 program whose interpreter is glibc's. A static one has no loader, so nothing can go wrong. */
static bool elf_fits(int fd, const Elf64_Ehdr *header)
{
        if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
                return false;
        for (unsigned i = 0; i < header->e_phnum && i < 64; i++) {
                Elf64_Phdr segment;
                uint64_t at = header->e_phoff + (uint64_t)i * sizeof segment;
                if (read_start(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
                        return true;
                if (segment.p_type != PT_INTERP)
                        continue;
                char loader[256] = "";
                size_t length = segment.p_filesz < sizeof loader ? segment.p_filesz : sizeof loader - 1;
                if (read_start(fd, loader, length, segment.p_offset) != (ssize_t)length)
                        return true;
                loader[length] = '\0';
                return strstr(loader, "ld-linux") != NULL;
        }
        return true;
}

/* The interpreter named in "#!" of `start` into `path`; false where there is none. */
static bool script_interpreter(const char *start, size_t length, char *path, size_t capacity)
{
        size_t i = 2, n = 0;
        while (i < length && (start[i] == ' ' || start[i] == '\t'))
                i++;
        while (i < length && start[i] != ' ' && start[i] != '\t' && start[i] != '\n' && n + 1 < capacity)
                path[n++] = start[i++];
        path[n] = '\0';
        return n > 0;
}

bool program_fits(int fd)
{
        bool fits = true;
        for (int depth = 0; fd >= 0 && depth < LIMIT_SCRIPTS; depth++) {
                union {
                        Elf64_Ehdr header;
                        char bytes[256];
                } start;
                char path[256];
                ssize_t n = read_start(fd, &start, sizeof start, 0);
                bool script = n > 2 && start.bytes[0] == '#' && start.bytes[1] == '!';
                if (n >= (ssize_t)sizeof start.header && memcmp(start.bytes, ELFMAG, SELFMAG) == 0)
                        fits = elf_fits(fd, &start.header);
                close_plain(fd);
                if (!script || !script_interpreter(start.bytes, (size_t)n, path, sizeof path))
                        return fits;
                fd = program_open(AT_FDCWD, path);
        }
        if (fd >= 0)
                close_plain(fd);
        return fits;
}
