/* SPDX-License-Identifier: Apache-2.0
 *
 * survivors.c - processes that go on after the command has ended
 *
 * A server that puts itself into the background ends the command at once and goes on to write records. It is known
 * by the records that it has written, or by its environment: some overwrite that for a title, some have not written
 * yet.
 *
 * Context: reader
 */
#include "launch/survivors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "process.h"

#define NAMED 3

struct survivors {
        struct map pids; /* pid as text -> not NULL */
        char *names;
        const char *output; /* the value of LOOPDOG_OUTPUT that they have */
};

static void add(struct survivors *found, int pid, const char *program)
{
        char key[16];
        snprintf(key, sizeof(key), "%d", pid);
        void **at = map_at_string(&found->pids, key);
        if (*at)
                return;
        *at = found;
        if (found->pids.count > NAMED)
                return;
        char *names =
                alloc_format("%s%s%s %d", found->names ? found->names : "", found->names ? ", " : "", program, pid);
        free(found->names);
        found->names = names;
}

static void look_at(void *context, int pid)
{
        struct survivors *found = context;
        char program[64];
        size_t length = 0;
        char *environment = process_read(pid, "environ", &length);
        const char *output = process_variable(environment, length, "LOOPDOG_OUTPUT");
        bool same = output && strcmp(output, found->output) == 0;
        free(environment);
        if (!same)
                return;
        process_read_line(pid, "comm", program, sizeof(program));
        if (process_is_alive(pid))
                add(found, pid, program);
}

size_t survivors_find(const struct analysis *analysis, const char *output, char **names)
{
        struct survivors found = { .output = output };
        for (size_t i = 0; i < analysis->processes.count; i++) {
                const struct analysed_process *process = analysis->processes.entries[i].value;
                if (!process->exited && process->pid > 0 && process_is_alive(process->pid))
                        add(&found, process->pid, process->program);
        }
        process_each(look_at, &found);
        size_t count = found.pids.count;
        if (count > NAMED) {
                char *more = alloc_format("%s and %zu more", found.names, count - NAMED);
                free(found.names);
                found.names = more;
        }
        *names = found.names;
        map_free(&found.pids, NULL);
        return count;
}
