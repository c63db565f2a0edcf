/* SPDX-License-Identifier: Apache-2.0
 *
 * table.c - rows and columns of text
 *
 * Context: reader
 */
#include "render/table.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "render/terminal.h"
#include "render/words.h"
#include "render/wrap.h"

#define GAP 2
#define INDENT 2
#define LEAST_LAST 20 /* columns that the last one keeps on however narrow a terminal */
#define GOOD_LAST 24  /* for so many others are left out */
#define NOTE_INDENT 6

void table_column(struct table *table, const char *head, bool right)
{
        table->heads[table->columns] = head;
        table->right[table->columns++] = right;
}

void table_spare(struct table *table, int order)
{
        table->spare[table->columns - 1] = order;
}

void table_note(struct table *table, char *text)
{
        table->notes[table->rows - 1] = words_printable(text);
        free(text);
}

void table_cell(struct table *table, char *text)
{
        size_t count = table->rows * table->columns;
        size_t filled = count;
        while (filled > 0 && !table->cells[filled - 1])
                filled--;
        if (filled == count) {
                table->cells = alloc_resize(table->cells, count + table->columns, sizeof(*table->cells));
                memset(table->cells + count, 0, table->columns * sizeof(*table->cells));
                table->notes = alloc_resize(table->notes, table->rows + 1, sizeof(*table->notes));
                table->notes[table->rows] = NULL;
                table->rows++;
        }
        table->cells[filled] = words_printable(text);
        free(text);
}

static void spaces(FILE *out, size_t count)
{
        for (size_t i = 0; i < count; i++)
                fputc(' ', out);
}

static void write_begin(FILE *out, const char *cell, size_t room, const char *cut)
{
        size_t length = 0;
        for (size_t width = 0; width < room; length++)
                width += (cell[length + 1] & 0xc0) != 0x80;
        fprintf(out, "%.*s%s", (int)length, cell, cut);
}

static void write_last(FILE *out, const char *cell, size_t room, bool cut_end)
{
        size_t width = words_width(cell);
        if (width <= room) {
                fputs(cell, out);
                return;
        }
        const char *cut = terminal_ellipsis();
        room -= words_width(cut);
        if (cut_end) {
                write_begin(out, cell, room, cut);
                return;
        }
        for (; width > room; cell++)
                width -= (*cell & 0xc0) != 0x80;
        while ((*cell & 0xc0) == 0x80)
                cell++;
        fprintf(out, "%s%s", cut, cell);
}

static void write_row(const struct table *table, FILE *out, char *const *cells, const size_t *widths, size_t room,
                      bool dim)
{
        spaces(out, INDENT);
        fputs(dim ? "\033[2m" : "", out);
        for (size_t i = 0; i < table->columns; i++) {
                if (table->spare[i] < 0)
                        continue;
                size_t width = cells[i] ? words_width(cells[i]) : 0;
                size_t padding = widths[i] > width ? widths[i] - width : 0;
                bool last = i + 1 == table->columns;
                if (table->right[i])
                        spaces(out, padding);
                if (cells[i] && last)
                        write_last(out, cells[i], room, table->cut_end);
                else if (cells[i])
                        fputs(cells[i], out);
                if (!table->right[i] && !last)
                        spaces(out, padding);
                if (!last)
                        spaces(out, GAP);
        }
        fputs(dim ? "\033[0m\n" : "\n", out);
}

/* Leave out what can be spared until there is room for the last column. Returns the room. */
static size_t make_room(struct table *table, unsigned width, const size_t widths[static TABLE_COLUMNS], size_t used)
{
        if (width == 0)
                return SIZE_MAX;
        size_t wanted = widths[table->columns - 1] < GOOD_LAST ? widths[table->columns - 1] : GOOD_LAST;
        while (width < used + wanted) {
                size_t most = 0;
                for (size_t i = 1; i < table->columns; i++)
                        if (table->spare[i] > table->spare[most])
                                most = i;
                if (table->spare[most] <= 0)
                        break;
                table->spare[most] = -1;
                used -= widths[most] + GAP;
        }
        return width > used + LEAST_LAST ? width - used : LEAST_LAST;
}

/* The width of each column; returns what is left for the last one. */
static size_t measure(struct table *table, unsigned width, size_t widths[static TABLE_COLUMNS])
{
        size_t used = INDENT;
        for (size_t i = 0; i < table->columns; i++) {
                widths[i] = words_width(table->heads[i]);
                for (size_t row = 0; row < table->rows; row++) {
                        const char *cell = table->cells[row * table->columns + i];
                        size_t size = cell ? words_width(cell) : 0;
                        widths[i] = size > widths[i] ? size : widths[i];
                }
                used += i + 1 < table->columns ? widths[i] + GAP : 0;
        }
        return make_room(table, width, widths, used);
}

void table_write(struct table *table, FILE *out, unsigned width, bool colour)
{
        size_t widths[TABLE_COLUMNS] = { 0 };
        char *heads[TABLE_COLUMNS];
        size_t room = measure(table, width, widths);
        for (size_t i = 0; i < table->columns; i++)
                heads[i] = (char *)table->heads[i];
        write_row(table, out, heads, widths, room, colour);
        for (size_t row = 0; row < table->rows; row++) {
                write_row(table, out, table->cells + row * table->columns, widths, room, false);
                const struct wrapping wrapping = { .indent = NOTE_INDENT, .width = width, .dim = colour };
                if (table->notes[row])
                        wrap_write(out, table->notes[row], &wrapping);
                free(table->notes[row]);
        }
        free(table->notes);
        for (size_t i = 0; i < table->rows * table->columns; i++)
                free(table->cells[i]);
        free(table->cells);
        *table = (struct table){ 0 };
}
