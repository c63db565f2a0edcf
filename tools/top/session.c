/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - `loopdog top` from its first frame to its last
 *
 * One thread sleeps until a key, a signal, a record or the next frame. Records wake it at most five times a second;
 * when nothing happens it wakes up once a frame, to look for new processes and because time is part of what is shown.
 *
 * Context: reader
 */
#include "top/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "alloc.h"
#include "command.h"
#include "now.h"
#include "process.h"
#include "reading.h"
#include "say.h"
#include "top/detail.h"
#include "top/feed.h"
#include "top/fold_lines.h"
#include "top/notes.h"
#include "top/screen.h"

#define READ_EVERY_NS UINT64_C(200000000)
#define SILENT_NS UINT64_C(3600000000000)
#define REUSED_NS UINT64_C(2000000000) /* a process that began so much after its first record is another one */

struct session {
        const struct session_options *options;
        struct feed feed;
        struct top_model model;
        struct ui ui;
        struct ui_room room;
        struct rows rows[ROWS_PANES];
        uint64_t shown_ns; /* CLOCK_REALTIME of what is shown: it stands still in a pause */
        int signals;       /* signalfd; -1: they are as usual */
        int ended_by;      /* a signal; 0 */
};

/* --------------------------------------------------------------------------------------------------------- records */

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        struct session *session = context;
        session->model.pids = session->feed.pids; /* it grows while processes are named */
        session->model.pids_count = session->feed.pids_count;
        top_model_add(&session->model, &parsed->record, line, length);
}

static bool wants_stacks(void *context, const struct record *record)
{
        const struct session *session = context;
        return top_model_wants_stacks(&session->model, record);
}

static void opened(void *context, const char *name)
{
        const struct session *session = context;
        symbolizer_add_file(session->model.filter.symbolizer, name);
}

/* Of a process on another machine only its records tell. One that stalls for ever writes no more, and neither does one
 * that was killed: after SILENT_NS it is not said to stall any more. */
static enum top_state state_of(void *context, const struct top_process *process)
{
        const struct session *session = context;
        if (row_is_elsewhere(process))
                return session->shown_ns > process->last_ns + SILENT_NS ? TOP_SILENT : TOP_RUNS;
        if (process->pid <= 0 || session->feed.translated)
                return TOP_RUNS;
        bool gone = !process_is_alive(process->pid) || process_start_ns(process->pid) > process->first_ns + REUSED_NS;
        return gone ? TOP_GONE : TOP_RUNS;
}

static void update(struct session *session)
{
        if (session->ui.paused)
                return;
        feed_read(&session->feed);
        session->shown_ns = now_ns(CLOCK_REALTIME);
        top_model_tick(&session->model, session->shown_ns);
}

static bool begin(struct session *session)
{
        const struct session_options *options = session->options;
        session->model.filter = options->filter;
        session->model.state_of = state_of;
        session->model.context = session;
        session->feed.input =
                (struct input){ .take = take, .wants_stacks = wants_stacks, .opened = opened, .context = session };
        session->ui.view = options->view;
        session->ui.focus = ROWS_STALLS;
        return feed_open(&session->feed, options->names, options->names_count, true);
}

static void end(struct session *session)
{
        rows_free(session->rows);
        feed_close(&session->feed);
        top_model_free(&session->model);
        if (session->signals >= 0)
                close(session->signals);
}

static void make_rows(struct session *session)
{
        rows_free(session->rows);
        rows_make(session->rows, &session->model, &session->ui.view, session->shown_ns);
}

/* --------------------------------------------------------------------------------------------------------- waiting */

/* Milliseconds until `at`, rounded up. */
static int until_ms(uint64_t at)
{
        uint64_t now = now_ns(CLOCK_MONOTONIC);
        uint64_t ms = at > now ? (at - now + 999999) / 1000000 : 0;
        return ms < 60000 ? (int)ms : 60000;
}

/* Sleep until `wake_ns` (CLOCK_MONOTONIC), a key, a signal, or a record where `news` is wanted. */
static bool wait_for(struct session *session, uint64_t wake_ns, bool news)
{
        struct pollfd wanted[3] = {
                { .fd = session->options->batch ? -1 : screen_descriptor(), .events = POLLIN },
                { .fd = session->signals, .events = POLLIN },
                { .fd = news ? feed_descriptor(&session->feed) : -1, .events = POLLIN },
        };
        if (poll(wanted, 3, until_ms(wake_ns)) < 0 && errno != EINTR)
                return false;
        if (wanted[0].revents & (POLLHUP | POLLERR | POLLNVAL)) /* the connection is gone */
                session->ended_by = SIGHUP;
        return wanted[2].revents != 0;
}

/* ----------------------------------------------------------------------------------------------------------- batch */

static bool print_frame(struct session *session)
{
        const struct frame frame = { .model = &session->model,
                                     .view = &session->ui.view,
                                     .rows = session->rows,
                                     .now_ns = session->shown_ns,
                                     .columns = terminal_columns(STDOUT_FILENO) };
        make_rows(session);
        if (session->options->json)
                frame_json(&frame, stdout);
        else
                frame_text(&frame, stdout);
        return fflush(stdout) == 0;
}

static int run_batch(struct session *session)
{
        const struct session_options *options = session->options;
        uint64_t next_ns = now_ns(CLOCK_MONOTONIC);
        for (uint64_t printed = 0; options->frames == 0 || printed < options->frames;) {
                update(session);
                if (now_ns(CLOCK_MONOTONIC) >= next_ns || feed_is_over(&session->feed)) {
                        if (!print_frame(session) || feed_is_over(&session->feed))
                                break;
                        printed++;
                        next_ns += options->delay_ns;
                }
                if (printed == options->frames && options->frames > 0)
                        break;
                uint64_t quiet_ns = now_ns(CLOCK_MONOTONIC) + READ_EVERY_NS;
                if (wait_for(session, next_ns, true) && quiet_ns < next_ns)
                        wait_for(session, quiet_ns, false);
        }
        return stdout_finish();
}

