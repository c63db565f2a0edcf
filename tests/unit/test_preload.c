/* SPDX-License-Identifier: Apache-2.0
 *
 * test_preload.c - which programs our library fits, and the environment without it
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "hooked.h"

TestSuite(program, .init = set_up_hooks, .fini = remove_folder);
TestSuite(preload, .init = set_up_hooks, .fini = remove_folder);

#define OURS "/opt/loopdog/libloopdog.so"

/* ---- programs that our library fits, and others ---- */

static bool fits(const char *path)
{
        return program_fits(program_open(AT_FDCWD, path));
}

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
        snprintf(script, sizeof script, "#! \t %s/musl -x\n", folder);
        make_file("script1", script, strlen(script));
        cr_expect(not(fits(in_folder("script1"))));
        snprintf(script, sizeof script, "#!%s/script", folder); /* without a newline: an interpreter's interpreter */
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
        path = make_program("short", ELFCLASS64, EM_X86_64, MUSL);
        cr_assert(zero(int, truncate(path, sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr) + 5)));
        cr_expect(fits(path), "its loader's name is cut off");
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

Test(program, may_be_executable_for_the_effective_user_only)
{
        cr_expect(not(is_executable("/nonexistent")));
        cr_expect(not(is_executable("/etc/passwd")));
        cr_expect(is_executable("/bin/sh"));
        if (geteuid() != 0)
                cr_skip_test("only root can change its group");
        cr_assert(zero(int, setegid(65534)));
        cr_expect(is_executable("/nonexistent"), "access() would answer for the real group");
        cr_assert(zero(int, setegid(0)));
        cr_expect(not(is_executable("/nonexistent")));
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
        static const char *const lists[] = { "",           "/a.so",          "/libloopdog.so/a.so",
                                             "libloopdog", "xlibloopdog.so", "/usr/lib/not-libloopdog.so:/b.so" };
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
        char *const *other =
                ENVIRONMENT(VARIABLE("XLD_PRELOAD=" OURS), VARIABLE("LD_PRELOAD"), VARIABLE("LD_PRELOADED=" OURS));
        cr_expect(eq(ptr, (void *)without(other), (void *)other));
        char *const *empty = ENVIRONMENT(NULL);
        cr_expect(eq(ptr, (void *)without(empty), (void *)empty));
        cr_expect(zero(ptr, (void *)without(NULL)));
}

Test(preload, is_the_last_of_several_as_for_the_loader)
{
        char *const *next =
                without(ENVIRONMENT(VARIABLE("LD_PRELOAD=/a.so"), VARIABLE("LD_PRELOAD=" OURS), VARIABLE("B=2")));
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
        return MUST_DROP(&environment, program_open(AT_FDCWD, program));
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

/* As another process finds it. */
static bool is_locked(const char *path)
{
        int status;
        pid_t child = fork();
        if (child == 0) {
                struct flock lock = { .l_type = F_WRLCK };
                _exit(fcntl(open(path, O_RDWR), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 7 : 0);
        }
        waitpid(child, &status, 0);
        return WEXITSTATUS(status) == 7;
}

Test(preload, goes_without_a_look_at_the_program_whose_locks_would_end_with_it)
{
        struct flock lock = { .l_type = F_WRLCK };
        char program[256], library[256];
        strcpy(program, make_file("program", "#!/bin/sh", 9));
        strcpy(library, make_file("libloopdog.so", "", 0));
        cr_assert(zero(int, fcntl(open(program, O_RDWR), F_SETLK, &lock)));
        cr_expect(drops("/nonexistent/libloopdog.so", program));
        cr_expect(is_locked(program));
        hooks_setup(&counting, false);
        cr_expect(drops(library, program));
        cr_expect(is_locked(program));
}

/* ---- the process's own ---- */

static void set_up_without_followers(const char *list)
{
        setenv("LD_PRELOAD", list, 1);
        setenv("AFTER", "1", 1);
        hooks_setup(&counting, false);
}

Test(preload, leaves_the_processs_own_environment_where_children_are_not_to_be_followed)
{
        set_up_without_followers("/lib/libloopdog.so");
        cr_expect_null(getenv("LD_PRELOAD"));
        cr_expect_str_eq(getenv("AFTER"), "1");
        set_up_without_followers("/a/b.so:/lib/libloopdog.so:/c.so /lib/libloopdog.so.1");
        cr_expect_str_eq(getenv("LD_PRELOAD"), "/a/b.so:/c.so");
        cr_expect_str_eq(getenv("AFTER"), "1");
        set_up_without_followers("/a/b.so");
        cr_expect_str_eq(getenv("LD_PRELOAD"), "/a/b.so");
        setenv("LD_PRELOAD", "/lib/libloopdog.so", 1);
        hooks_setup(&counting, true);
        cr_expect_str_eq(getenv("LD_PRELOAD"), "/lib/libloopdog.so");
        unsetenv("LD_PRELOAD"); /* what cleans up is a shell */
}
