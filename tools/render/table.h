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
        size_t columns;
        char **cells; /* rows of `columns` each */
        size_t rows;
};

/* Add a column before the first row. */
void table_column(struct table *table, const char *head, bool right);

/* Add the next cell; the table takes `text`, which came from malloc. Shown safely whatever is in it. */
void table_cell(struct table *table, char *text);

/* Write the table with its heads, two spaces between columns, and empty it. Where a row is wider than `width` (0:
 * unlimited), the last column is cut at its left, where paths say least. */
void table_write(struct table *table, FILE *out, unsigned width, bool colour);

#endif