/* --------------------------------------------------------------------------------------------------------- signals */

static int open_signals(void)
{
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH };
        sigset_t set;
        sigemptyset(&set);
        for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
                sigaddset(&set, numbers[i]);
        sigprocmask(SIG_BLOCK, &set, NULL);
        return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Do to ourselves what the signal would have done. */
static void suffer(int number)
{
        sigset_t set;
        sigset_t before;
        sigemptyset(&set);
        sigaddset(&set, number);
        signal(number, SIG_DFL);
        raise(number);
        sigprocmask(SIG_UNBLOCK, &set, &before);
        sigprocmask(SIG_SETMASK, &before, NULL);
}

static void handle_signal(struct session *session, int number)
{
        switch (number) {
        case SIGWINCH:
                screen_resize();
                break;
        case SIGTSTP:
                screen_leave();
                suffer(SIGTSTP);
                screen_return();
                break;
        case SIGCONT:
                screen_return();
                break;
        default:
                session->ended_by = number;
        }
}

static void handle_signals(struct session *session)
{
        struct signalfd_siginfo info;
        while (read(session->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
                handle_signal(session, (int)info.ssi_signo);
}

/* ---------------------------------------------------------------------------------------------------------- screen */

/* What stands on the screen instead of the tables, to be freed; NULL: they do. */
static char *make_text(const struct session *session)
{
        bool colour = terminal_colour(STDOUT_FILENO, session->options->colour);
        char *text = NULL;
        if (session->ui.mode == UI_STALL)
                text = detail_text(&session->model, session->shown_ns, screen_columns(), colour);
        else if (session->ui.mode == UI_HELP)
                text = alloc_string(screen_help());
        char *wrapped = text ? fold_lines(text, screen_columns()) : NULL;
        free(text);
        return wrapped;
}

static void draw(struct session *session)
{
        struct ui *ui = &session->ui;
        const struct frame frame = { .model = &session->model,
                                     .view = &ui->view,
                                     .rows = session->rows,
                                     .now_ns = session->shown_ns,
                                     .columns = screen_columns(),
                                     .screen = true };
        make_rows(session);
        char *text = make_text(session);
        session->room.text_lines = text ? count_lines(text) : 0;
        ui_layout(ui, screen_lines(), session->rows, &session->room);
        ui_settle(ui, session->rows, &session->room);
        screen_draw(ui, &session->room, &frame, text, notes_last());
        free(text);
}

/* The line of what is selected: a stall in progress, that of the loop, or a culprit's example. */
static const struct kept *line_of(const struct row *row)
{
        if (!row || row->culprit)
                return row ? &row->culprit->example : NULL;
        if (row->open)
                return &row->open->line;
        for (size_t i = 0; i < row->process->open_count; i++) {
                const struct top_open *open = &row->process->open[i];
                if (open->tid == row->loop->tid && strcmp(open->loop, row->loop->name) == 0)
                        return &open->line;
        }
        return NULL;
}

static void handle_keys(struct session *session)
{
        uint32_t key;
        while (!session->ui.quit && screen_key(&key)) {
                enum ui_wish wish = ui_key(&session->ui, key, session->rows, &session->room);
                const struct kept *line = wish == UI_OPEN ? line_of(ui_selected(&session->ui, session->rows)) : NULL;
                if (line)
                        top_model_watch(&session->model, line);
                else if (wish == UI_OPEN)
                        session->ui.mode = UI_TABLES;
                if (wish == UI_REDRAW)
                        screen_redraw();
                draw(session); /* the next key goes by what is on the screen */
        }
}

static void follow_screen(struct session *session)
{
        const struct session_options *options = session->options;
        uint64_t frame_ns = 0;
        uint64_t read_ns = 0;
        bool news = false;
        for (uint64_t shown = 0; !session->ui.quit && session->ended_by == 0;) {
                uint64_t now = now_ns(CLOCK_MONOTONIC);
                bool due = now >= frame_ns + options->delay_ns;
                if (due && options->frames > 0 && shown++ == options->frames)
                        break;
                if (due || (news && now >= read_ns + READ_EVERY_NS)) {
                        update(session);
                        read_ns = now;
                        news = false;
                }
                if (due)
                        frame_ns = now;
                draw(session);
                bool quick = news && read_ns + READ_EVERY_NS < frame_ns + options->delay_ns;
                bool wanted = !news && !session->ui.paused;
                news |= wait_for(session, quick ? read_ns + READ_EVERY_NS : frame_ns + options->delay_ns, wanted);
                handle_signals(session);
                handle_keys(session);
        }
}

static int run_screen(struct session *session)
{
        session->signals = open_signals();
        if (session->signals < 0) {
                say("signalfd: %s", strerror(errno));
                return EXIT_FAILED;
        }
        notes_begin();
        if (!screen_begin(terminal_colour(STDOUT_FILENO, session->options->colour))) {
                notes_end();
                return EXIT_USAGE;
        }
        follow_screen(session);
        screen_end();
        notes_end();
        if (session->ended_by != 0)
                suffer(session->ended_by);
        return EXIT_FINE;
}

int session_run(const struct session_options *options)
{
        struct session session = { .options = options, .signals = -1 };
        int code = EXIT_FAILED;
        if (begin(&session)) {
                update(&session);
                code = options->batch ? run_batch(&session) : run_screen(&session);
        }
        end(&session);
        return code;
}
