/* SPDX-License-Identifier: Apache-2.0
 *
 * fill_evidence.c - what a stall waited for and what it served, into its record
 *
 * Context: watchdog
 */
#include <sys/epoll.h>

#include "record/fill.h"

#define EVENTS_BYTES 48

/* What the record borrows until it is written. */
static struct {
        struct record_fd waits_for[LIMIT_WAITED];
        char waits_for_events[LIMIT_WAITED][EVENTS_BYTES];
        struct record_fd ready[LIMIT_SERVED];
        char ready_events[LIMIT_SERVED][EVENTS_BYTES];
        struct record_holder holders[LIMIT_HOLDERS];
} made;

/* poll's bits are the same as far as they go. */
static void put_events(struct text *text, uint32_t events)
{
        static const struct {
                uint32_t bit;
                const char *name;
        } names[] = { { EPOLLIN, "in" },   { EPOLLPRI, "pri" }, { EPOLLOUT, "out" },
                      { EPOLLERR, "err" }, { EPOLLHUP, "hup" }, { EPOLLRDHUP, "rdhup" } };
        text_clear(text);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                if (!(events & names[i].bit))
                        continue;
                text_string(text, text->length != 0 ? "," : "");
                text_string(text, names[i].name);
        }
}

static void fill_fds(struct record_fd *filled, char (*events)[EVENTS_BYTES], const struct evidence_fd *fds,
                     uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                struct text text = TEXT_IN(events[i]);
                put_events(&text, fds[i].events);
                filled[i] = (struct record_fd){ .fd = fds[i].fd, .what = fds[i].what, .events = events[i] };
        }
}

static void fill_waited(struct record_detail *detail, const struct evidence *evidence)
{
        detail->fd_known = evidence->fd_known;
        detail->fd = evidence->file.fd;
        detail->what = evidence->what;
        detail->address = evidence->address;
        detail->device = evidence->device;
        detail->wchan = evidence->wchan;
        detail->timeout_ns = evidence->timeout_ns;
        detail->left_ns = evidence->left_ns;
        fill_fds(made.waits_for, made.waits_for_events, evidence->waits_for, evidence->waits_for_count);
        detail->waits_for = made.waits_for;
        detail->waits_for_count = evidence->waits_for_count;
        detail->waits_for_more = evidence->waits_for_more;
        for (uint32_t i = 0; i < evidence->holders_confirmed; i++) {
                const struct evidence_holder *holder = &evidence->holders[i];
                made.holders[i] = (struct record_holder){ holder->role, holder->pid, holder->name, holder->command };
        }
        detail->held_by = made.holders;
        detail->held_by_count = evidence->holders_confirmed;
}

/* Numbers beyond 2^53 are no numbers in JSON; no file is as long. */
static void fill_memory(struct record_detail *detail, const struct fault_memory *memory)
{
        detail->what = memory->what;
        detail->device = memory->device;
        detail->wchan = memory->channel;
        detail->file_offset = memory->offset < 1ull << 53 ? memory->offset : 0;
        detail->reason = memory->loss;
}

void fill_evidence(struct record_stall *stall, const struct explained *explained)
{
        const struct served *served = explained->served;
        if (explained->evidence != NULL)
                fill_waited(&stall->detail, explained->evidence);
        if (explained->memory != NULL)
                fill_memory(&stall->detail, explained->memory);
        if (served == NULL)
                return;
        fill_fds(made.ready, made.ready_events, served->events, served->count);
        stall->ready = made.ready;
        stall->ready_count = served->count;
        stall->ready_more = served->more;
        stall->ready_before = served->count != 0 ? served->before : 0;
        stall->ready_loss = served->loss;
}
