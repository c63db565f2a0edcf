/* SPDX-License-Identifier: Apache-2.0
 *
 * exec.c - the hooks of exec and posix_spawn
 *
 * Two things must happen before another program takes over: no signal of ours may be in flight (the new program would
 * die of it), and a preload that the new program's loader can't use (32-bit, musl, or a file that a chroot hides) must
 * leave its environment, because that loader would complain on stderr. The environment is copied on the stack: the
 * caller's strings stay as they are, and there is nothing to free when exec does not return.
 *
 * A child of vfork runs in its parent's memory: nothing of the agent is touched there.
 *
 * Context: app thread, children of fork and vfork included; async-signal-safe as exec itself must be
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/program.h"
#include "base/raw.h"
#include "base/text.h"
#include "base/thread.h"
#include "hooks/hooks.h"

#define LIBRARY_NAME "libloopdog.so"
#define PRELOAD "LD_PRELOAD="
#define LIMIT_PROGRAM 4096      /* bytes of a program's path, as the kernel */
#define LIMIT_ENVIRONMENT 16384 /* entries; a larger environment is passed on as it is */

static bool follow = true;

void hooks_note_pid(void)
{
        process_note();
}

bool hooks_in_noted_process(void)
{
        return raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0) == process_noted();
}

/* A child of fork() has, and libc has told it its id; a child of vfork() has not. Before our constructor nothing is
 * noted, and there is none yet. */
