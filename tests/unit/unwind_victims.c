/* SPDX-License-Identifier: Apache-2.0
 *
 * unwind_victims.c - threads with known stacks, and samples of them
 *
 * Context: tests
 */
#include "unwind_victims.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/limits.h"

#define RED_ZONE 128

static uint8_t copy[LIMIT_STACK_BYTES];

static void *victim_main(void *argument)
{
        struct victim *victim = argument;
        victim->tid = (pid_t)syscall(SYS_gettid);
        victim->body(victim);
        return NULL;
}

static void pause_ms(long ms)
{
        struct timespec time = { .tv_nsec = ms * 1000000 };
        nanosleep(&time, NULL);
}

void victim_start(struct victim *victim, void (*body)(struct victim *), int argument)
{
        memset(victim, 0, sizeof(*victim));
        victim->body = body;
        victim->argument = argument;
        if (pipe(victim->pipe) != 0 || pthread_create(&victim->thread, NULL, victim_main, victim) != 0)
                abort();
        while (!atomic_load(&victim->ready))
                pause_ms(1);
        pause_ms(10);
}

void victim_stop(struct victim *victim)
{
        atomic_store(&victim->stop, true);
        if (write(victim->pipe[1], "x", 1) != 1)
                abort();
        pthread_join(victim->thread, NULL);
        close(victim->pipe[0]);
        close(victim->pipe[1]);
}

void victim_block(struct victim *victim)
{
        char byte;
        atomic_store(&victim->ready, true);
        while (read(victim->pipe[0], &byte, 1) < 0 && errno == EINTR)
                ;
}

void victim_spin(struct victim *victim)
{
        atomic_store(&victim->ready, true);
        while (!atomic_load(&victim->stop))
                ;
}

/* The end of the mapping that holds `address`. */
static uint64_t mapping_end(uint64_t address)
{
        char line[4352];
        uint64_t start, end, found = 0;
        FILE *maps = fopen("/proc/self/maps", "re");
        while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
                if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 && address >= start && address < end)
                        found = end;
        if (maps != NULL)
                fclose(maps);
        return found;
}

static bool copy_stack(struct sample *sample, uint64_t from, uint64_t end)
{
        sample->truncated = end - from > sizeof(copy);
        sample->stack = copy;
        sample->stack_address = from;
        sample->stack_length = sample->truncated ? sizeof(copy) : end - from;
        struct iovec local = { copy, sample->stack_length };
        struct iovec remote = { (void *)(uintptr_t)from, sample->stack_length }; /* NOLINT */
        return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)sample->stack_length;
}

static bool read_syscall(pid_t tid, char *text, size_t capacity)
{
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
        FILE *file = fopen(path, "re");
        bool ok = file != NULL && fgets(text, (int)capacity, file) != NULL;
        if (file != NULL)
                fclose(file);
        return ok && strncmp(text, "running", 7) != 0;
}

bool sample_blocked(pid_t tid, struct sample *sample)
{
        char before[256], after[256];
        uint64_t sp, pc;
        memset(sample, 0, sizeof(*sample));
        if (!read_syscall(tid, before, sizeof(before)) ||
            sscanf(before, "%*d %*x %*x %*x %*x %*x %*x %" SCNx64 " %" SCNx64, &sp, &pc) != 2)
                return false;
        sample->registers[SAMPLE_SP] = sp;
        sample->registers[SAMPLE_PC] = pc;
        return copy_stack(sample, sp, mapping_end(sp)) && read_syscall(tid, after, sizeof(after)) &&
               strcmp(before, after) == 0;
}

static struct sample *_Atomic wanted; /* the handler fills it and sets NULL */
static uint64_t wanted_end;

static void handle_signal(int number, siginfo_t *info, void *context)
{
        static const int numbers[SAMPLE_REGISTERS] = {
                REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
                REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
        };
        const ucontext_t *user = context;
        struct sample *sample = atomic_load(&wanted);
        for (int i = 0; i < SAMPLE_REGISTERS; i++)
                sample->registers[i] = (uint64_t)user->uc_mcontext.gregs[numbers[i]];
        sample->registers_complete = sample->by_signal = true;
        uint64_t from = sample->registers[SAMPLE_SP] - RED_ZONE;
        if (from > wanted_end || !copy_stack(sample, from, wanted_end))
                sample->loss = CAPTURE_UNREADABLE;
        atomic_store(&wanted, NULL);
}

bool sample_running(const struct victim *victim, struct sample *sample)
{
        struct sigaction action = { .sa_sigaction = handle_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
        void *stack;
        size_t size;
        pthread_attr_t attributes;
        memset(sample, 0, sizeof(*sample));
        pthread_getattr_np(victim->thread, &attributes);
        pthread_attr_getstack(&attributes, &stack, &size);
        pthread_attr_destroy(&attributes);
        wanted_end = (uint64_t)(uintptr_t)stack + size;
        sigaction(SIGRTMIN + 5, &action, NULL);
        atomic_store(&wanted, sample);
        pthread_kill(victim->thread, SIGRTMIN + 5);
        for (int i = 0; i < 2000 && atomic_load(&wanted) != NULL; i++)
                pause_ms(1);
        return atomic_load(&wanted) == NULL && sample->loss == CAPTURE_OK;
}

void copy_library(const char *name, const char *to)
{
        char command[4352];
        struct link_map *map;
        void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
                abort();
        snprintf(command, sizeof(command), "cp '%s' '%s'", map->l_name, to);
        if (system(command) != 0)
                abort();
}
