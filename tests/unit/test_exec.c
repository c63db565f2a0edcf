/* SPDX-License-Identifier: Apache-2.0
 *
 * test_exec.c - what the next program gets: its arguments as from libc, and a watch that ends in time
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dlfcn.h>
#include <sys/wait.h>

#include "hooked.h"

/* execvp() hands a file that is no program here to the shell, which may make of its bytes what it likes: a '>' in a
 * header makes a file. Let that be in the folder that is removed. */
static void set_up_in_folder(void)
{
        set_up_hooks();
        cr_assert(zero(int, chdir(folder)));
}
TestSuite(exec, .init = set_up_in_folder, .fini = remove_folder);

/* ---- exec itself ---- */

/* A shell that tells what it got: its arguments and its environment, each ended by a NUL. */
#define SHELL "/bin/sh"
#define TELL "cat /proc/$$/cmdline /proc/$$/environ"

struct told {
        char bytes[1 << 17];
        size_t length;
        int status;
};

/* Run `start` in a child; it must become the shell. */
static void told_by(void (*start)(void), struct told *told)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        pid_t child = fork();
        if (child == 0) {
                hooks_note_pid();
                dup2(pipes[1], 1);
                start();
                _exit(111);
        }
        close(pipes[1]);
        told->length = 0;
        for (ssize_t n; (n = read(pipes[0], told->bytes + told->length, sizeof told->bytes - told->length)) > 0;)
                told->length += (size_t)n;
        close(pipes[0]);
        waitpid(child, &told->status, 0);
}

static void expect_same(void (*ours)(void), void (*libcs)(void))
{
        static struct told a, b;
        told_by(ours, &a);
        told_by(libcs, &b);
        cr_assert(zero(int, b.status));
        cr_expect(eq(int, a.status, b.status));
        cr_expect(gt(sz, b.length, 10));
        cr_expect(eq(sz, a.length, b.length));
        cr_expect(zero(int, memcmp(a.bytes, b.bytes, b.length)));
}

#define PATH_VARIABLE "PATH=/usr/bin:/bin"
#define LIBC(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define NINE(x) x, x, x, x, x, x, x, x, x
#define HUNDRED(x) NINE(x), NINE(x), NINE(x), NINE(x), NINE(x), NINE(x), NINE(x), NINE(x), NINE(x), NINE(x), NINE(x), x

static char *const own_environment[] = { VARIABLE(PATH_VARIABLE), VARIABLE("X=a b"), VARIABLE("EMPTY="), NULL };

/* A pair of functions that make the same call, one of the hook and one of libc. */
#define PAIR(name, function, ...)                                                                                      \
        static void name##_by_hook(void)                                                                               \
        {                                                                                                              \
                function(__VA_ARGS__);                                                                                 \
        }                                                                                                              \
        static void name##_by_libc(void)                                                                               \
        {                                                                                                              \
                LIBC(function)(__VA_ARGS__);                                                                           \
        }

PAIR(execl_one, execl, SHELL, "sh", "-c", TELL, NULL)
PAIR(execl_some, execl, SHELL, "sh", "-c", TELL, "0", "", "two words", "\xff", NULL)
PAIR(execl_many, execl, SHELL, "sh", "-c", TELL, HUNDRED("x"), HUNDRED("yy"), HUNDRED("zzz"), NULL)
PAIR(execl_thousands, execl, SHELL, "sh", "-c", TELL, NINE(HUNDRED("a")), NINE(HUNDRED("b")), NINE(HUNDRED("c")),
     NINE(HUNDRED("d")), NINE(HUNDRED("e")), NULL)
PAIR(execlp_some, execlp, "sh", "sh", "-c", TELL, "0", "1", NULL)
PAIR(execle_one, execle, SHELL, "sh", "-c", TELL, NULL, own_environment)
PAIR(execle_some, execle, SHELL, "sh", "-c", TELL, "0", "", "2", NULL, own_environment)
PAIR(execle_many, execle, SHELL, "sh", "-c", TELL, HUNDRED("x"), NULL, own_environment)

