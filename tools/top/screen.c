/* SPDX-License-Identifier: Apache-2.0
 *
 * screen.c - the terminal of `loopdog top`
 *
 * Every line is written whole at each frame; ncurses sends what has changed, which is little: it works over a slow
 * connection. Signals are the main loop's: ncurses gets none.
 *
 * Context: reader; crashed() in a signal handler
 */
#include "top/screen.h"

#include <fcntl.h>
#include <ncurses.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "say.h"
#include "top/paint.h"

#define ESCAPE_DELAY_MS 50 /* between the bytes of a key that sends several */
#define KEYS_BYTES 512

static struct {
        SCREEN *terminal;
        FILE *keys;
        bool on;
        struct termios before; /* the terminal's own modes, */
        bool before_known;
        char leave[128]; /* and what gives it its other screen back */
} screen;

/* -------------------------------------------------------------------------------------------------- begin and end */

static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

/* What is said of the crash must be readable. */
static void crashed(int number)
{
        if (screen.on && screen.before_known)
                tcsetattr(STDOUT_FILENO, TCSANOW, &screen.before);
        if (screen.on && write(STDOUT_FILENO, screen.leave, strlen(screen.leave)) < 0)
                _exit(1);
        signal(number, SIG_DFL);
        raise(number);
}

static void prepare_for_crash(void)
{
        const char *shown = tigetstr("cnorm");
        const char *leave = tigetstr("rmcup");
        bool known = shown && shown != (char *)-1 && leave && leave != (char *)-1;
        if (known)
                snprintf(screen.leave, sizeof(screen.leave), "%s%s", leave, shown);
        for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
                signal(crashes[i], crashed);
}

/* Where records come from stdin, keys come from the terminal itself. */
static FILE *open_keys(void)
{
        return isatty(STDIN_FILENO) ? stdin : fopen("/dev/tty", "re");
}

static bool is_usable(void)
{
        const char *name = getenv("TERM");
        if (!isatty(STDOUT_FILENO))
                say("standard output is no terminal: \"loopdog top --batch\" writes plain text");
        else if (!name || !name[0] || strcmp(name, "dumb") == 0)
                say("TERM=%s: this terminal can't show a screen: \"loopdog top --batch\" writes plain text",
                    name ? name : "");
        else
                return true;
        return false;
}

bool screen_begin(bool colour)
{
        if (!is_usable())
                return false;
        screen.before_known = tcgetattr(STDOUT_FILENO, &screen.before) == 0;
        screen.keys = open_keys();
        screen.terminal = screen.keys ? newterm(NULL, stdout, screen.keys) : NULL;
        if (!screen.terminal) {
                say("TERM=%s: this terminal is not known here: try TERM=xterm, or \"loopdog top --batch\"",
                    getenv("TERM"));
                return false;
        }
        prepare_for_crash();
        screen.on = true;
        atexit(screen_end);
        set_term(screen.terminal);
        set_escdelay(ESCAPE_DELAY_MS);
        cbreak();
        noecho();
        nonl();
        curs_set(0);
        keypad(stdscr, TRUE);
        nodelay(stdscr, TRUE);
        paint_setup(colour);
        return true;
}

void screen_end(void)
{
        if (!screen.on)
                return;
        screen.on = false;
        endwin();
}

void screen_leave(void)
{
        def_prog_mode();
        endwin();
}

void screen_return(void)
{
        reset_prog_mode();
        screen_resize();
        screen_redraw();
}

void screen_redraw(void)
{
        clearok(curscr, TRUE);
        wrefresh(curscr);
}

void screen_resize(void)
{
        struct winsize size;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
                resizeterm(size.ws_row, size.ws_col);
        erase();
        clearok(stdscr, TRUE);
}

unsigned screen_columns(void)
{
        return (unsigned)COLS;
}

unsigned screen_lines(void)
{
        return (unsigned)LINES;
}

/* ------------------------------------------------------------------------------------------------------------ keys */

int screen_descriptor(void)
{
        return fileno(screen.keys);
}

