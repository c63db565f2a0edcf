/* SPDX-License-Identifier: Apache-2.0
 *
 * test_doctor.c - tools/doctor: verdicts on processes that are made up in a folder like /proc
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <elf.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "doctor/check.h"
#include "doctor/interpreter.h"
#include "doctor/record_account.h"
#include "doctor/subject.h"

#define PID 4242
#define ALL_BLOCKED "SigBlk:\tfffffffe7ffbfeff\n"
#define STATUS                                                                                                         \
        "Name:\tserver\nState:\tS (sleeping)\nPid:\t4242\nUid:\t1000\t1001\t1000\t1000\nNSpid:\t4242\t7\n"             \
        "VmSize:\t  100 kB\n"

static char root[] = "/tmp/loopdog-doctor.XXXXXX";
static struct subject subject;
static struct account account;
static const struct trial trial;
static const char *library; /* of the command */

static void write_file(const char *name, const void *bytes, size_t length)
{
        char *path = alloc_format("%s/%s", root, name);
        FILE *file = fopen(path, "w");
        cr_assert(file, "%s", path);
        cr_assert_eq(fwrite(bytes, 1, length, file), length);
        fclose(file);
        free(path);
}

static void write_text(const char *name, const char *text)
{
        write_file(name, text, strlen(text));
}

static void make_folder(const char *name)
{
        char *path = alloc_format("%s/%s", root, name);
        cr_assert_eq(mkdir(path, 0700), 0, "%s", path);
        free(path);
}

/* A process with one thread, its program and libc; nothing of loopdog in it. */
static void make_process(void)
{
        char *path;
        cr_assert(mkdtemp(root));
        make_folder("4242");
        make_folder("4242/task");
        make_folder("4242/task/4242");
        write_text("4242/status", STATUS);
        write_text("4242/task/4242/status", STATUS "SigBlk:\t0000000000000000\n");
        write_file("4242/environ", "HOME=/\0LD_PRELOAD=", strlen("HOME=/") + 1 + strlen("LD_PRELOAD=") + 1);
        write_text("4242/maps", "1000-2000 r-xp 00000000 08:01 11 /srv/server\n"
                                "2000-3000 r-xp 00000000 08:01 12 /usr/lib/libc.so.6\n"
                                "3000-4000 rw-p 00000000 00:00 0 [stack]\n");
        path = alloc_format("%s/4242/exe", root);
        cr_assert_eq(symlink("/bin/true", path), 0);
        free(path);
}

static void remove_process(void)
{
        char *command = alloc_format("rm -rf %s", root);
        cr_assert_eq(system(command), 0);
        free(command);
        account_free(&account);
        subject_free(&subject);
}

TestSuite(doctor, .init = make_process, .fini = remove_process);

/* What the check of that name finds; to be freed. */
static struct finding look(const struct check *checks, const char *name)
{
        subject_free(&subject);
        account_free(&account);
        subject_read(&subject, root, PID);
        account_read(&account, &subject);
        const struct examined examined = {
                .library = library, .subject = &subject, .account = &account, .trial = &trial
        };
        while (checks->name && strcmp(checks->name, name) != 0)
                checks++;
        cr_assert(checks->name, "no check %s", name);
        return checks->look(&examined);
}

/* The verdict, and a part of what was found. */
#define expect(checks, name, wanted, part)                                                                             \
        do {                                                                                                           \
                struct finding got = look(checks, name);                                                               \
                cr_expect_eq(got.verdict, wanted, "%s: %s: %s", name, verdict_name(got.verdict), got.found);           \
                cr_expect((part)[0] == '\0' || (got.found && strstr(got.found, part)), "%s: %s", name, got.found);     \
                cr_expect(got.verdict < VERDICT_NOTE || (got.fix && got.fix[0]), "%s: no fix", name);                  \
                cr_expect(!got.fix || !strchr(got.fix, '\n'), "%s: the fix is one line", name);                        \
                finding_free(&got);                                                                                    \
        } while (0)

/* The whole of what it says to do. */
static void expect_fix(const struct check *checks, const char *name, const char *fix)
{
        struct finding got = look(checks, name);
        cr_expect(got.fix && strcmp(got.fix, fix) == 0, "%s: %s: %s", name, got.found, got.fix);
        finding_free(&got);
}