static char *const arguments[] = { VARIABLE("sh"), VARIABLE("-c"), VARIABLE(TELL), VARIABLE("0"), VARIABLE(""), NULL };

PAIR(execv, execv, SHELL, arguments)
PAIR(execve, execve, SHELL, arguments, own_environment)
PAIR(execvp, execvp, "sh", arguments)
PAIR(execvpe, execvpe, "sh", arguments, own_environment)
PAIR(fexecve, fexecve, open(SHELL, O_RDONLY), arguments, own_environment)
PAIR(execveat, execveat, open("/bin", O_RDONLY | O_DIRECTORY), "sh", arguments, own_environment, 0)
PAIR(execveat_empty, execveat, open(SHELL, O_RDONLY), "", arguments, own_environment, AT_EMPTY_PATH)

#define EXPECT_SAME(name) expect_same(name##_by_hook, name##_by_libc)

Test(exec, passes_lists_of_arguments_as_libc_does)
{
        setenv("PATH", "/usr/bin:/bin", 1);
        EXPECT_SAME(execl_one);
        EXPECT_SAME(execl_some);
        EXPECT_SAME(execl_many);
        EXPECT_SAME(execlp_some);
        EXPECT_SAME(execle_one);
        EXPECT_SAME(execle_some);
        EXPECT_SAME(execle_many);
}

Test(exec, passes_thousands_of_arguments)
{
        EXPECT_SAME(execl_thousands);
}

Test(exec, passes_arrays_of_arguments_as_libc_does)
{
        setenv("PATH", "/usr/bin:/bin", 1);
        EXPECT_SAME(execv);
        EXPECT_SAME(execve);
        EXPECT_SAME(execvp);
        EXPECT_SAME(execvpe);
        EXPECT_SAME(fexecve);
        EXPECT_SAME(execveat);
        EXPECT_SAME(execveat_empty);
}

/* ---- with a preload that must go ---- */

#define HIDDEN "LD_PRELOAD=/nonexistent/libloopdog.so"

static char *const preloaded[] = { VARIABLE("A=1"), VARIABLE(HIDDEN), VARIABLE(PATH_VARIABLE), VARIABLE("B=2"), NULL };
static char *const plain[] = { VARIABLE("A=1"), VARIABLE(PATH_VARIABLE), VARIABLE("B=2"), NULL };

static void execl_preloaded(void)
{
        environ = (char **)(uintptr_t)preloaded;
        execl(SHELL, "sh", "-c", TELL, "0", "", NULL);
}

static void execlp_preloaded(void)
{
        environ = (char **)(uintptr_t)preloaded;
        execlp("sh", "sh", "-c", TELL, "0", "", NULL);
}

static void execle_preloaded(void)
{
        execle(SHELL, "sh", "-c", TELL, "0", "", NULL, preloaded);
}

static void execve_preloaded(void)
{
        execve(SHELL, arguments, preloaded);
}

static void execvpe_preloaded(void)
{
        execvpe("sh", arguments, preloaded);
}

static void fexecve_preloaded(void)
{
        fexecve(open(SHELL, O_RDONLY), arguments, preloaded);
}

static void execveat_preloaded(void)
{
        execveat(open("/bin", O_RDONLY | O_DIRECTORY), "sh", arguments, preloaded, 0);
}

static void wait_for(pid_t child)
{
        int status;
        waitpid(child, &status, 0);
        _exit(WEXITSTATUS(status));
}

static void spawn_preloaded(void)
{
        pid_t child;
        if (posix_spawn(&child, SHELL, NULL, NULL, arguments, preloaded) == 0)
                wait_for(child);
}

static void spawnp_preloaded(void)
{
        pid_t child;
        if (posix_spawnp(&child, "sh", NULL, NULL, arguments, preloaded) == 0)
                wait_for(child);
}

static void vfork_preloaded(void)
{
        pid_t child = vfork();
        if (child == 0) {
                execve(SHELL, arguments, preloaded);
                _exit(111);
        }
        wait_for(child);
}

static void execve_plain(void)
{
        LIBC(execve)(SHELL, arguments, plain);
}

