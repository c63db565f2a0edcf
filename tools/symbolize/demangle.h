/* SPDX-License-Identifier: Apache-2.0
 *
 * demangle.h - a symbol's name as its author wrote it
 *
 * Context: reader
 */
#ifndef LOOPDOG_SYMBOLIZE_DEMANGLE_H
#define LOOPDOG_SYMBOLIZE_DEMANGLE_H

#include <stdbool.h>

/* The name for people, to be freed; never NULL. C++ and Rust names are demangled, without parameters so that a line
 * stays readable; symbol versions (@@GLIBC_2.2.5) and the compiler's suffixes (.constprop.0, .part.1, .cold) are
 * dropped. A name that is not mangled, or not well, is returned as it is. */
char *demangle(const char *symbol);

/* Whether it looks mangled but can't be demangled: cut on its way, for instance. */
bool demangle_fails(const char *symbol);

#endif
