/* SPDX-License-Identifier: Apache-2.0
 *
 * place.h - what stands in the source at one address
 *
 * Context: reader
 */
#ifndef LOOPDOG_SYMBOLIZE_PLACE_H
#define LOOPDOG_SYMBOLIZE_PLACE_H

#include <stddef.h>
#include <stdint.h>

#include "symbolize/object.h"

/* One level: the function that the address lies in, or one that was inlined there. */
struct place {
        char *function; /* as people write it; NULL: not known */
        char *file;     /* NULL: not known */
        uint32_t line;
};

struct places {
        struct place *items; /* innermost first; all but the last were inlined into the one that follows */
        size_t count;        /* at least 1 */
};

/* Look up `offset` (an ELF virtual address) in `object`, which may be NULL: not usable. `symbol` is the name in the
 * record, or NULL. The result is the caller's. */
struct places *places_find(struct object *object, uint64_t offset, const char *symbol);
void places_free(void *places);

#endif
