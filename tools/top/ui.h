/* SPDX-License-Identifier: Apache-2.0
 *
 * ui.h - what keys do to what `top` shows
 *
 * Pure: no terminal is needed to test it.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_UI_H
#define LOOPDOG_TOP_UI_H

#include "top/rows.h"

/* Keys besides characters, which are their code points. */
enum ui_key {
        UI_KEY_UP = 0x110000,
        UI_KEY_DOWN,
        UI_KEY_LEFT,
        UI_KEY_RIGHT,
        UI_KEY_PAGE_UP,
        UI_KEY_PAGE_DOWN,
        UI_KEY_HOME,
        UI_KEY_END,
        UI_KEY_TAB,
        UI_KEY_ENTER,
        UI_KEY_ESCAPE,
        UI_KEY_BACKSPACE,
        UI_KEY_HELP,
        UI_KEY_REDRAW,
};

enum ui_mode {
        UI_TABLES,
        UI_STALL, /* one stall is open */
        UI_HELP,
        UI_FILTER, /* the tables, while a filter is typed */
};

/* All zero: the tables, all rows, the worst first. */
struct ui {
        enum ui_mode mode;
        struct rows_view view;
        enum rows_pane focus;
        size_t selected[ROWS_PANES];    /* row, */
        const void *chosen[ROWS_PANES]; /* and what it stands for: it stays the same when the order changes; NULL: */
        uint64_t chosen_id[ROWS_PANES]; /* of a process: its stall in progress; else 0 */
        bool moved[ROWS_PANES];         /* nobody has moved yet, so the first row is what stands first */
        size_t first[ROWS_PANES];       /* the first row on the screen */
        size_t scroll;                  /* of the stall or the help: its first line on the screen */
        char filter_before[ROWS_FILTER_BYTES];
        bool paused;
        bool quit;
        const char *message; /* until the next key; NULL */
};

/* How much fits at present. */
struct ui_room {
        size_t rows[ROWS_PANES]; /* of each table on the screen */
        bool gap;                /* there is a line between the tables */
        size_t lines;            /* of the stall or the help on the screen, */
        size_t text_lines;       /* and how many there are */
};

/* What a key asks of its caller. */
enum ui_wish {
        UI_NOTHING,
        UI_OPEN,   /* the selected stall is to be watched; the mode has changed already */
        UI_REDRAW, /* all of the screen */
};

/* Divide so many lines of a screen: two for the head, one below, the rest for both tables and their heads. A table
 * gets half of it, and what the other one leaves. On a small screen the pane with the focus gets it all. */
void ui_layout(const struct ui *ui, size_t lines, const struct rows rows[static ROWS_PANES], struct ui_room *room);

enum ui_wish ui_key(struct ui *ui, uint32_t key, const struct rows rows[static ROWS_PANES], const struct ui_room *room);

/* The rows are new: select what was selected before, and keep it on the screen. */
void ui_settle(struct ui *ui, const struct rows rows[static ROWS_PANES], const struct ui_room *room);

/* The row that is selected in the pane with the focus; NULL where there is none. */
const struct row *ui_selected(const struct ui *ui, const struct rows rows[static ROWS_PANES]);

#endif
