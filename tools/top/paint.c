/* SPDX-License-Identifier: Apache-2.0
 *
 * paint.c - a line of text on the screen
 *
 * Context: reader
 */
#include "top/paint.h"

#include <langinfo.h>
#include <ncurses.h>
#include <string.h>
#include <wchar.h>

#include "base/text.h"

enum pair {
        PAIR_RED = 1,
        PAIR_CYAN,
};

static struct {
        bool utf8;
        bool colour;
} paint;

void paint_setup(bool colour)
{
        paint.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        paint.colour = colour && has_colors() && start_color() == OK && use_default_colors() == OK &&
                       init_pair(PAIR_RED, COLOR_RED, -1) == OK && init_pair(PAIR_CYAN, COLOR_CYAN, -1) == OK;
}

static attr_t attributes_of(enum paint how)
{
        switch (how) {
        case PAINT_BOLD:
        case PAINT_BAD:
                return A_BOLD;
        case PAINT_DIM:
                return A_DIM;
        case PAINT_HEAD:
                return A_UNDERLINE;
        case PAINT_FOCUS:
                return A_UNDERLINE | A_BOLD;
        case PAINT_KEYS:
                return A_REVERSE;
        case PAINT_PLAIN:
                break;
        }
        return A_NORMAL;
}

/* ------------------------------------------------------------------------------------------------------ characters */

struct pen {
        int y;
        int x;
        attr_t attributes; /* of the line; */
        short pair;
        attr_t own; /* of this part of it; */
        short own_pair;
};

static void use(const struct pen *pen)
{
        short pair = pen->own_pair ? pen->own_pair : pen->pair;
        attr_set(pen->attributes | pen->own, paint.colour ? pair : 0, NULL);
}

/* "ESC [ 1 ; 31 m" as record_write_text() has it. Returns its length, 0 where it is none. */
static size_t take_colour(struct pen *pen, const char *text, size_t length)
{
        size_t at = 2;
        if (length < 3 || text[0] != '\033' || text[1] != '[')
                return 0;
        while (at < length && (text[at] == ';' || (text[at] >= '0' && text[at] <= '9'))) {
                int code = 0;
                for (; at < length && text[at] >= '0' && text[at] <= '9' && code < 1000; at++)
                        code = code * 10 + text[at] - '0';
                at += at < length && text[at] == ';';
                if (code == 0) {
                        pen->own = A_NORMAL;
                        pen->own_pair = 0;
                }
                pen->own |= code == 1 ? A_BOLD : code == 2 ? A_DIM : A_NORMAL;
                if (code == 31 || code == 36)
                        pen->own_pair = code == 31 ? PAIR_RED : PAIR_CYAN;
        }
        if (at >= length || text[at] != 'm')
                return 0;
        use(pen);
        return at + 1;
}

/* What stands for a character where the terminal has none but ASCII. */
static wchar_t as_ascii(wchar_t character)
{
        switch (character) {
        case 0x2026: /* an ellipsis */
                return '.';
        case 0x2191: /* arrows */
                return '^';
        case 0x2193:
                return 'v';
        default:
                return '?';
        }
}

static wchar_t decode(const unsigned char *bytes, size_t length)
{
        switch (length) {
        case 1:
                return bytes[0];
        case 2:
                return (bytes[0] & 0x1f) << 6 | (bytes[1] & 0x3f);
        case 3:
                return (bytes[0] & 0x0f) << 12 | (bytes[1] & 0x3f) << 6 | (bytes[2] & 0x3f);
        default:
                return (bytes[0] & 0x07) << 18 | (bytes[1] & 0x3f) << 12 | (bytes[2] & 0x3f) << 6 | (bytes[3] & 0x3f);
        }
}

/* False where the line is full. */
static bool put_character(struct pen *pen, wchar_t character)
{
        if (character < ' ' || (character >= 0x7f && character < 0xa0))
                character = '?';
        if (character >= 0x80 && !paint.utf8)
                character = as_ascii(character);
        int width = wcwidth(character);
        if (width < 0) {
                character = paint.utf8 ? 0xfffd : '?';
                width = 1;
        }
        if (pen->x + width > COLS)
                return false;
        if (width > 0 || pen->x > 0) { /* one that combines needs another before it */
                if (width > 0)
                        mvaddnwstr(pen->y, pen->x, &character, 1);
                else
                        addnwstr(&character, 1);
        }
        pen->x += width;
        return true;
}

/* ----------------------------------------------------------------------------------------------------------- lines */

static void fill(struct pen *pen)
{
        for (; pen->x < COLS; pen->x++)
                mvaddch(pen->y, pen->x, ' ');
}

void paint_line(int y, int x, const char *text, size_t length, enum paint how, bool selected)
{
        struct pen pen = { .y = y, .x = x, .attributes = attributes_of(how), .pair = how == PAINT_BAD ? PAIR_RED : 0 };
        if (selected)
                pen.attributes |= A_REVERSE;
        use(&pen);
        for (size_t at = 0; at < length;) {
                size_t colour = take_colour(&pen, text + at, length - at);
                size_t bytes = colour ? colour : text_utf8_length(text + at, length - at);
                if (!colour && !put_character(&pen, bytes ? decode((const unsigned char *)text + at, bytes) : 0xfffd))
                        break;
                at += bytes ? bytes : 1;
        }
        pen.own = A_NORMAL;
        pen.own_pair = 0;
        use(&pen);
        fill(&pen);
        attr_set(A_NORMAL, 0, NULL);
}

void paint_empty(int y)
{
        paint_line(y, 0, "", 0, PAINT_PLAIN, false);
}
