/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap.c - a sentence in as many lines as the terminal's width asks for
 *
 * Context: reader
 */
#include "render/wrap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "render/words.h"

#define LEAST 20

static size_t room_of(const struct wrapping *wrapping)
{
        if (wrapping->width == 0)
                return SIZE_MAX;
        return wrapping->width > wrapping->indent + LEAST ? wrapping->width - wrapping->indent : LEAST;
}

void wrap_write(FILE *out, const char *text, const struct wrapping *wrapping)
{
        size_t room = room_of(wrapping), used = 0;
        bool begun = wrapping->begun;
        for (const char *word = text + strspn(text, " "); *word;) {
                size_t length = strcspn(word, " ");
                char *one = alloc_bytes(word, length);
                size_t columns = words_width(one);
                bool first = used == 0;
                if (!first && columns > room - 1 - used) {
                        fputs(wrapping->dim ? "\033[0m\n" : "\n", out);
                        first = true;
                }
                if (first)
                        fprintf(out, "%*s%s", begun ? 0 : (int)wrapping->indent, "", wrapping->dim ? "\033[2m" : "");
                begun = false;
                fprintf(out, "%s%s", first ? "" : " ", one);
                used = first ? columns : used + 1 + columns;
                used = used < room ? used : room - 1;
                free(one);
                word += length;
                word += strspn(word, " ");
        }
        fputs(wrapping->dim && used > 0 ? "\033[0m\n" : "\n", out);
}