/* Its program becomes one with this loader, NULL for none; `go`: with the note that Go leaves. */
static void set_program(uint8_t class, const char *loader, bool go)
{
        struct {
                Elf64_Ehdr header;
                Elf64_Phdr segments[2];
                Elf64_Nhdr note;
                char owner[4], loader[64];
        } file = {
                .header = { .e_ident = { 0x7f, 'E', 'L', 'F', class }, .e_machine = EM_X86_64, .e_phnum = 2 },
                .note = { .n_namesz = 4, .n_type = 4 },
                .owner = "Go\0",
        };
        file.header.e_phoff = offsetof(__typeof__(file), segments);
        file.header.e_phentsize = sizeof(Elf64_Phdr);
        if (go)
                file.segments[0] = (Elf64_Phdr){ .p_type = PT_NOTE,
                                                 .p_offset = offsetof(__typeof__(file), note),
                                                 .p_filesz = sizeof(file.note) + sizeof(file.owner) };
        if (loader) {
                strcpy(file.loader, loader);
                file.segments[1] = (Elf64_Phdr){ .p_type = PT_INTERP,
                                                 .p_offset = offsetof(__typeof__(file), loader),
                                                 .p_filesz = strlen(loader) + 1 };
        }
        char *program = alloc_format("%s/program", root), *link = alloc_format("%s/4242/exe", root);
        write_file("program", &file, sizeof(file));
        unlink(link);
        cr_assert_eq(symlink(program, link), 0);
        free(program);
        free(link);
}

static void set_environment(const char *first, const char *second)
{
        char *both = alloc_format("%s%c%s%c", first, 1, second, 1);
        size_t length = strlen(both);
        for (size_t i = 0; i < length; i++)
                both[i] = both[i] == 1 ? '\0' : both[i];
        write_file("4242/environ", both, length);
        free(both);
}

static void add_watchdog(void)
{
        make_folder("4242/task/4243");
        write_text("4242/task/4243/status", "Name:\tloopdog\nState:\tS\n" ALL_BLOCKED);
}

/* ---- reading ---- */

Test(doctor, knows_the_process)
{
        subject_read(&subject, root, PID);
        cr_expect(subject.exists);
        cr_expect_str_eq(subject.name, "server");
        cr_expect_eq(subject.state, 'S');
        cr_expect_eq(subject.uid, 1001u);
        cr_expect_eq(subject.inner_pid, 7);
        cr_expect_not(subject.kernel);
        cr_expect_eq(subject.files_count, 2u);
        cr_expect_str_eq(subject.executable, "/bin/true");
        cr_expect_str_eq(subject_variable(&subject, "HOME"), "/");
        cr_expect_null(subject_variable(&subject, "HOM"));
        cr_expect_eq(subject.watchdog_tid, 0);
        cr_expect_eq(subject.threads, 1u);
}

Test(doctor, takes_a_mapped_file_once_and_sees_that_it_was_deleted)
{
        write_text("4242/maps", "1000-2000 r-xp 00000000 08:0a 11 /srv/a b\n2000-3000 rw-p 00000000 08:0a 11 /srv/a b\n"
                                "3000-4000 r-xp 00000000 08:0a 12 /srv/a b (deleted)\nnonsense\n\n");
        subject_read(&subject, root, PID);
        cr_assert_eq(subject.files_count, 2u);
        cr_expect_str_eq(subject.files[0].path, "/srv/a b");
        cr_expect_eq(subject.files[0].major, 8u);
        cr_expect_eq(subject.files[0].minor, 10u);
        cr_expect_not(subject.files[0].deleted);
        cr_expect_str_eq(subject.files[1].path, "/srv/a b");
        cr_expect(subject.files[1].deleted);
}

Test(doctor, survives_an_environment_that_was_overwritten)
{
        write_file("4242/environ", "nginx: master\0\0\0\0A=1", strlen("nginx: master") + 4 + 3);
        subject_read(&subject, root, PID);
        cr_expect_eq(subject.environment_count, 1u);
        cr_expect_str_eq(subject_variable(&subject, "A"), "1");
}

/* ---- verdicts ---- */