bool hooks_in_own_memory(void)
{
        int32_t id = thread_own_id();
        if (process_noted() == 0 || hooks_in_noted_process())
                return true;
        return id != 0 && id == (int32_t)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

/* ---- the program ---- */

/* Will exec find a program there? One that fails must not have ended the watch. access() asks for the real user and
 * exec for the effective one: where the two differ, or a filter forbids to ask, it may. */
static bool is_executable(const char *path)
{
        if (getuid() != geteuid() || getgid() != getegid())
                return true;
        long answer = raw_syscall_sigsafe(SYS_access, (uintptr_t)path, X_OK, 0, 0, 0, 0);
        return answer == 0 || answer == -EPERM || answer == -ENOSYS;
}

/* The program that execvp() would run. */
static bool find_in_path(const char *file, char *bytes, size_t capacity)
{
        const char *path = NULL;
        for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
                if (strncmp(*variable, "PATH=", 5) == 0)
                        path = *variable + 5;
        bool searched = strchr(file, '/') == NULL;
        for (const char *part = !searched ? "" : path != NULL ? path : "/bin:/usr/bin"; part != NULL;) {
                const char *colon = strchr(part, ':');
                struct text name = { .bytes = bytes, .capacity = capacity };
                text_bytes(&name, part, colon != NULL ? (size_t)(colon - part) : strlen(part));
                if (searched)
                        text_string(&name, name.length != 0 ? "/" : "./");
                text_string(&name, file);
                if (!name.cut && is_executable(bytes))
                        return true;
                part = colon != NULL ? colon + 1 : NULL;
        }
        return false;
}

/* ---- the environment of the next program ---- */

/* Is this entry of an LD_PRELOAD list our library, whatever its folder and version? */
static bool is_own_entry(const char *entry, size_t length)
{
        const char *slash = memrchr(entry, '/', length);
        const char *name = slash != NULL ? slash + 1 : entry;
        size_t name_length = length - (size_t)(name - entry);
        return name_length >= strlen(LIBRARY_NAME) && memcmp(name, LIBRARY_NAME, strlen(LIBRARY_NAME)) == 0;
}

/* The first entry of an LD_PRELOAD list (separated by ':' or ' ') that is our library; its length, or 0. */
static size_t find_preload(const char *list, const char **entry)
{
        for (const char *at = list; *at != '\0';) {
                size_t length = strcspn(at, ": ");
                if (is_own_entry(at, length)) {
                        *entry = at;
                        return length;
                }
                at += length + (at[length] != '\0');
        }
        return 0;
}

/* Copy a list without any entry of ours: two are there where `loopdog run` was started under `loopdog run`. `to` may be
 * the list itself. */
static void copy_list_without(char *to, const char *list)
{
        bool first = true;
        for (const char *at = list; *at != '\0';) {
                size_t length = strcspn(at, ": ");
                if (length != 0 && !is_own_entry(at, length)) {
                        if (!first)
                                *to++ = ':';
                        memmove(to, at, length);
                        to += length;
                        first = false;
                }
                at += length + (at[length] != '\0');
        }
        *to = '\0';
}

/* A file that the next program's loader could not open, because of a chroot or its rights. */
static bool library_hidden(const char *entry, size_t length)
{
        char bytes[1024];
        struct text path = TEXT_IN(bytes);
        text_bytes(&path, entry, length);
        if (path.cut || memchr(entry, '/', length) == NULL) /* found in the loader's own folders */
                return false;
        return raw_syscall_sigsafe(SYS_access, (uintptr_t)bytes, R_OK, 0, 0, 0, 0) != 0;
}

struct environment {
        char *const *original;
        size_t count;      /* of entries without the ending NULL */
        size_t preload_at; /* index of LD_PRELOAD */
        const char *entry; /* ours within it */
        size_t entry_length;
};

/* Does this environment preload us? */
static bool find_in_environment(struct environment *found, char *const envp[])
{
        *found = (struct environment){ .original = envp };
        bool preloads = false;
        for (; envp != NULL && envp[found->count] != NULL; found->count++) {
                if (strncmp(envp[found->count], PRELOAD, strlen(PRELOAD)) != 0)
                        continue;
                found->preload_at = found->count; /* of several, the loader takes the last */
                found->entry_length = find_preload(envp[found->count] + strlen(PRELOAD), &found->entry);
                preloads = found->entry_length != 0;
        }
        return preloads && found->count < LIMIT_ENVIRONMENT;
}

/* Whatever the program is. */
static bool drops_always(const struct environment *environment)
{
        return !follow || library_hidden(environment->entry, environment->entry_length);
}

/* Must our library leave the environment of the program behind `fd` (closed there)? It is opened only where that is the
 * question, since closing it ends all fcntl() locks that the process has on that file. */
#define MUST_DROP(environment, fd) (drops_always(environment) || !program_fits(fd))

/* Bytes needed for a copy of the environment without our library: the pointers and one string. */
static size_t copy_size(const struct environment *environment)
{
        return (environment->count + 1) * sizeof(char *) + strlen(environment->original[environment->preload_at]) + 1;
}

static char *const *copy_without(const struct environment *environment, void *memory)
{
        char **copy = memory;
        char *string = (char *)(copy + environment->count + 1);
        memcpy(string, PRELOAD, strlen(PRELOAD));
        copy_list_without(string + strlen(PRELOAD), environment->original[environment->preload_at] + strlen(PRELOAD));
        memcpy(copy, environment->original, (environment->count + 1) * sizeof(char *));
        copy[environment->preload_at] = string;
        if (string[strlen(PRELOAD)] == '\0') /* nothing else was preloaded: no variable at all */
                memmove(copy + environment->preload_at, copy + environment->preload_at + 1,
                        (environment->count - environment->preload_at) * sizeof(char *));
        return copy;
}

/* Of the process itself, where children are not to be followed: those that are made past the hooks, by a plain system
 * call or by libc's own system() and popen(), take it along. */
static void leave_own_environment(void)
{
        struct environment found;
        if (!find_in_environment(&found, environ))
                return;
        char **variable = environ + found.preload_at;
        char *list = *variable + strlen(PRELOAD);
        copy_list_without(list, list);
        if (*list == '\0')
                memmove(variable, variable + 1, (found.count - found.preload_at) * sizeof *variable);
}

/* The environment to pass on: `envp` itself, or a copy on the stack of the calling hook (hence a macro). */
#define NEXT_ENVIRONMENT(envp, fd)                                                                                     \
        ({                                                                                                             \
                struct environment environment_;                                                                       \
                char *const *next_ = (envp);                                                                           \
                if (find_in_environment(&environment_, (envp)) && MUST_DROP(&environment_, (fd)))                      \
                        next_ = copy_without(&environment_, alloca(copy_size(&environment_)));                         \
                next_;                                                                                                 \
        })

/* ---- the hooks ---- */

void hooks_setup(const struct hooks_calls *calls, bool follow_children)
{
        hooks_calls = calls;
        follow = follow_children;
        hooks_note_pid();
        if (!follow)
                leave_own_environment();
}

static void exec_begins(void)
{
        if (hooks_in_noted_process())
                hooks_calls->exec_begins();
}

static int exec_failed(int result)
{
        int saved_errno = errno;
        if (hooks_in_noted_process())
                hooks_calls->exec_failed();
        errno = saved_errno;
        return result;
}

EXPORTED int execve(const char *path, char *const argv[], char *const envp[])
{
        if (!is_executable(path))
                return REAL(execve)(path, argv, envp);
        char *const *next = NEXT_ENVIRONMENT(envp, program_open(AT_FDCWD, path));
        exec_begins();
        return exec_failed(REAL(execve)(path, argv, next));
}

EXPORTED int execv(const char *path, char *const argv[])
{
        return execve(path, argv, environ);
}

EXPORTED int execvpe(const char *file, char *const argv[], char *const envp[])
{
        char path[LIMIT_PROGRAM];
        if (!find_in_path(file, path, sizeof path))
                return REAL(execvpe)(file, argv, envp);
        char *const *next = NEXT_ENVIRONMENT(envp, program_open(AT_FDCWD, path));
        exec_begins();
        return exec_failed(REAL(execvpe)(file, argv, next));
}

EXPORTED int execvp(const char *file, char *const argv[])
{
        return execvpe(file, argv, environ);
}

/* The arguments of execl() and its kin as an array on the stack of the hook; `list` stands behind the ending NULL
 * afterwards. */
#define ARGUMENTS(first, list)                                                                                         \
        ({                                                                                                             \
                size_t count_ = 1;                                                                                     \
                va_list again_;                                                                                        \
                va_copy(again_, (list));                                                                               \
                while (va_arg(again_, char *) != NULL)                                                                 \
                        count_++;                                                                                      \
                va_end(again_);                                                                                        \
                char **argv_ = alloca((count_ + 1) * sizeof(char *));                                                  \
                argv_[0] = (char *)(uintptr_t)(first);                                                                 \
                for (size_t i_ = 1; i_ <= count_; i_++)                                                                \
                        argv_[i_] = va_arg((list), char *);                                                            \
                argv_;                                                                                                 \
        })

EXPORTED int execl(const char *path, const char *argument, ...)
{
        va_list list;
        va_start(list, argument);
        char **argv = ARGUMENTS(argument, list);
        va_end(list);
        return execve(path, argv, environ);
}

EXPORTED int execlp(const char *file, const char *argument, ...)
{
        va_list list;
        va_start(list, argument);
        char **argv = ARGUMENTS(argument, list);
        va_end(list);
        return execvpe(file, argv, environ);
}

EXPORTED int execle(const char *path, const char *argument, ...)
{
        va_list list;
        va_start(list, argument);
        char **argv = ARGUMENTS(argument, list);
        char *const *envp = va_arg(list, char *const *);
        va_end(list);
        return execve(path, argv, envp);
}

EXPORTED int fexecve(int fd, char *const argv[], char *const envp[])
{
        char *const *next =
                NEXT_ENVIRONMENT(envp, (int)raw_syscall_sigsafe(SYS_fcntl, (uint64_t)fd, F_DUPFD_CLOEXEC, 0, 0, 0, 0));
        exec_begins();
        return exec_failed(REAL(fexecve)(fd, argv, next));
}

EXPORTED int execveat(int directory, const char *path, char *const argv[], char *const envp[], int flags)
{
        if (REAL(execveat) == NULL) {
                errno = ENOSYS;
                return -1;
        }
        char *const *next = NEXT_ENVIRONMENT(envp, program_open(directory, path));
        exec_begins();
        return exec_failed(REAL(execveat)(directory, path, argv, next, flags));
}

EXPORTED int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                         const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
        char *const *next = NEXT_ENVIRONMENT(envp, program_open(AT_FDCWD, path));
        return REAL(posix_spawn)(pid, path, actions, attributes, argv, next);
}

EXPORTED int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
        char path[LIMIT_PROGRAM];
        bool found = find_in_path(file, path, sizeof path);
        char *const *next = NEXT_ENVIRONMENT(envp, found ? program_open(AT_FDCWD, path) : -1);
        return REAL(posix_spawnp)(pid, file, actions, attributes, argv, next);
}