Test(exec, drops_the_preload_whichever_way_the_program_is_started)
{
        static void (*const ways[])(
                void) = { execl_preloaded,   execlp_preloaded,   execle_preloaded, execve_preloaded, execvpe_preloaded,
                          fexecve_preloaded, execveat_preloaded, spawn_preloaded,  spawnp_preloaded, vfork_preloaded };
        setenv("PATH", "/usr/bin:/bin", 1);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
                expect_same(ways[i], execve_plain);
}

/* ---- before and after ---- */

static int exit_code_of(void (*work)(void))
{
        int status;
        pid_t child = fork();
        if (child == 0) {
                hooks_note_pid();
                work();
                _exit(111);
        }
        waitpid(child, &status, 0);
        return status >> 8;
}

static void fail_for_lack_of_a_program(void)
{
        errno = 0;
        int result = execl("/nonexistent", "x", NULL);
        _exit(result != -1 || errno != ENOENT || begun != 0 || failed != 0);
}

static void fail_for_lack_of_a_program_in_path(void)
{
        errno = 0;
        int result = execlp("no-such-program", "x", NULL);
        _exit(result != -1 || errno != ENOENT || begun != 0 || failed != 0);
}

static const char *senseless(void)
{
        return make_file("x", "#!/nonexistent\n", 15);
}

static void expect_failure(int result)
{
        _exit(result != -1 || errno != ENOENT || begun != 1 || failed != 1);
}

static void fail_for_lack_of_sense(void)
{
        expect_failure(execl(senseless(), "x", NULL));
}

static void fail_for_lack_of_sense_in_path(void)
{
        senseless();
        setenv("PATH", folder, 1);
        expect_failure(execlp("x", "x", NULL));
}

static void fail_for_lack_of_sense_by_descriptor(void)
{
        expect_failure(fexecve(open(senseless(), O_RDONLY), arguments, environ));
}

static void fail_for_lack_of_sense_in_a_folder(void)
{
        expect_failure(execveat(AT_FDCWD, senseless(), arguments, environ, 0));
}

Test(exec, ends_the_watch_only_where_there_is_a_program)
{
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_a_program)));
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_a_program_in_path)));
}

Test(exec, goes_on_with_the_watch_and_libcs_errno_when_it_has_failed)
{
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_sense)));
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_sense_in_path)));
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_sense_by_descriptor)));
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_sense_in_a_folder)));
}

static void fail_in_a_child_of_vfork(void)
{
        const char *path = make_program("x", ELFCLASS64, EM_X86_64, NULL);
        pid_t child = vfork();
        if (child == 0) {
                execl(path, "x", NULL);
                _exit(0);
        }
        waitpid(child, NULL, 0);
        _exit(begun != 0 || failed != 0);
}

Test(exec, is_a_matter_of_the_child_alone_after_vfork)
{
        cr_expect(zero(int, exit_code_of(fail_in_a_child_of_vfork)));
}

Test(exec, of_a_spawned_program_leaves_the_watch_alone)
{
        pid_t child;
        char *const argv[] = { VARIABLE("true"), NULL };
        cr_assert(zero(int, posix_spawnp(&child, "true", NULL, NULL, argv, environ)));
        waitpid(child, NULL, 0);
        cr_expect(eq(int, posix_spawn(&child, "/nonexistent", NULL, NULL, argv, environ), ENOENT));
        cr_expect(zero(uint, begun));
}

static void run_unreadable(void)
{
        char path[256];
        strcpy(path, in_folder("shell"));
        if (setgid(65534) != 0 || setuid(65534) != 0)
                _exit(0); /* only root can play a user who may not read it */
        execl(path, "sh", "-c", "exit 7", NULL);
}

Test(exec, runs_what_may_be_executed_but_not_read)
{
        char command[300];
        snprintf(command, sizeof command, "cp /bin/sh %s/shell && chmod 711 %s %s/shell", folder, folder, folder);
        cr_assert(zero(int, system(command)));
        int code = exit_code_of(run_unreadable);
        cr_expect(eq(int, code, geteuid() == 0 ? 7 : 0));
}