Test(doctor, says_that_there_is_no_such_process)
{
        char *path = alloc_format("%s/4242/status", root);
        unlink(path);
        free(path);
        expect(process_checks, "process", VERDICT_PROBLEM, "no process 4242");
        expect(process_checks, "loaded", VERDICT_NONE, "");
        expect(record_checks, "output", VERDICT_NONE, "");
}

Test(doctor, says_that_it_has_ended_or_is_the_kernels)
{
        write_text("4242/status", "Name:\tserver\nState:\tZ (zombie)\n");
        expect(process_checks, "process", VERDICT_PROBLEM, "has ended");
        write_text("4242/status", "Name:\tkthreadd\nState:\tS (sleeping)\nUid:\t0\t0\t0\t0\n");
        expect(process_checks, "process", VERDICT_PROBLEM, "kernel");
}

Test(doctor, says_why_the_library_is_not_in_it)
{
        expect(process_checks, "loaded", VERDICT_PROBLEM, "LD_PRELOAD did not name it");
        set_environment("LD_PRELOAD=/lib/other.so:/no/libloopdog.so.0", "A=1");
        expect(process_checks, "loaded", VERDICT_PROBLEM, "/no/libloopdog.so.0, which it can't open");
        const Elf64_auxv_t auxv[] = { { .a_type = AT_SECURE, .a_un.a_val = 1 }, { .a_type = AT_NULL } };
        write_file("4242/auxv", auxv, sizeof(auxv));
        expect(process_checks, "loaded", VERDICT_PROBLEM, "secure mode");
}

Test(doctor, says_what_to_do_about_a_program_that_no_preload_reaches)
{
        set_program(ELFCLASS64, "/lib64/ld-linux-x86-64.so.2", false);
        expect(process_checks, "program", VERDICT_OK, "LD_PRELOAD reaches");
        set_program(ELFCLASS64, "/lib/ld-musl-x86_64.so.1", false);
        expect(process_checks, "program", VERDICT_PROBLEM, "and not by glibc's loader");
        expect_fix(process_checks, "program", "run a build for glibc");
        set_program(ELFCLASS32, "/lib/ld-linux.so.2", false);
        expect(process_checks, "program", VERDICT_PROBLEM, "word size");
        expect_fix(process_checks, "program", "run a 64-bit build for x86-64");
        set_program(ELFCLASS64, NULL, false);
        expect(process_checks, "program", VERDICT_PROBLEM, "statically linked");
        expect_fix(process_checks, "program", "link it dynamically");
        set_program(ELFCLASS64, NULL, true);
        expect(process_checks, "program", VERDICT_PROBLEM, "Go program");
        expect_fix(process_checks, "program", "nothing: loopdog can't watch Go programs");
}

/* The name with the version is gone after the next upgrade. */
Test(doctor, names_the_library_by_a_path_that_stays)
{
        char *resolved = alloc_format("%s/libloopdog.so.0.1.0", root);
        char *fix = alloc_format("start it as \"loopdog run -- COMMAND\", or with LD_PRELOAD=%s in its environment",
                                 resolved);
        library = resolved;
        write_text("libloopdog.so.0.1.0", "");
        expect_fix(process_checks, "loaded", fix);
        free(fix);
        write_text("libloopdog.so", "");
        fix = alloc_format("start it as \"loopdog run -- COMMAND\", or with LD_PRELOAD=%s/libloopdog.so in its "
                           "environment",
                           root);
        expect_fix(process_checks, "loaded", fix);
        free(fix);
        free(resolved);
}

Test(doctor, sees_the_library_and_the_watchdog)
{
        write_text("4242/maps", "2000-3000 r-xp 00000000 08:01 12 /opt/libloopdog.so.0.1.0\n");
        expect(process_checks, "loaded", VERDICT_OK, "/opt/libloopdog.so.0.1.0");
        expect(process_checks, "watchdog", VERDICT_NOTE, "no loop was seen");
        add_watchdog();
        expect(process_checks, "watchdog", VERDICT_OK, "4243");
        expect(process_checks, "signals", VERDICT_OK, "every thread");
        write_text("4242/maps", "2000-3000 r-xp 00000000 08:01 12 /opt/libloopdog.so.0.1.0 (deleted)\n");
        expect(process_checks, "loaded", VERDICT_NOTE, "replaced");
}

