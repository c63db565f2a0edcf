/* SPDX-License-Identifier: Apache-2.0
 *
 * reasons.c - why it stalled and who else is to blame, as people read it
 *
 * Context: watchdog, reader
 */
#include "record/reasons.h"

#include <string.h>

#include "record/parts.h"

#define NAME_COLUMNS 60
#define CPU_SHARE 10 /* what took less than a tenth of the time is no news */

static void put_printable(struct text *text, const char *string, size_t length)
{
        char bytes[64];
        struct text part = TEXT_IN(bytes);
        text_bytes(&part, string, length);
        text_printable(text, bytes);
}

/* "a mutex", "an rwlock (to write), held by readers": what is wanted of it stands behind a comma. */
static void put_object(struct text *text, const char *object)
{
        const char *wanted = strchr(object, ',');
        if (strcmp(object, "GIL") == 0 || strcmp(object, "end of a thread") == 0)
                text_string(text, "the ");
        else
                text_string(text, strncmp(object, "rw", 2) == 0 || strchr("aeio", object[0]) ? "an " : "a ");
        put_printable(text, object, wanted ? (size_t)(wanted - object) : strlen(object));
        if (!wanted)
                return;
        wanted += strspn(wanted, ", ");
        text_string(text, " (");
        put_printable(text, wanted, strcspn(wanted, ","));
        text_char(text, ')');
        text_printable(text, strchr(wanted, ','));
}

/* The thread's name where the record has it: "worker (4250)". */
static void put_thread(struct text *text, const struct record_stall *stall, int32_t tid)
{
        const char *name = tid == stall->tid ? stall->thread : NULL;
        for (size_t i = 0; i < stall->others_count; i++)
                if (stall->others[i].tid == tid)
                        name = stall->others[i].thread;
        if (name && *name) {
                text_printable(text, name);
                text_format(text, " (%d)", tid);
        } else {
                text_format(text, "thread %d", tid);
        }
}

static void put_owner(struct text *text, const struct record_stall *stall, int32_t tid, const char *object)
{
        if (tid == 0)
                return;
        bool end = object && strcmp(object, "end of a thread") == 0;
        text_string(text, end ? ": " : " held by ");
        if (tid == stall->tid)
                text_string(text, "the stalled thread itself");
        else
                put_thread(text, stall, tid);
}

static const char *words_of(enum record_cause cause)
{
        switch (cause) {
        case RECORD_CPU:
                return "busy on the CPU";
        case RECORD_BLOCKED:
                return "blocked";
        case RECORD_LOCK:
                return "waiting for a lock";
        case RECORD_GIL:
                return "waiting for the GIL";
        case RECORD_PAGE_FAULT:
                return "waiting for memory (page faults)";
        case RECORD_STARVED:
                return "ready to run but without a CPU";
        case RECORD_SUSPENDED:
                return "stopped by a signal, a debugger or a pause of the machine";
        case RECORD_UNKNOWN:
                break;
        }
        return "cause unknown";
}

void reason_put_cause(struct text *text, const struct record_stall *stall)
{
        const struct record_detail *detail = &stall->detail;
        bool object = detail->object && *detail->object;
        if (stall->cause == RECORD_LOCK && object) {
                text_string(text, detail->deadlock ? "deadlock: waiting for " : "waiting for ");
                put_object(text, detail->object);
                put_owner(text, stall, detail->owner, detail->object);
                return;
        }
        if (stall->cause == RECORD_SUSPENDED && detail->reason) {
                text_printable(text, detail->reason);
                return;
        }
        text_string(text, words_of(stall->cause));
        if (stall->cause == RECORD_CPU && 2 * detail->delay_ns > stall->duration_ns)
                text_string(text, ", and waiting for it");
        if (stall->cause != RECORD_BLOCKED || !detail->call)
                return;
        text_string(text, " in ");
        text_printable(text, detail->call);
        if (!object)
                return;
        text_string(text, ", waiting for ");
        put_object(text, detail->object);
        put_owner(text, stall, detail->owner, detail->object);
}

static void put_doing(struct text *text, const struct record_stall *stall, const struct record_other *other)
{
        if (other->object && *other->object) {
                text_string(text, ", which waited for ");
                put_object(text, other->object);
                put_owner(text, stall, other->owner, other->object);
        } else if (other->call && *other->call) {
                text_string(text, ", which slept in ");
                text_printable(text, other->call);
        } else if (other->state == 'R') {
                text_string(text, ", which was running");
        } else if (other->state == 'D') {
                text_string(text, ", which waited for memory or a disk");
        } else if (other->state == 'T' || other->state == 't') {
                text_string(text, ", which was stopped");
        }
}

void reason_put_other(struct text *text, const struct record_stall *stall, size_t index)
{
        const struct record_other *other = &stall->others[index];
        const char *held = index > 0 ? stall->others[index - 1].object : stall->detail.object;
        const char *role = other->role ? other->role : "";
        if (strcmp(role, "gil-holder") == 0) {
                text_string(text, "the GIL was held by thread ");
        } else if (strcmp(role, "lock-owner") == 0) {
                text_string(text, "the ");
                held = held && *held ? held : "lock";
                put_printable(text, held, strcspn(held, ","));
                text_string(text, " was held by thread ");
        } else {
                text_string(text, strcmp(role, "joined") == 0 ? "the thread to end is " : "other thread ");
        }
        text_signed(text, other->tid);
        text_string(text, other->thread && *other->thread ? ", " : "");
        text_printable(text, other->thread);
        put_doing(text, stall, other);
}

/* ---- the parts ---- */