static uint32_t special(wint_t code)
{
        static const struct {
                wint_t code;
                uint32_t key;
        } keys[] = {
                { KEY_UP, UI_KEY_UP },
                { KEY_DOWN, UI_KEY_DOWN },
                { KEY_LEFT, UI_KEY_LEFT },
                { KEY_RIGHT, UI_KEY_RIGHT },
                { KEY_PPAGE, UI_KEY_PAGE_UP },
                { KEY_NPAGE, UI_KEY_PAGE_DOWN },
                { KEY_HOME, UI_KEY_HOME },
                { KEY_END, UI_KEY_END },
                { KEY_ENTER, UI_KEY_ENTER },
                { KEY_BACKSPACE, UI_KEY_BACKSPACE },
                { KEY_BTAB, UI_KEY_TAB },
                { KEY_F(1), UI_KEY_HELP },
                { KEY_F(4), '/' },
                { KEY_F(6), 's' },
                { KEY_F(10), 'q' },
        };
        for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
                if (keys[i].code == code)
                        return keys[i].key;
        return 0;
}

static uint32_t plain(wint_t character)
{
        switch (character) {
        case '\r':
        case '\n':
                return UI_KEY_ENTER;
        case '\t':
                return UI_KEY_TAB;
        case 0x1b:
                return UI_KEY_ESCAPE;
        case 0x08:
        case 0x7f:
                return UI_KEY_BACKSPACE;
        case 'L' - '@':
                return UI_KEY_REDRAW;
        default:
                return character;
        }
}

bool screen_key(uint32_t *key)
{
        wint_t code;
        int kind = get_wch(&code);
        if (kind == ERR)
                return false;
        *key = kind == KEY_CODE_YES ? special(code) : plain(code);
        return *key != 0 || screen_key(key);
}

/* --------------------------------------------------------------------------------------------------------- drawing */

/* The next line of a text; false behind the last. */
static bool next_line(const char **text, const char **line, size_t *length)
{
        if (!**text)
                return false;
        *line = *text;
        *length = strcspn(*text, "\n");
        *text += *length + ((*text)[*length] == '\n');
        return true;
}

static int paint_table(int y, const struct ui *ui, const struct ui_room *room, const struct frame *frame,
                       enum rows_pane pane)
{
        const struct rows *rows = &frame->rows[pane];
        const char *line;
        char *text;
        size_t length;
        size_t size;
        size_t at = ui->first[pane];
        int end = y + 1 + (int)room->rows[pane];
        FILE *out = open_memstream(&text, &size);
        if (!out)
                return end;
        frame_table(frame, pane, at, room->rows[pane], out);
        fclose(out);
        const char *rest = text;
        if (next_line(&rest, &line, &length))
                paint_line(y++, 0, line, length, pane == ui->focus ? PAINT_FOCUS : PAINT_HEAD, false);
        for (; at < rows->count && y < end && next_line(&rest, &line, &length); at++) {
                static const enum paint paints[] = {
                        [FRAME_ROW_PLAIN] = PAINT_PLAIN, [FRAME_ROW_STALLING] = PAINT_BAD, [FRAME_ROW_OVER] = PAINT_DIM
                };
                bool selected = pane == ui->focus && at == ui->selected[pane];
                paint_line(y++, 0, line, length, paints[frame_row(&rows->items[at])], selected);
        }
        while (y < end)
                paint_empty(y++);
        free(text);
        return end;
}

/* At the right end of the first line: what makes that not all is shown. */
static void paint_state(const struct ui *ui)
{
        char state[ROWS_FILTER_BYTES + 64];
        snprintf(state, sizeof(state), "%s%s%s", ui->view.filter[0] ? " /" : "", ui->view.filter,
                 ui->paused           ? " PAUSED "
                 : ui->view.filter[0] ? " "
                                      : "");
        int width = (int)strlen(state);
        if (state[0] && width < COLS)
                paint_line(0, COLS - width, state, strlen(state), PAINT_KEYS, false);
}

