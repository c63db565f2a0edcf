/* SPDX-License-Identifier: Apache-2.0
 *
 * ui.c - what keys do to what `top` shows
 *
 * Context: reader
 */
#include "top/ui.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------------------- selection */

static const void *identity(const struct row *row)
{
        return row->open ? (const void *)row->process : row->loop ? (const void *)row->loop : row->culprit;
}

/* Which of the stalls that a process has in progress; their own memory moves when another one ends. */
static uint64_t identity_id(const struct row *row)
{
        return row->open ? row->open->id : 0;
}

static bool is_chosen(const struct ui *ui, enum rows_pane pane, const struct row *row)
{
        return ui->moved[pane] && identity(row) == ui->chosen[pane] && identity_id(row) == ui->chosen_id[pane];
}

static void keep_in_sight(struct ui *ui, enum rows_pane pane, size_t count, size_t room)
{
        size_t *first = &ui->first[pane];
        size_t selected = ui->selected[pane];
        if (room == 0)
                room = 1;
        if (selected < *first)
                *first = selected;
        if (selected >= *first + room)
                *first = selected - room + 1;
        if (*first + room > count) /* no empty lines at the end */
                *first = count > room ? count - room : 0;
}

void ui_settle(struct ui *ui, const struct rows rows[static ROWS_PANES], const struct ui_room *room)
{
        for (enum rows_pane pane = 0; pane < ROWS_PANES; pane++) {
                size_t count = rows[pane].count;
                size_t *selected = &ui->selected[pane];
                for (size_t i = 0; i < count; i++)
                        if (is_chosen(ui, pane, &rows[pane].items[i])) {
                                *selected = i;
                                break;
                        }
                if (!ui->moved[pane])
                        *selected = 0;
                if (*selected >= count)
                        *selected = count > 0 ? count - 1 : 0;
                keep_in_sight(ui, pane, count, room->rows[pane]);
        }
}

static void select_row(struct ui *ui, const struct rows rows[static ROWS_PANES], size_t to)
{
        const struct rows *list = &rows[ui->focus];
        if (list->count == 0)
                return;
        to = to < list->count ? to : list->count - 1;
        ui->selected[ui->focus] = to;
        ui->chosen[ui->focus] = identity(&list->items[to]);
        ui->chosen_id[ui->focus] = identity_id(&list->items[to]);
        ui->moved[ui->focus] = true;
}

const struct row *ui_selected(const struct ui *ui, const struct rows rows[static ROWS_PANES])
{
        const struct rows *list = &rows[ui->focus];
        return ui->selected[ui->focus] < list->count ? &list->items[ui->selected[ui->focus]] : NULL;
}

/* Where a key that moves leads from `at`, of `count` with `page` of them on the screen. False: it does not move. */
static bool move(uint32_t key, size_t at, size_t count, size_t page, size_t *to)
{
        size_t last = count > 0 ? count - 1 : 0;
        page = page > 1 ? page - 1 : 1;
        switch (key) {
        case UI_KEY_UP:
        case 'k':
                *to = at > 0 ? at - 1 : 0;
                return true;
        case UI_KEY_DOWN:
        case 'j':
                *to = at < last ? at + 1 : last;
                return true;
        case UI_KEY_PAGE_UP:
                *to = at > page ? at - page : 0;
                return true;
        case UI_KEY_PAGE_DOWN:
        case ' ':
                *to = at + page < last ? at + page : last;
                return true;
        case UI_KEY_HOME:
        case 'g':
                *to = 0;
                return true;
        case UI_KEY_END:
        case 'G':
                *to = last;
                return true;
        default:
                return false;
        }
}

/* ---------------------------------------------------------------------------------------------------------- layout */

#define AROUND_LINES 3 /* two above, one below */
#define BOTH_LINES 6   /* for both tables */
#define GAP_LINES 16   /* and with a line between them */

void ui_layout(const struct ui *ui, size_t lines, const struct rows rows[static ROWS_PANES], struct ui_room *room)
{
        size_t body = lines > AROUND_LINES ? lines - AROUND_LINES : 0;
        size_t loops = rows[ROWS_LOOPS].count;
        size_t stalls = rows[ROWS_STALLS].count;
        room->lines = lines > 1 ? lines - 1 : 0;
        room->gap = body >= GAP_LINES;
        if (body < BOTH_LINES) {
                room->rows[ui->focus] = body > 0 ? body - 1 : 0;
                room->rows[!ui->focus] = 0;
                return;
        }
        size_t rest = body - 2 - room->gap;
        size_t half = rest / 2;
        size_t left = rest > stalls ? rest - stalls : 0; /* by the stalls */
        size_t most = left > half ? left : half;
        room->rows[ROWS_LOOPS] = loops < most ? loops : most;
        room->rows[ROWS_STALLS] = rest - room->rows[ROWS_LOOPS];
}

/* ---------------------------------------------------------------------------------------------------------- tables */

static void sort_by_next(struct ui *ui, int step)
{
        int orders = ui->focus == ROWS_LOOPS ? LOOPS_ORDERS : STALLS_ORDERS;
        int *order = &ui->view.order[ui->focus];
        *order = (*order + orders + step) % orders;
        ui->view.reversed[ui->focus] = false;
        ui->moved[ui->focus] = false;
}

static enum ui_wish open_selected(struct ui *ui, const struct rows rows[static ROWS_PANES])
{
        const struct row *row = ui_selected(ui, rows);
        if (!row)
                return UI_NOTHING;
        if (row->loop && row->loop->stalling_ns == 0) {
                ui->message = "this loop does not stall now; Tab leads to the stalls";
                return UI_NOTHING;
        }
        ui->mode = UI_STALL;
        ui->scroll = 0;
        return UI_OPEN;
}