static void put_share(struct text *line, const struct record_share *share)
{
        const struct record_frame *frame = &share->frame;
        if (frame->function) {
                part_start(line, frame->function, NAME_COLUMNS);
                text_string(line, strchr(frame->function, '(') || frame->function[0] == '<' ? "" : "()");
        } else if (!part_address(line, frame)) {
                text_string(line, "?");
        }
        text_format(line, " %u %%", share->percent);
}

void reason_put_shares(struct text *line, const struct record_stall *stall)
{
        if (stall->profile_count < 2)
                return;
        if (stall->callbacks_seen > 1 && stall->callbacks == 0) /* where the program tells, text.c says how many */
                text_format(line, "%u callbacks or more in one iteration: ", stall->callbacks_seen);
        else
                text_string(line, "parts: ");
        for (size_t i = 0; i < stall->profile_count; i++) {
                text_string(line, i > 0 ? ", " : "");
                put_share(line, &stall->profile[i]);
        }
}

/* ---- what the cause rests on ---- */

static void put_of(struct text *line, const char *words, uint64_t part_ns, uint64_t whole_ns)
{
        text_string(line, words);
        text_duration(line, part_ns);
        text_string(line, " of ");
        text_duration(line, whole_ns);
}

static void put_wait_for_cpu(struct text *line, const struct record_stall *stall, uint64_t waited_ns)
{
        const struct record_detail *detail = &stall->detail;
        put_of(line, "it waited for a CPU ", waited_ns, stall->duration_ns);
        if (detail->cpus && detail->runnable > detail->cpus)
                text_format(line, ", %u runnable threads on %u CPUs", detail->runnable, detail->cpus);
}

bool record_starves_itself(const struct record_stall *stall)
{
        uint64_t missing_ns = stall->duration_ns > stall->cpu_ns ? stall->duration_ns - stall->cpu_ns : 0;
        return stall->cause == RECORD_STARVED && stall->detail.others_cpu_ns * 2 > missing_ns;
}

/* Who took the CPU: the surest first. */
static void put_starved(struct text *line, const struct record_stall *stall)
{
        const struct record_detail *detail = &stall->detail;
        uint64_t missing_ns = stall->duration_ns > stall->cpu_ns ? stall->duration_ns - stall->cpu_ns : 0;
        bool blameless = detail->others_cpu_ns * CPU_SHARE <= missing_ns;
        text_string(line, blameless ? "the program is not to blame: " : "");
        if (2 * detail->throttled_ns >= missing_ns && detail->throttled_ns != 0) {
                put_of(line, "throttled ", detail->throttled_ns, stall->duration_ns);
                text_string(line, " by its cgroup's CPU quota");
        } else if (2 * detail->steal_ns >= missing_ns && detail->steal_ns != 0) {
                text_string(line, "the hypervisor took ");
                text_duration(line, detail->steal_ns);
                text_format(line, " from the machine's %u CPUs", detail->cpus);
        } else {
                put_wait_for_cpu(line, stall, detail->delay_ns ? detail->delay_ns : missing_ns);
        }
        if (!blameless) {
                text_string(line, "; the program's other threads used ");
                text_duration(line, detail->others_cpu_ns);
                text_string(line, " of CPU time meanwhile");
        }
        if (detail->watchdog_delay_ns) {
                text_string(line, "; the watchdog had none for ");
                text_duration(line, detail->watchdog_delay_ns);
        }
}

static void put_cycle(struct text *line, const struct record_stall *stall)
{
        put_thread(line, stall, stall->tid);
        text_string(line, " waits for ");
        put_thread(line, stall, stall->detail.owner);
        for (size_t i = 0; i < stall->others_count && stall->others[i].owner; i++) {
                text_string(line, ", which waits for ");
                put_thread(line, stall, stall->others[i].owner);
        }
        text_string(line, ": none of them can go on");
}

static void put_faults(struct text *line, const struct record_detail *detail)
{
        bool known = detail->what && *detail->what, swap = known && strcmp(detail->what, "swap") == 0;
        uint64_t pages = detail->major_faults;
        if (!detail->usage_known)
                return;
        if (pages == 0) /* memory had to be freed first, or another thread was changing the mappings */
                text_string(line, "no page was read");
        else
                text_format(line, "%lu page%s read", pages, pages == 1 ? " was" : "s were");
        text_string(line, " by the last sample");
        if (known && !swap && detail->file_offset) {
                text_string(line, ", the first at offset 0x");
                text_hex(line, detail->file_offset, 1);
                text_string(line, " of the file");
        } else if (!known && pages != 0) {
                text_string(line, " from a file or swap");
        }
        if (!known && detail->reason) {
                text_string(line, "; which is not known: ");
                text_printable(line, detail->reason);
        }
}

void reason_put_evidence(struct text *line, const struct record_stall *stall)
{
        const struct record_detail *detail = &stall->detail;
        if (detail->deadlock)
                put_cycle(line, stall);
        else if (stall->cause == RECORD_STARVED)
                put_starved(line, stall);
        else if (stall->cause == RECORD_PAGE_FAULT)
                put_faults(line, detail);
        else if (detail->throttled_ns * CPU_SHARE > stall->duration_ns)
                put_of(line, "throttled ", detail->throttled_ns, stall->duration_ns);
        else if (stall->cause == RECORD_CPU && detail->delay_ns * CPU_SHARE > stall->duration_ns)
                put_wait_for_cpu(line, stall, detail->delay_ns);
        if (stall->suspended_ns == 0)
                return;
        text_string(line, line->length != 0 ? "; " : "");
        put_of(line, "stopped for ", stall->suspended_ns, stall->duration_ns);
        text_string(line, stall->cause == RECORD_SUSPENDED ? ": not counted as a stall" : ", which does not count");
}