Test(doctor, sees_that_the_detector_is_off)
{
        write_text("4242/maps", "2000-3000 r-xp 00000000 08:01 12 /opt/libloopdog.so.0.1.0\n");
        set_environment("LD_PRELOAD=/opt/libloopdog.so.0.1.0", "LOOPDOG_THRESHOLD=0");
        expect(process_checks, "watchdog", VERDICT_PROBLEM, "turns the detector off");
        expect(process_checks, "settings", VERDICT_OK, "1 in its environment");
}

Test(doctor, says_which_setting_is_wrong)
{
        set_environment("LOOPDOG_TRESHOLD=1s", "LOOPDOG_INTERVAL=never");
        expect(process_checks, "settings", VERDICT_PROBLEM,
               "did you mean LOOPDOG_THRESHOLD?; LOOPDOG_INTERVAL=never is not");
}

Test(doctor, warns_of_filters_and_signals)
{
        write_text("4242/status", STATUS "Seccomp:\t2\nSeccomp_filters:\t3\n");
        expect(process_checks, "seccomp", VERDICT_NOTE, "3 seccomp filters");
        write_text("4242/status", STATUS "Seccomp:\t1\n");
        expect(process_checks, "seccomp", VERDICT_PROBLEM, "strict");
        write_text("4242/task/4242/status", STATUS ALL_BLOCKED);
        expect(process_checks, "signals", VERDICT_NOTE, "1 of 1 threads");
        make_folder("4242/task/4300");
        write_text("4242/task/4300/status", "Name:\tworker\n" ALL_BLOCKED);
        write_text("4242/task/4242/status", STATUS);
        expect(process_checks, "signals", VERDICT_OK, "1 of 2 threads");
}

Test(doctor, tells_runtimes_by_their_files)
{
        static const struct {
                const char *path, *name;
        } cases[] = { { "/usr/lib/libnode.so.108", "node (V8)" },
                      { "/usr/lib/jvm/libjvm.so", "Java" },
                      { "/usr/lib/libpython3.11.so.1.0", "CPython" },
                      { "/usr/bin/node_exporter", NULL } };
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct interpreter interpreter;
                char *maps = alloc_format("1000-2000 r-xp 00000000 08:01 11 %s\n", cases[i].path);
                write_text("4242/maps", maps);
                free(maps);
                subject_free(&subject);
                subject_read(&subject, root, PID);
                interpreter_find(&interpreter, &subject);
                if (cases[i].name)
                        cr_expect_str_eq(interpreter.name, cases[i].name);
                else
                        cr_expect_null(interpreter.name);
                cr_expect_not(interpreter_is_supported(&interpreter), "its file can't be read");
        }
        expect(process_checks, "runtime", VERDICT_OK, "none");
}

Test(doctor, tells_a_python_by_what_it_exports)
{
        static const struct {
                const char *name;
                enum verdict verdict;
                const char *found;
        } cases[] = { { "libpython3.11.so", VERDICT_OK, "CPython 3.11" },
                      { "libpython3.13t.so", VERDICT_NOTE, "CPython 3.13 without a global lock" },
                      { "libpython3.15.so", VERDICT_NOTE, "CPython 3.15" } };
        char *link = alloc_format("%s/4242/root", root);
        cr_assert_eq(symlink("/", link), 0);
        free(link);
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                char *maps = alloc_format("1000-2000 r-xp 00000000 08:01 11 " PYTHONS "/%s\n", cases[i].name);
                write_text("4242/maps", maps);
                free(maps);
                expect(process_checks, "runtime", cases[i].verdict, cases[i].found);
        }
}

Test(doctor, knows_that_a_perf_map_names_what_others_compile)
{
        write_text("4242/maps", "1000-2000 r-xp 00000000 08:01 11 /usr/lib/libnode.so.108\n");
        expect(process_checks, "runtime", VERDICT_NOTE, "native frames only");
        make_folder("4242/root");
        make_folder("4242/root/tmp");
        write_text("4242/root/tmp/perf-7.map", "1000 10 JS:~f /srv/a.js:1\n");
        expect(process_checks, "runtime", VERDICT_OK, "its perf map names its functions");
}

