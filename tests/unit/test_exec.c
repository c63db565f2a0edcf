/* SPDX-License-Identifier: Apache-2.0
 *
 * test_exec.c - what the next program gets: its arguments as from libc, its environment with or without our preload
 *
 * The hooks are linked into this very program, so that they stand before libc's functions as they do in a host.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/hooks/exec.c"
#include "../../src/hooks/hooks.c"

#define OURS "/opt/loopdog/libloopdog.so"

static unsigned begun, failed;

static void count_begun(void)
{
        begun++;
        errno = EXDEV;
}

static void count_failed(void)
{
        failed++;
        errno = EXDEV;
}

static const struct hooks_calls counting = {
        .rights_end = nothing, .exec_begins = count_begun, .exec_failed = count_failed, .code_unloaded = nothing,
};

static char folder[64];

static void begin(void)
{
        hooks_setup(&counting, true);
        strcpy(folder, "/tmp/loopdog-exec-XXXXXX");
        cr_assert(mkdtemp(folder) != NULL);
}

static void end(void)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        cr_expect(zero(int, system(command)));
}
TestSuite(program, .init = begin, .fini = end);
TestSuite(preload, .init = begin, .fini = end);
TestSuite(exec, .init = begin, .fini = end);

/* ---- programs that our library fits, and others ---- */

static const char *in_folder(const char *name)
{
        static char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
}