static void paint_head(const struct ui *ui, const struct frame *frame)
{
        const char *line;
        char *text;
        size_t length;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        if (!out)
                return;
        frame_head(frame, out);
        fclose(out);
        const char *rest = text;
        bool open = top_model_open(frame->model) > 0;
        for (int y = 0; y < LINES - 1 && next_line(&rest, &line, &length); y++)
                paint_line(y, 0, line, length, y == 0 ? PAINT_BOLD : open ? PAINT_BAD : PAINT_PLAIN, false);
        free(text);
        paint_state(ui);
}

static void paint_tables(const struct ui *ui, const struct ui_room *room, const struct frame *frame)
{
        int y = 2;
        paint_head(ui, frame);
        for (enum rows_pane pane = 0; pane < ROWS_PANES; pane++) {
                if (room->rows[pane] > 0 || pane == ui->focus)
                        y = paint_table(y, ui, room, frame, pane);
                if (pane == ROWS_LOOPS && room->gap)
                        paint_empty(y++);
        }
        while (y < LINES - 1)
                paint_empty(y++);
}

static void paint_text(const struct ui *ui, const char *text)
{
        const char *line;
        size_t length;
        int y = 0;
        for (size_t at = 0; y < LINES - 1 && next_line(&text, &line, &length); at++)
                if (at >= ui->scroll)
                        paint_line(y++, 0, line, length, PAINT_PLAIN, false);
        while (y < LINES - 1)
                paint_empty(y++);
        if (ui->paused)
                paint_state(&(struct ui){ .paused = true });
}

/* The line at the bottom: a message, what is being typed, or the keys. */
static void paint_bottom(const struct ui *ui, const char *note)
{
        char keys[KEYS_BYTES];
        if (LINES < 2)
                return;
        if (ui->mode == UI_FILTER)
                snprintf(keys, sizeof(keys), "filter: %s_   Enter keeps it, Esc gives it up", ui->view.filter);
        else if (ui->message || note)
                snprintf(keys, sizeof(keys), "%s", ui->message ? ui->message : note);
        else if (ui->mode == UI_TABLES)
                snprintf(keys, sizeof(keys), "q quit  Enter open  Tab table  s sort:%s  / filter  p %s  ? help",
                         rows_order_name(ui->focus, ui->view.order[ui->focus]), ui->paused ? "go on" : "pause");
        else
                snprintf(keys, sizeof(keys), "q back  arrows scroll  p pause");
        paint_line(LINES - 1, 0, keys, strlen(keys), PAINT_KEYS, false);
}

void screen_draw(const struct ui *ui, const struct ui_room *room, const struct frame *frame, const char *text,
                 const char *note)
{
        if (text)
                paint_text(ui, text);
        else
                paint_tables(ui, room, frame);
        paint_bottom(ui, note);
        refresh();
}

const char *screen_help(void)
{
        return "loopdog top: loops and their stalls as they happen\n"
               "\n"
               "  q, F10          quit; in a stall or here: back\n"
               "  up, down, k, j  select a row; PgUp, PgDn, Home, End, g, G\n"
               "  Tab             the other table: loops, stalls\n"
               "  Enter           open the stall: its stacks, what it served, why, what to do\n"
               "  right, s, >, F6 sort by the next column; left, S, < by the one before\n"
               "  r               reverse the order\n"
               "  /, F4           show only rows with a text in their names; Esc: all again\n"
               "  p               pause: what is written meanwhile is read afterwards\n"
               "  Ctrl-L          draw everything again\n"
               "\n"
               "Loops\n"
               "  busy     share of the time in callbacks, between the loop's last two records;\n"
               "           STALL: it stalls now, idle: it rests, ended: its process has ended,\n"
               "           gone: it died without a word, silent: on another machine, and\n"
               "           nothing was heard of it for long\n"
               "  lag      how long an event has to wait: the longest iteration in that time,\n"
               "           or for how long it has been stalling now\n"
               "  p99      99 of 100 iterations were at most this long, since the loop began\n"
               "  told     how old these numbers are: records come every second while this\n"
               "           runs, and none while a loop rests\n"
               "\n"
               "Stalls: those in progress first, as they grow; then by culprit what has been\n"
               "  lost     time in which loops did not run\n"
               "  last     when it last happened\n";
}