static enum ui_wish table_key(struct ui *ui, uint32_t key, const struct rows rows[static ROWS_PANES],
                              const struct ui_room *room)
{
        size_t to;
        if (move(key, ui->selected[ui->focus], rows[ui->focus].count, room->rows[ui->focus], &to)) {
                select_row(ui, rows, to);
                return UI_NOTHING;
        }
        switch (key) {
        case UI_KEY_TAB:
                ui->focus = ui->focus == ROWS_LOOPS ? ROWS_STALLS : ROWS_LOOPS;
                return UI_NOTHING;
        case UI_KEY_ENTER:
                return open_selected(ui, rows);
        case UI_KEY_RIGHT:
        case 's':
        case '>':
                sort_by_next(ui, 1);
                return UI_NOTHING;
        case UI_KEY_LEFT:
        case 'S':
        case '<':
                sort_by_next(ui, -1);
                return UI_NOTHING;
        case 'r':
        case 'I':
                ui->view.reversed[ui->focus] = !ui->view.reversed[ui->focus];
                return UI_NOTHING;
        case '/':
        case '\\':
                memcpy(ui->filter_before, ui->view.filter, sizeof(ui->filter_before));
                ui->mode = UI_FILTER;
                return UI_NOTHING;
        case UI_KEY_ESCAPE:
                ui->view.filter[0] = '\0';
                return UI_NOTHING;
        case 'q':
        case 'Q':
                ui->quit = true;
                return UI_NOTHING;
        default:
                ui->message = "no such key; ? lists them";
                return UI_NOTHING;
        }
}

/* ---------------------------------------------------------------------------------------------------------- filter */

static void filter_add(char filter[static ROWS_FILTER_BYTES], uint32_t character)
{
        char bytes[5] = { 0 };
        if (character < 0x80) {
                bytes[0] = (char)character;
        } else if (character < 0x800) {
                bytes[0] = (char)(0xc0 | character >> 6);
                bytes[1] = (char)(0x80 | (character & 0x3f));
        } else if (character < 0x10000) {
                bytes[0] = (char)(0xe0 | character >> 12);
                bytes[1] = (char)(0x80 | (character >> 6 & 0x3f));
                bytes[2] = (char)(0x80 | (character & 0x3f));
        } else {
                bytes[0] = (char)(0xf0 | character >> 18);
                bytes[1] = (char)(0x80 | (character >> 12 & 0x3f));
                bytes[2] = (char)(0x80 | (character >> 6 & 0x3f));
                bytes[3] = (char)(0x80 | (character & 0x3f));
        }
        if (strlen(filter) + strlen(bytes) < ROWS_FILTER_BYTES)
                strcat(filter, bytes);
}

/* The last character, with all of its bytes. */
static void filter_remove(char *filter)
{
        size_t length = strlen(filter);
        while (length > 0 && (filter[length - 1] & 0xc0) == 0x80)
                length--;
        if (length > 0)
                filter[length - 1] = '\0';
}

/* The rows follow each character. */
static void filter_key(struct ui *ui, uint32_t key)
{
        switch (key) {
        case UI_KEY_ENTER:
                ui->mode = UI_TABLES;
                return;
        case UI_KEY_ESCAPE:
                memcpy(ui->view.filter, ui->filter_before, sizeof(ui->filter_before));
                ui->mode = UI_TABLES;
                return;
        case UI_KEY_BACKSPACE:
                filter_remove(ui->view.filter);
                return;
        case 'U' - '@': /* Ctrl-U, as in a shell */
                ui->view.filter[0] = '\0';
                return;
        default:
                if (key >= ' ' && key != 0x7f && key < UI_KEY_UP)
                        filter_add(ui->view.filter, key);
        }
}

/* ------------------------------------------------------------------------------------------------------------- all */

/* The stall that is open, or the help: it scrolls, and most other keys lead back. */
static void text_key(struct ui *ui, uint32_t key, const struct ui_room *room)
{
        size_t steps = room->text_lines > room->lines ? room->text_lines - room->lines + 1 : 1;
        bool back = key == 'q' || key == UI_KEY_ESCAPE || key == UI_KEY_ENTER || key == UI_KEY_LEFT ||
                    key == UI_KEY_BACKSPACE;
        if (back) {
                ui->mode = UI_TABLES;
                ui->scroll = 0;
                return;
        }
        if (!move(key, ui->scroll, steps, room->lines, &ui->scroll))
                ui->message = "q leads back";
}

enum ui_wish ui_key(struct ui *ui, uint32_t key, const struct rows rows[static ROWS_PANES], const struct ui_room *room)
{
        ui->message = NULL;
        if (key == UI_KEY_REDRAW)
                return UI_REDRAW;
        if (ui->mode == UI_FILTER) {
                filter_key(ui, key);
                return UI_NOTHING;
        }
        if (key == 'p' || key == 'P') {
                ui->paused = !ui->paused;
                return UI_NOTHING;
        }
        if (key == '?' || key == 'h' || key == UI_KEY_HELP) {
                ui->mode = ui->mode == UI_HELP ? UI_TABLES : UI_HELP;
                ui->scroll = 0;
                return UI_NOTHING;
        }
        if (ui->mode != UI_TABLES) {
                text_key(ui, key, room);
                return UI_NOTHING;
        }
        return table_key(ui, key, rows, room);
}