static const char *make_file(const char *name, const void *bytes, size_t length)
{
        const char *path = in_folder(name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
        cr_assert(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
        close(fd);
        return path;
}

/* The beginning of a program: a header and one segment that names its loader; NULL for a static one. */
static const char *make_program(const char *name, unsigned char class, uint16_t machine, const char *loader)
{
        struct {
                Elf64_Ehdr header;
                Elf64_Phdr segments[2];
                char loader[300];
        } file = { .header = { .e_machine = machine, .e_phoff = sizeof file.header, .e_phnum = loader ? 2 : 1 } };
        memcpy(file.header.e_ident, ELFMAG, SELFMAG);
        file.header.e_ident[EI_CLASS] = class;
        file.segments[0].p_type = PT_LOAD;
        file.segments[1].p_type = PT_INTERP;
        file.segments[1].p_offset = offsetof(__typeof__(file), loader);
        if (loader != NULL) {
                strcpy(file.loader, loader);
                file.segments[1].p_filesz = strlen(loader) + 1;
        }
        return make_file(name, &file, sizeof file);
}

static bool fits(const char *path)
{
        return program_fits(open_plain(AT_FDCWD, path));
}

#define GLIBC "/lib64/ld-linux-x86-64.so.2"
#define MUSL "/lib/ld-musl-x86_64.so.1"

Test(program, fits_where_its_loader_is_glibcs)
{
        cr_expect(fits("/bin/sh"));
        cr_expect(fits("/proc/self/exe"));
        cr_expect(fits(make_program("glibc", ELFCLASS64, EM_X86_64, GLIBC)));
        cr_expect(fits(make_program("nix", ELFCLASS64, EM_X86_64, "/nix/store/abc-glibc/lib/ld-linux-x86-64.so.2")));
}

Test(program, fits_where_it_has_no_loader)
{
        cr_expect(fits(make_program("static", ELFCLASS64, EM_X86_64, NULL)));
}

Test(program, does_not_fit_with_another_loader_or_machine)
{
        cr_expect(not(fits(make_program("musl", ELFCLASS64, EM_X86_64, MUSL))));
        cr_expect(not(fits(make_program("bionic", ELFCLASS64, EM_X86_64, "/system/bin/linker64"))));
        cr_expect(not(fits(make_program("i386", ELFCLASS32, EM_386, "/lib/ld-linux.so.2"))));
        cr_expect(not(fits(make_program("x32", ELFCLASS32, EM_X86_64, "/libx32/ld-linux-x32.so.2"))));
        cr_expect(not(fits(make_program("arm", ELFCLASS64, EM_AARCH64, "/lib/ld-linux-aarch64.so.1"))));
}

Test(program, is_found_through_the_interpreter_of_a_script)
{
        char script[300];
        cr_expect(fits(make_file("sh", "#!/bin/sh\n", 10)));
        cr_expect(fits(make_file("spaces", "#! \t /bin/sh -e x\n", 18)));
        snprintf(script, sizeof script, "#!%s/musl -x\n", folder);
        make_program("musl", ELFCLASS64, EM_X86_64, MUSL);
        make_file("script", script, strlen(script));
        cr_expect(not(fits(in_folder("script"))));
        snprintf(script, sizeof script, "#!%s/script", folder); /* without a newline, and an interpreter's interpreter */
        make_file("script2", script, strlen(script));
        cr_expect(not(fits(in_folder("script2"))));
}

Test(program, may_be_a_script_that_names_itself)
{
        char script[300];
        snprintf(script, sizeof script, "#!%s/self\n", folder);
        make_file("self", script, strlen(script));
        cr_expect(fits(in_folder("self")));
}

Test(program, is_taken_to_fit_where_nothing_can_be_said)
{
        cr_expect(fits("/nonexistent"));
        cr_expect(fits("/"));
        cr_expect(fits("/dev/null"));
        cr_expect(fits(make_file("empty", "", 0)));
        cr_expect(fits(make_file("hash", "#!", 2)));
        cr_expect(fits(make_file("blank", "#!   \n", 6)));
        cr_expect(fits(make_file("text", "echo hello\n", 11)));
        cr_expect(fits(make_file("elf", ELFMAG, SELFMAG)));
        const char *path = make_program("cut", ELFCLASS64, EM_X86_64, MUSL);
        cr_assert(zero(int, truncate(path, sizeof(Elf64_Ehdr) + 10)));
        cr_expect(fits(path), "its segments are cut off");
}

static unsigned open_descriptors(void)
{
        unsigned count = 0;
        for (int fd = 0; fd < 1000; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

Test(program, leaves_no_descriptor_open)
{
        char script[300];
        unsigned before = open_descriptors();
        snprintf(script, sizeof script, "#!%s/self\n", folder);
        make_file("self", script, strlen(script));
        fits(in_folder("self"));
        fits("/bin/sh");
        fits("/");
        fits(make_program("musl", ELFCLASS64, EM_X86_64, MUSL));
        fits(make_file("empty", "", 0));
        cr_expect(eq(uint, open_descriptors(), before));
}

Test(program, is_searched_as_execvp_does)
{
        char path[256], list[512];
        make_file("tool", "#!/bin/sh\n", 10);
        snprintf(list, sizeof list, "/nonexistent::%s:/bin", folder);
        setenv("PATH", list, 1);
        cr_assert(find_in_path("tool", path, sizeof path));
        cr_expect_str_eq(path, in_folder("tool"));
        chmod(path, 0600);
        cr_expect(not(find_in_path("tool", path, sizeof path)), "not executable");
        chmod(in_folder("tool"), 0111);
        cr_expect(find_in_path("tool", path, sizeof path), "not readable, but executable");
        cr_assert(find_in_path("sh", path, sizeof path));
        cr_expect_str_eq(path, "/bin/sh");
        cr_assert(find_in_path("/bin/sh", path, sizeof path));
        cr_expect_str_eq(path, "/bin/sh", "with a slash it is no matter of PATH");
        cr_expect(not(find_in_path("bin/sh", path, sizeof path)));
        cr_assert(zero(int, chdir(folder)));
        chmod("tool", 0700);
        setenv("PATH", ":", 1);
        cr_assert(find_in_path("tool", path, sizeof path));
        cr_expect_str_eq(path, "./tool");
        unsetenv("PATH");
        cr_expect(find_in_path("sh", path, sizeof path));
        cr_expect(not(find_in_path("tool", path, sizeof path)));
        clearenv();
        cr_expect(find_in_path("sh", path, sizeof path));
}

Test(program, is_not_searched_in_folders_whose_names_are_too_long)
{
        static char list[2 * LIMIT_PROGRAM];
        char path[LIMIT_PROGRAM];
        memset(list, 'x', sizeof list - 1);
        setenv("PATH", list, 1);
        cr_expect(not(find_in_path("sh", path, sizeof path)));
        strcpy(list + LIMIT_PROGRAM + 10, ":/bin");
        setenv("PATH", list, 1);
        cr_assert(find_in_path("sh", path, sizeof path));
        cr_expect_str_eq(path, "/bin/sh");
}

/* ---- the preload in an environment ---- */

/* The environment of the next program when ours must leave. */
static char *const *without(char *const envp[])
{
        static char memory[1 << 16];
        struct environment environment;
        if (!find_in_environment(&environment, envp))
                return envp;
        cr_assert(lt(sz, copy_size(&environment), sizeof memory));
        memset(memory, 0x5a, sizeof memory);
        char *const *copy = copy_without(&environment, memory);
        for (size_t i = copy_size(&environment); i < sizeof memory; i++)
                cr_assert(eq(chr, memory[i], 0x5a), "written past the end");
        return copy;
}

#define ENVIRONMENT(...) ((char *const[]){ __VA_ARGS__, NULL })
#define VARIABLE(string) ((char *)(uintptr_t)(string))

static void expect_list(const char *list, const char *rest)
{
        char before[512], after[512];
        snprintf(before, sizeof before, "LD_PRELOAD=%s", list);
        snprintf(after, sizeof after, "LD_PRELOAD=%s", rest != NULL ? rest : "");
        char *const *envp = ENVIRONMENT(VARIABLE("A=1"), before, VARIABLE("B=2"));
        char *const *next = without(envp);
        size_t i = 0;
        cr_assert_str_eq(next[i++], "A=1");
        if (rest != NULL)
                cr_expect_str_eq(next[i++], after, "of %s", list);
        cr_assert_str_eq(next[i++], "B=2", "of %s", list);
        cr_assert(zero(ptr, next[i]));
        cr_expect_str_eq(envp[1] + strlen(PRELOAD), list, "the caller's own was changed");
}

Test(preload, leaves_a_list_from_any_place_in_it)
{
        expect_list(OURS, NULL);
        expect_list("libloopdog.so", NULL);
        expect_list("libloopdog.so.0", NULL);
        expect_list("/usr/lib/libloopdog.so.0.1.0", NULL);
        expect_list(OURS ":/a.so", "/a.so");
        expect_list("/a.so:" OURS, "/a.so");
        expect_list("/a.so:" OURS ":/b.so", "/a.so:/b.so");
        expect_list("/a.so /b.so " OURS " /c.so", "/a.so:/b.so:/c.so");
        expect_list(OURS " /a.so", "/a.so");
        expect_list("::" OURS "::", NULL);
        expect_list(OURS ":" OURS, NULL);
        expect_list("/a.so:libloopdog.so: :" OURS ":/b.so", "/a.so:/b.so");
}

Test(preload, leaves_other_libraries_alone)
{
        static const char *const lists[] = { "", "/a.so", "/libloopdog.so/a.so", "libloopdog", "xlibloopdog.so",
                                             "/usr/lib/not-libloopdog.so:/b.so" };
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
                char variable[256];
                snprintf(variable, sizeof variable, "LD_PRELOAD=%s", lists[i]);
                char *const *envp = ENVIRONMENT(variable);
                cr_expect(eq(ptr, (void *)without(envp), (void *)envp), "%s", lists[i]);
        }
}

Test(preload, may_stand_anywhere_in_the_environment_or_nowhere)
{
        char ours[] = "LD_PRELOAD=" OURS;
        char *const *next = without(ENVIRONMENT(ours));
        cr_expect(zero(ptr, next[0]));
        next = without(ENVIRONMENT(ours, VARIABLE("A=1")));
        cr_expect_str_eq(next[0], "A=1");
        cr_expect(zero(ptr, next[1]));
        next = without(ENVIRONMENT(VARIABLE("A=1"), ours));
        cr_expect_str_eq(next[0], "A=1");
        cr_expect(zero(ptr, next[1]));
        char *const *other = ENVIRONMENT(VARIABLE("XLD_PRELOAD=" OURS), VARIABLE("LD_PRELOAD"), VARIABLE("LD_PRELOADED=" OURS));
        cr_expect(eq(ptr, (void *)without(other), (void *)other));
        char *const *empty = ENVIRONMENT(NULL);
        cr_expect(eq(ptr, (void *)without(empty), (void *)empty));
        cr_expect(zero(ptr, (void *)without(NULL)));
}

Test(preload, is_the_last_of_several_as_for_the_loader)
{
        char *const *next = without(ENVIRONMENT(VARIABLE("LD_PRELOAD=/a.so"), VARIABLE("LD_PRELOAD=" OURS), VARIABLE("B=2")));
        cr_expect_str_eq(next[0], "LD_PRELOAD=/a.so");
        cr_expect_str_eq(next[1], "B=2");
        char *const *envp = ENVIRONMENT(VARIABLE("LD_PRELOAD=" OURS), VARIABLE("LD_PRELOAD=/a.so"));
        cr_expect(eq(ptr, (void *)without(envp), (void *)envp));
}

Test(preload, is_not_looked_for_in_an_environment_without_end)
{
        static char *envp[LIMIT_ENVIRONMENT + 2];
        struct environment environment;
        for (int i = 0; i < LIMIT_ENVIRONMENT; i++)
                envp[i] = VARIABLE("A=1");
        envp[7] = VARIABLE("LD_PRELOAD=" OURS);
        cr_expect(not(find_in_environment(&environment, envp)));
        envp[LIMIT_ENVIRONMENT - 1] = NULL;
        cr_expect(find_in_environment(&environment, envp));
}

static bool drops(const char *list, const char *program)
{
        struct environment environment;
        char variable[512];
        snprintf(variable, sizeof variable, "LD_PRELOAD=%s", list);
        cr_assert(find_in_environment(&environment, ENVIRONMENT(variable)));
        return must_drop(&environment, open_plain(AT_FDCWD, program));
}

Test(preload, stays_for_a_program_that_can_use_it)
{
        char library[256];
        strcpy(library, make_file("libloopdog.so", "", 0));
        cr_expect(not(drops(library, "/bin/sh")));
        cr_expect(not(drops("libloopdog.so", "/bin/sh")), "found in the loader's own folders");
        cr_expect(not(drops(library, "/nonexistent")));
}

Test(preload, goes_where_its_file_is_hidden_or_the_program_can_not_use_it)
{
        char library[256];
        strcpy(library, make_file("libloopdog.so", "", 0));
        cr_expect(drops(library, make_program("musl", ELFCLASS64, EM_X86_64, MUSL)));
        cr_expect(drops(library, make_program("i386", ELFCLASS32, EM_386, "/lib/ld-linux.so.2")));
        cr_expect(drops("/nonexistent/libloopdog.so", "/bin/sh"), "ld.so would complain on stderr");
        cr_assert(zero(int, chdir(folder)));
        cr_expect(not(drops("./libloopdog.so", "/bin/sh")));
        cr_expect(drops("../libloopdog.so", "/bin/sh"));
}

Test(preload, goes_where_children_are_not_to_be_followed)
{
        char library[256];
        unsigned before = open_descriptors();
        strcpy(library, make_file("libloopdog.so", "", 0));
        hooks_setup(&counting, false);
        cr_expect(drops(library, "/bin/sh"));
        cr_expect(eq(uint, open_descriptors(), before));
}

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
        static void (*const ways[])(void) = { execl_preloaded,   execlp_preloaded,  execle_preloaded,   execve_preloaded,
                                              execvpe_preloaded, fexecve_preloaded, execveat_preloaded, spawn_preloaded,
                                              spawnp_preloaded,  vfork_preloaded };
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

static void fail_for_lack_of_sense(void)
{
        errno = 0;
        int result = execl(make_program("x", ELFCLASS64, EM_X86_64, NULL), "x", NULL);
        _exit(result != -1 || (errno != ENOEXEC && errno != EINVAL) || begun != 1 || failed != 1);
}

Test(exec, ends_the_watch_only_where_there_is_a_program)
{
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_a_program)));
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_a_program_in_path)));
}

Test(exec, goes_on_with_the_watch_and_libcs_errno_when_it_has_failed)
{
        cr_expect(zero(int, exit_code_of(fail_for_lack_of_sense)));
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
