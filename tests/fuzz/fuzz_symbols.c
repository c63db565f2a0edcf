/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_symbols.c - no program or debug information makes the reader go wrong
 *
 * Records name files, and whoever sends records may send files along. The input is an ELF object without a build-id, as
 * the reader opens it, and at its end 8 bytes of an address to look up; its names are demangled, and it is looked at as
 * an interpreter. libelf and libdw do most of the reading and are not ours; that what comes out of them is handled
 * rightly, is.
 *
 * ./dev fuzz builds and runs it, with -max_len=65536.
 *
 * Context: fuzzer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc.h"
#include "doctor/interpreter.h"
#include "symbolize/demangle.h"
#include "symbolize/object.h"
#include "symbolize/place.h"

#define PLACES 4
#define FD 200 /* the input, always */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char folder[] = "/tmp/loopdog-fuzz.XXXXXX";

static void check(bool holds)
{
        if (!holds)
                abort();
}

static void remove_folder(void)
{
        char *link = alloc_format("%s/root", folder);
        unlink(link);
        rmdir(folder);
        free(link);
}

/* Below "root" of this folder every path leads to the input: as below /proc/PID/root. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        check(mkdtemp(folder));
        atexit(remove_folder);
        char *link = alloc_format("%s/root", folder);
        check(symlink("/proc/self/fd", link) == 0);
        free(link);
        return 0;
}

static void look_up(struct object *object, uint64_t offset, const char *symbol)
{
        struct places *places = places_find(object, offset, symbol);
        check(places->count > 0);
        for (size_t i = 0; i < places->count; i++)
                check(!places->items[i].file || places->items[i].line > 0);
        places_free(places);
}

static void look_up_all(const char *path, const uint8_t *data, size_t length)
{
        const struct object_places where = { 0 };
        struct object *object = object_new(path, NULL, &where);
        uint64_t address = 0;
        if (length >= sizeof(address))
                memcpy(&address, data + length - sizeof(address), sizeof(address));
        object->tried = true; /* said already */
        object->usable = true;
        if (object_open(object))
                for (unsigned i = 0; i < PLACES; i++)
                        look_up(object, (address & 0xffffff) + 16 * i, i % 2 ? "_ZN1a1bEv" : NULL);
        object_free(object);
}

static void demangle_end(const uint8_t *data, size_t length)
{
        size_t size = length < 128 ? length : 128;
        char *name = alloc_bytes((const char *)data + length - size, size);
        char *plain = demangle(name);
        check(plain != NULL);
        demangle_fails(name);
        free(plain);
        free(name);
}

static void interpret(void)
{
        struct interpreter interpreter = { .python = true };
        const struct subject subject = { .folder = folder };
        struct subject_file file = { .path = (char[]){ "/200" } };
        interpreter.file = &file;
        interpreter_look(&interpreter, &subject);
        check(!interpreter_is_supported(&interpreter) || interpreter.readable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        check(fd >= 0 && write(fd, data, length) == (ssize_t)length && dup2(fd, FD) == FD);
        close(fd);
        look_up_all("/proc/self/fd/200", data, length);
        demangle_end(data, length);
        interpret();
        close(FD);
        return 0;
}