Test(doctor, knows_that_another_users_perf_map_is_not_used)
{
        if (geteuid() != 0)
                cr_skip_test("only root can give a file away");
        write_text("4242/maps", "1000-2000 r-xp 00000000 08:01 11 /usr/lib/libnode.so.108\n");
        make_folder("4242/root");
        make_folder("4242/root/tmp");
        write_text("4242/root/tmp/perf-7.map", "1000 10 JS:~f /srv/a.js:1\n");
        char *path = alloc_format("%s/4242/root/tmp/perf-7.map", root);
        cr_assert_eq(chown(path, 65534, 65534), 0);
        free(path);
        expect(process_checks, "runtime", VERDICT_NOTE, "its perf map belongs to user 65534 and is not used");
}

/* ---- records ---- */

#define LINE(type, pid, run, fields)                                                                                   \
        "{\"v\":1,\"type\":\"" type "\",\"time\":\"2026-11-22T20:15:04Z\",\"host\":\"web1\",\"pid\":" #pid             \
        ",\"program\":\"server\",\"run\":\"" run "\"" fields "}\n"
#define STALL ",\"id\":1,\"begin\":\"2026-11-22T20:15:03Z\",\"tid\":1,\"loop\":\"epoll:5\",\"duration_ns\":500000000"

Test(doctor, reads_the_records_of_its_last_run_only)
{
        char *link = alloc_format("%s/4242/root", root);
        cr_assert_eq(symlink(root, link), 0);
        free(link);
        make_folder("out");
        write_text("out/x.7.1*.jsonl",
                   LINE("stall", 7, "1111111111111111", STALL ",\"samples\":9")
                           LINE("process", 7, "2222222222222222",
                                ",\"agent_version\":\"0.1.0\",\"notices\":[\"no stacks: x\"]")
                                   LINE("stall", 8, "3333333333333333", STALL ",\"samples\":7")
                                           LINE("stall", 7, "2222222222222222",
                                                STALL ",\"samples\":4,\"late_ns\":2000000,\"lost\":{\"samples\":3,"
                                                      "\"reasons\":{\"it ran\":3}}"));
        set_environment("LOOPDOG_OUTPUT=/out/x.%p.%t*.jsonl", "A=1");
        add_watchdog();
        expect(record_checks, "output", VERDICT_OK, "/out/x.7.1*.jsonl, 4 records");
        expect(record_checks, "notices", VERDICT_NOTE, "no stacks: x");
        expect(record_checks, "stalls", VERDICT_NOTE, "1 stall, 4 samples, 3 of them without a stack: it ran");
        expect(record_checks, "loops", VERDICT_OK, "1: epoll:5");
        cr_expect_eq(account.latest_ns, 2000000u);
}

Test(doctor, takes_the_open_file_for_records_only_if_it_holds_some)
{
        char *link = alloc_format("%s/4242/root", root);
        cr_assert_eq(symlink("/", link), 0);
        free(link);
        add_watchdog();
        make_folder("4242/task/4243/fd");
        make_folder("4242/task/4243/fdinfo");
        char *target = alloc_format("%s/100%% [1].jsonl", root);
        char *descriptor = alloc_format("%s/4242/task/4243/fd/9", root);
        cr_assert_eq(symlink(target, descriptor), 0);
        write_text("100% [1].jsonl", LINE("stall", 7, "1111111111111111", STALL ",\"samples\":9"));
        write_text("100% 1.jsonl", "the newest, but another\n");
        write_text("4242/task/4243/fdinfo/9", "pos:\t0\nflags:\t0102001\n");
        expect(record_checks, "output", VERDICT_OK, "/100% [1].jsonl, 1 records");
        write_text("4242/task/4243/fdinfo/9", "pos:\t0\nflags:\t0100001\n");
        expect(record_checks, "output", VERDICT_NOTE, "stderr");
        write_text("4242/task/4243/fdinfo/9", "pos:\t0\nflags:\t0102001\n");
        write_text("100% [1].jsonl", "no record\n");
        expect(record_checks, "output", VERDICT_NOTE, "stderr");
        free(target);
        free(descriptor);
}

Test(doctor, says_where_records_go)
{
        add_watchdog();
        expect(record_checks, "output", VERDICT_NOTE, "stderr");
        set_environment("LOOPDOG_OUTPUT=/nowhere/", "A=1");
        expect(record_checks, "output", VERDICT_PROBLEM, "no such file");
}
