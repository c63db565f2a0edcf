/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - rows and columns of text
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_TABLE_H
#define LOOPDOG_RENDER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS 10

struct table {
        const char *heads[TABLE_COLUMNS];
        bool right[TABLE_COLUMNS]; /* aligned to the right: numbers */
        int spare[TABLE_COLUMNS];  /* left out where there is no room, the greatest first; 0: never */
        size_t columns;
        bool cut_end; /* the last column is cut at its right and not at its left */
        char **cells; /* rows of `columns` each */
        char **notes; /* one for each row; NULL: none */
        size_t rows;
};

/* Add a column before the first row. */
void table_column(struct table *table, const char *head, bool right);

/* The column that was added last may be left out on a narrow terminal; of several the one with the greatest `order` (1
 * or more) first. */
void table_spare(struct table *table, int order);

/* Below the row that was begun last: a sentence, wrapped at the terminal's width. The table takes `text`. */
void table_note(struct table *table, char *text);

/* Add the next cell; the table takes `text`, which came from malloc. Shown safely whatever is in it. */
void table_cell(struct table *table, char *text);

/* Write the table with its heads, two spaces between columns, and empty it. Where a row is wider than `width` (0:
 * unlimited), columns that can be spared are left out, and then the last one is cut at its left, where paths say
 * least, or at its right. */
void table_write(struct table *table, FILE *out, unsigned width, bool colour);

#endif
