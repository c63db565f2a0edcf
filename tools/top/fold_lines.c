/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_lines.c - lines of text that are too long for a screen
 *
 * Context: reader
 */
#include "top/fold_lines.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"

#define COLUMNS_LEAST 20
#define INDENT 8
#define PLAIN "\033[0m"

/* A piece of a line: a word with the blanks before it, or a part of one that is longer than a line. */
struct piece {
        size_t blanks;  /* bytes, and columns */
        size_t bytes;   /* all of it */
        size_t columns; /* all of it */
};

/* Bytes of an escape sequence; 0: there is none. */
static size_t colour_at(const char *text)
{
        if (text[0] != '\033' || text[1] != '[')
                return 0;
        size_t length = 2 + strspn(text + 2, "0123456789;");
        return text[length] == 'm' ? length + 1 : 0;
}

static struct piece next_piece(const char *text, size_t room)
{
        struct piece piece = { .blanks = strspn(text, " ") };
        piece.bytes = piece.columns = piece.blanks;
        for (const char *at = text + piece.bytes; *at && *at != ' ' && *at != '\n'; at = text + piece.bytes) {
                size_t colour = colour_at(at);
                bool begins = !colour && (*at & 0xc0) != 0x80;
                if (begins && piece.columns - piece.blanks == room)
                        break;
                piece.columns += begins;
                piece.bytes += colour ? colour : 1;
        }
        return piece;
}

/* The colour in force behind these bytes. */
static void note_colour(const char *text, size_t length, char colour[static 32])
{
        for (size_t at = 0; at < length; at++) {
                size_t size = colour_at(text + at);
                if (size > 0 && size < 32) {
                        memcpy(colour, text + at, size);
                        colour[size] = '\0';
                }
        }
        if (strcmp(colour, PLAIN) == 0)
                colour[0] = '\0';
}

/* Returns the bytes of the line. */
static size_t wrap_line(const char *text, size_t columns, FILE *out)
{
        char colour[32] = "";
        size_t used = 0;
        size_t done = 0;
        while (text[done] && text[done] != '\n') {
                struct piece piece = next_piece(text + done, columns - INDENT);
                bool fits = used + piece.columns <= columns;
                if (!fits) {
                        fprintf(out, "%s\n%*s%s", colour[0] ? PLAIN : "", INDENT, "", colour);
                        used = INDENT;
                        done += piece.blanks;
                        piece.bytes -= piece.blanks;
                        piece.columns -= piece.blanks;
                }
                fwrite(text + done, 1, piece.bytes, out);
                note_colour(text + done, piece.bytes, colour);
                used += piece.columns;
                done += piece.bytes;
        }
        return done;
}

char *fold_lines(const char *text, unsigned columns)
{
        char *wrapped;
        size_t size;
        FILE *out = columns >= COLUMNS_LEAST ? open_memstream(&wrapped, &size) : NULL;
        if (!out)
                return alloc_string(text);
        while (*text) {
                text += wrap_line(text, columns, out);
                if (*text == '\n') {
                        fputc('\n', out);
                        text++;
                }
        }
        fclose(out);
        return wrapped;
}

size_t count_lines(const char *text)
{
        size_t count = 0;
        for (; *text; text++)
                count += *text == '\n';
        return count;
}
