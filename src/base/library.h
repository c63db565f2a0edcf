/* SPDX-License-Identifier: Apache-2.0
 *
 * library.h - is this code part of an event-loop library?
 *
 * Asked by the hook of poll and select about its caller, once a thread and call site, and by the search for the loop
 * frame. The answer comes from the name of the shared object that holds the address, without the loader's lock.
 *
 * Context: app thread, watchdog
 */
#ifndef LOOPDOG_BASE_LIBRARY_H
#define LOOPDOG_BASE_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

bool library_is_loop(uint64_t address);

/* The same for a path or file name. */
bool library_name_is_loop(const char *path);

#endif
