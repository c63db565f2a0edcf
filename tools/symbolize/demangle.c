/* SPDX-License-Identifier: Apache-2.0
 *
 * demangle.c - a symbol's name as its author wrote it
 *
 * Rust goes first: its legacy names are well-formed C++ names too, which would keep their hash at the end.
 *
 * Context: reader
 */
#include "symbolize/demangle.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* The demanglers recurse as deep as a name nests; the symbol tables of real programs stay far below this. */
#define LONGEST_NAME 8192

static const char *const clone_suffixes[] = { ".constprop.", ".part.", ".isra.", ".lto_priv.", ".llvm.", ".cold" };

/* The compiler's suffix in `symbol`, or its end. */
static char *find_suffix(char *symbol)
{
        for (char *dot = strchr(symbol, '.'); dot; dot = strchr(dot + 1, '.')) {
                for (size_t i = 0; i < sizeof(clone_suffixes) / sizeof(*clone_suffixes); i++) {
                        if (dot > symbol && strncmp(dot, clone_suffixes[i], strlen(clone_suffixes[i])) == 0)
                                return dot;
                }
        }
        return symbol + strlen(symbol);
}

static char *plain_symbol(const char *symbol)
{
        char *plain = alloc_string(symbol);
        char *version = strchr(plain, '@');
        if (version && version > plain)
                *version = '\0';
        *find_suffix(plain) = '\0';
        return plain;
}

static char *demangle_plain(const char *plain)
{
        if (strlen(plain) > LONGEST_NAME)
                return NULL;
        char *name = rust_demangle(plain, DMGL_NO_OPTS);
        return name ? name : cplus_demangle_v3(plain, DMGL_ANSI);
}

char *demangle(const char *symbol)
{
        char *plain = plain_symbol(symbol);
        char *name = demangle_plain(plain);
        if (!name)
                return plain;
        free(plain);
        return name;
}

bool demangle_fails(const char *symbol)
{
        if (strncmp(symbol, "_Z", 2) != 0 && strncmp(symbol, "_R", 2) != 0)
                return false;
        char *plain = plain_symbol(symbol);
        char *name = demangle_plain(plain);
        free(plain);
        free(name);
        return !name;
}
