/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sink.c - the file: its name, its first line, rotation, limits, and what can't be written
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/notice.h"
#include "record/record.h"
#include "record/sink.h"

#define LIMIT 1000000

static char folder[64];
static char path[256];

static void make_folder(void)
{
        signal(SIGPIPE, SIG_IGN); /* the watchdog blocks all signals */
        strcpy(folder, "/tmp/loopdog-sink-XXXXXX");
        cr_assert(mkdtemp(folder) != NULL);
}

static void remove_folder(void)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        cr_expect(zero(int, system(command)));
}
TestSuite(sink, .init = make_folder, .fini = remove_folder);

static const char *in_folder(const char *name)
{
        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
}

/* As the journal does it: a fresh file begins with a process record. */
static int put(const char *line)
{
        bool fresh;
        int error = sink_line(line, strlen(line), &fresh);
        if (!fresh)
                return error;
        cr_expect(eq(int, error, -EAGAIN));
        error = sink_line("process\n", 8, &fresh);
        cr_expect(not(fresh));
        return error != 0 ? error : sink_line(line, strlen(line), &fresh);
}

static const char *content_of(const char *name)
{
        static char bytes[8192];
        int fd = open(name, O_RDONLY);
        if (fd < 0)
                return "(no file)";
        ssize_t n = read(fd, bytes, sizeof bytes - 1);
        close(fd);
        bytes[n > 0 ? n : 0] = '\0';
        return bytes;
}

static bool exists(const char *name)
{
        struct stat status;
        return lstat(name, &status) == 0;
}

static bool noticed(const char *words)
{
        for (size_t i = 0; i < notice_count(); i++)
                if (strstr(notice_get(i), words) != NULL)
                        return true;
        return false;
}

/* ---- the file ---- */

Test(sink, has_no_file_before_the_first_line)
{
        sink_setup(in_folder("out.jsonl"), LIMIT);
        cr_expect(sink_is_file());
        cr_expect(eq(int, sink_descriptor(), -1));
        cr_expect(not(exists(path)));
}

Test(sink, says_that_a_file_is_fresh_and_then_writes_line_after_line)
{
        bool fresh = false;
        sink_setup(in_folder("out.jsonl"), LIMIT);
        cr_expect(eq(int, sink_line("lost?\n", 6, &fresh), -EAGAIN));
        cr_expect(fresh);
        cr_expect_str_eq(content_of(path), "");
        cr_expect(zero(int, sink_line("one\n", 4, &fresh)));
        cr_expect(not(fresh));
        cr_expect(zero(int, sink_line("two\n", 4, &fresh)));
        cr_expect_str_eq(content_of(path), "one\ntwo\n");
        cr_expect(zero(u64, sink_bytes_dropped()));
}

Test(sink, makes_a_file_for_its_owner_only_and_out_of_the_hosts_way)
{
        struct stat status;
        umask(0);
        sink_setup(in_folder("out.jsonl"), LIMIT);
        put("one\n");
        cr_assert(zero(int, stat(path, &status)));
        cr_expect(eq(uint, status.st_mode & 07777, 0600));
        cr_expect(ge(int, sink_descriptor(), 900));
        cr_expect(eq(int, fcntl(sink_descriptor(), F_GETFD), FD_CLOEXEC));
        cr_expect(ne(int, fcntl(sink_descriptor(), F_GETFL) & O_APPEND, 0));
        int next = open("/dev/null", O_RDONLY);
        cr_expect(lt(int, next, 900));
}

Test(sink, works_where_few_descriptors_are_allowed)
{
        struct rlimit limit = { 64, 64 };
        setrlimit(RLIMIT_NOFILE, &limit);
        sink_setup(in_folder("out.jsonl"), LIMIT);
        cr_expect(zero(int, put("one\n")));
        cr_expect_str_eq(content_of(path), "process\none\n");
}

Test(sink, appends_to_what_is_there)
{
        FILE *earlier = fopen(in_folder("out.jsonl"), "w");
        fputs("earlier\n", earlier);
        fclose(earlier);
        sink_setup(path, LIMIT);
        cr_expect(zero(int, put("one\n")));
        cr_expect_str_eq(content_of(path), "earlier\nprocess\none\n");
}

Test(sink, lets_processes_share_a_file_without_mixing_their_lines)
{
        sink_setup(in_folder("out.jsonl"), LIMIT);
        for (int child = 0; child < 4; child++) {
                if (fork() != 0)
                        continue;
                char line[302];
                memset(line, 'a' + child, 300);
                strcpy(line + 300, "\n");
                for (int i = 0; i < 300; i++)
                        put(line);
                _exit(0);
        }
        while (wait(NULL) > 0)
                ;
        FILE *file = fopen(path, "r");
        char line[512];
        unsigned whole = 0, process = 0, other = 0;
        while (fgets(line, sizeof line, file) != NULL) {
                size_t length = strlen(line);
                bool same = length == 301 && strspn(line, (char[]){ line[0], '\0' }) == 300;
                whole += same;
                process += strcmp(line, "process\n") == 0;
                other += !same && strcmp(line, "process\n") != 0;
        }
        fclose(file);
        cr_expect(eq(uint, whole, 1200));
        cr_expect(eq(uint, process, 4));
        cr_expect(zero(uint, other));
}

Test(sink, sees_who_shows_the_file_live_and_nobody_else)
{
        struct flock elsewhere = { .l_type = F_RDLCK, .l_len = 1 };
        struct flock lock = { .l_type = F_RDLCK, .l_start = RECORD_READER_BYTE, .l_len = 1 };
        sink_setup(in_folder("out.jsonl"), LIMIT);
        cr_expect(not(sink_is_read()));
        put("one\n");
        int fd = open(path, O_RDONLY);
        cr_assert(zero(int, fcntl(fd, F_OFD_SETLK, &elsewhere)));
        cr_expect(not(sink_is_read()));
        cr_assert(zero(int, fcntl(fd, F_OFD_SETLK, &lock)));
        cr_expect(sink_is_read());
        cr_expect(zero(int, put("two\n")));
        cr_expect(sink_is_read());
        cr_assert(zero(int, truncate(path, LIMIT / 2 + 1)));
        cr_expect(zero(int, put("three\n")));
        cr_expect(not(sink_is_read()), "what is left is for stalls");
        close(fd);
}

Test(sink, sees_when_nobody_shows_it_any_more)
{
        struct flock lock = { .l_type = F_RDLCK, .l_start = RECORD_READER_BYTE, .l_len = 1 };
        sink_setup(in_folder("out.jsonl"), LIMIT);
        put("one\n");
        int fd = open(path, O_RDONLY);
        cr_assert(zero(int, fcntl(fd, F_OFD_SETLK, &lock)));
        cr_expect(sink_is_read());
        close(fd);
        cr_expect(not(sink_is_read()));
}

/* ---- its name ---- */

Test(sink, puts_pid_name_and_time_into_the_path)
{
        char expected[256];
        prctl(PR_SET_NAME, "my server/2");
        time_t before = time(NULL);
        sink_setup(in_folder("%n.%p.%t.100%%.%x.%"), LIMIT);
        put("one\n");
        time_t after = time(NULL);
        bool found = false;
        for (time_t t = before; t <= after; t++) {
                snprintf(expected, sizeof expected, "%s/my_server_2.%d.%lld.100%%.%%x.%%", folder, getpid(),
                         (long long)t);
                found |= exists(expected);
        }
        cr_expect(found);
}

Test(sink, makes_one_file_a_process_in_a_folder)
{
        char expected[256];
        prctl(PR_SET_NAME, "web");
        sink_setup(folder, LIMIT);
        put("one\n");
        snprintf(expected, sizeof expected, "%s/loopdog.web.%d.jsonl", folder, getpid());
        cr_expect_str_eq(content_of(expected), "process\none\n");
}

Test(sink, takes_a_slash_at_the_end_for_a_folder)
{
        char expected[256];
        prctl(PR_SET_NAME, "web");
        sink_setup(in_folder(""), LIMIT);
        put("one\n");
        snprintf(expected, sizeof expected, "%s/loopdog.web.%d.jsonl", folder, getpid());
        cr_expect_str_eq(content_of(expected), "process\none\n");
}

Test(sink, stays_where_a_relative_path_was_given_when_the_server_changes_its_folder)
{
        char start[128];
        snprintf(start, sizeof start, "%s/100%%p", folder); /* a folder may have any name */
        cr_assert(zero(int, mkdir(start, 0700)));
        cr_assert(zero(int, chdir(start)));
        sink_setup("out.%p.jsonl", LIMIT);
        cr_assert(zero(int, chdir("/")));
        cr_expect(zero(int, put("one\n")));
        cr_expect(zero(int, put("two\n")));
        snprintf(path, sizeof path, "%s/out.%d.jsonl", start, getpid());
        cr_expect_str_eq(content_of(path), "process\none\ntwo\n");
}

Test(sink, refuses_a_path_that_is_too_long)
{
        bool fresh;
        static char pattern[2 * LIMIT_PATH];
        strcpy(pattern, folder);
        for (int i = 0; i < LIMIT_PATH / 2; i++)
                strcat(pattern, "/.");
        strcat(pattern, "/out.jsonl");
        sink_setup(pattern, LIMIT);
        cr_expect(eq(int, sink_line("one\n", 4, &fresh), -ENAMETOOLONG));
        cr_expect(not(fresh));
        cr_expect(eq(int, sink_line("one\n", 4, &fresh), -ENAMETOOLONG), "a cut path must not be used the second time");
        cr_expect(eq(u64, sink_bytes_dropped(), 8));
}

/* ---- rotation ---- */

Test(sink, begins_a_new_file_when_it_was_renamed)
{
        char old[256];
        sink_setup(in_folder("out.jsonl"), LIMIT);
        put("one\n");
        snprintf(old, sizeof old, "%s/out.jsonl.1", folder);
        rename(path, old);
        cr_expect(zero(int, put("two\n")));
        cr_expect_str_eq(content_of(path), "process\ntwo\n");
        cr_expect_str_eq(content_of(old), "process\none\n");
}

Test(sink, begins_a_new_file_when_it_was_removed)
{
        sink_setup(in_folder("out.jsonl"), LIMIT);
        put("one\n");
        unlink(path);
        cr_expect(zero(int, put("two\n")));
        cr_expect_str_eq(content_of(path), "process\ntwo\n");
        cr_expect(eq(u64, sink_reopened(), 1));
        cr_expect(zero(sz, notice_count()), "it is nothing to be said on the host's stderr");
}

Test(sink, begins_anew_in_a_file_that_was_emptied)
{
        sink_setup(in_folder("out.jsonl"), LIMIT);
        put("one\n");
        cr_expect(zero(u64, sink_reopened()));
        cr_assert(zero(int, truncate(path, 0))); /* as logrotate's copytruncate */
        cr_expect(zero(int, put("two\n")));
        cr_expect(zero(int, put("three\n")));
        cr_expect_str_eq(content_of(path), "process\ntwo\nthree\n");
        cr_expect(eq(u64, sink_reopened(), 1));
        cr_expect(zero(sz, notice_count()));
}

Test(sink, begins_a_new_file_when_another_took_its_place)
{
        sink_setup(in_folder("out.jsonl"), LIMIT);
        put("one\n");
        int keep_inode = open(path, O_RDONLY);
        unlink(path);
        close(open(path, O_WRONLY | O_CREAT, 0600));
        cr_expect(zero(int, put("two\n")));
        cr_expect_str_eq(content_of(path), "process\ntwo\n");
        close(keep_inode);
}

Test(sink, goes_on_in_its_file_after_the_watchdog_was_stopped_for_a_fork)
{
        bool fresh;
        sink_setup(in_folder("out.jsonl"), 20);
        put("one\n");
        sink_close();
        cr_expect(eq(int, sink_descriptor(), -1));
        cr_expect(zero(int, sink_line("two\n", 4, &fresh)));
        cr_expect(not(fresh));
        cr_expect_str_eq(content_of(path), "process\none\ntwo\n");
        sink_close();
        cr_expect(eq(int, sink_line("three\n", 6, &fresh), -EFBIG),
                  "the limit is the file's, not that of each opening");
}

Test(sink, has_a_file_of_its_own_in_a_child)
{
        char name[256];
        sink_setup(in_folder("out.%p"), LIMIT);
        put("parent\n");
        pid_t child = fork();
        if (child == 0) {
                sink_after_fork();
                put("child\n");
                _exit(0);
        }
        waitpid(child, NULL, 0);
        snprintf(name, sizeof name, "%s/out.%d", folder, child);
        cr_expect_str_eq(content_of(name), "process\nchild\n");
        snprintf(name, sizeof name, "%s/out.%d", folder, getpid());
        cr_expect_str_eq(content_of(name), "process\nparent\n");
}

/* ---- what can't be written ---- */

Test(sink, refuses_a_symbolic_link)
{
        char target[256];
        bool fresh;
        snprintf(target, sizeof target, "%s/target", folder);
        cr_assert(zero(int, symlink(target, in_folder("out.jsonl"))));
        sink_setup(path, LIMIT);
        cr_expect(eq(int, sink_line("one\n", 4, &fresh), -ELOOP));
        cr_expect(not(fresh));
        cr_expect(not(exists(target)));
        cr_expect(eq(u64, sink_bytes_dropped(), 4));
}

Test(sink, counts_what_it_can_not_write_and_tries_again)
{
        bool fresh;
        sink_setup(in_folder("missing/out.jsonl"), LIMIT);
        cr_expect(eq(int, sink_line("one\n", 4, &fresh), -ENOENT));
        cr_expect(eq(int, sink_line("two\n", 4, &fresh), -ENOENT));
        cr_expect(eq(u64, sink_bytes_dropped(), 8));
        char made[128];
        snprintf(made, sizeof made, "%s/missing", folder);
        mkdir(made, 0700);
        cr_expect(zero(int, put("three\n")));
        cr_expect_str_eq(content_of(path), "process\nthree\n");
}

Test(sink, survives_a_full_disk)
{
        bool fresh;
        sink_setup("/dev/full", LIMIT);
        cr_expect(eq(int, sink_line("one\n", 4, &fresh), -EAGAIN));
        cr_expect(eq(int, sink_line("one\n", 4, &fresh), -ENOSPC));
        cr_expect(eq(int, sink_line("two\n", 4, &fresh), -ENOSPC));
        cr_expect(eq(u64, sink_bytes_dropped(), 8));
        cr_expect(noticed("/dev/full: a record could not be written: the disk is full (error 28)"));
}

Test(sink, begins_on_a_line_of_its_own_after_one_that_was_cut)
{
        struct rlimit small = { 14, RLIM_INFINITY }, large = { RLIM_INFINITY, RLIM_INFINITY };
        signal(SIGXFSZ, SIG_IGN);
        sink_setup(in_folder("out.jsonl"), LIMIT);
        put("one\n");
        setrlimit(RLIMIT_FSIZE, &small);
        cr_expect(lt(int, put("a long one\n"), 0));
        cr_expect_str_eq(content_of(path), "process\none\na ");
        cr_expect(noticed("it is as large as a file may be"), "and not a full disk");
        cr_expect(lt(int, put("still no room\n"), 0));
        setrlimit(RLIMIT_FSIZE, &large);
        cr_expect(zero(int, put("two\n")));
        cr_expect(zero(int, put("three\n")));
        cr_expect_str_eq(content_of(path), "process\none\na \ntwo\nthree\n");
        cr_expect(eq(u64, sink_bytes_dropped(), strlen("a long one\n") + strlen("still no room\n")));
}

Test(sink, stops_at_the_limit_and_goes_on_counting)
{
        sink_setup(in_folder("out.jsonl"), strlen("process\none\n") + 3);
        cr_expect(zero(int, put("one\n")));
        cr_expect(eq(int, put("four\n"), -EFBIG));
        cr_expect(zero(int, put("tw\n")), "what fits exactly is written");
        cr_expect(eq(int, put("\n"), -EFBIG));
        cr_expect_str_eq(content_of(path), "process\none\ntw\n");
        cr_expect(eq(u64, sink_bytes_dropped(), 6));
        cr_expect(noticed("LOOPDOG_LIMIT"));
}

Test(sink, takes_the_limit_for_that_of_the_file_whoever_wrote_it)
{
        FILE *earlier = fopen(in_folder("out.jsonl"), "w");
        fprintf(earlier, "%079d\n", 0); /* of a service that crashes again and again */
        fclose(earlier);
        sink_setup(path, 100);
        cr_expect(eq(int, put("more than is left\n"), -EFBIG));
        cr_expect(zero(int, put("fits here!!\n")), "80 bytes, the process record's 8 and these 12");
        cr_expect(eq(int, put("\n"), -EFBIG));
        struct stat status;
        cr_assert(zero(int, stat(path, &status)));
        cr_expect(eq(u64, (uint64_t)status.st_size, 100));
}

Test(sink, shares_the_limit_with_all_who_share_the_file)
{
        struct stat status;
        sink_setup(in_folder("out.jsonl"), 10000);
        for (int child = 0; child < 4; child++) {
                if (fork() != 0)
                        continue;
                for (int i = 0; i < 300; i++)
                        put("a line of 32 bytes, one of many\n");
                _exit(0);
        }
        while (wait(NULL) > 0)
                ;
        cr_assert(zero(int, stat(path, &status)));
        cr_expect(gt(u64, (uint64_t)status.st_size, 10000 - 32));
        cr_expect(le(u64, (uint64_t)status.st_size, 10000 + 4 * 32), "at most a line more of each");
}

Test(sink, begins_to_count_again_in_a_new_file)
{
        sink_setup(in_folder("out.jsonl"), 20);
        put("one\n");
        cr_expect(eq(int, put("much too long\n"), -EFBIG));
        unlink(path);
        cr_expect(zero(int, put("ten bytes\n")));
}

Test(sink, does_not_wait_for_a_fifos_reader)
{
        bool fresh;
        cr_assert(zero(int, mkfifo(in_folder("fifo"), 0600)));
        sink_setup(path, LIMIT);
        alarm(10);
        cr_expect(eq(int, sink_line("one\n", 4, &fresh), -ENXIO));
        int reader = open(path, O_RDONLY | O_NONBLOCK);
        cr_expect(zero(int, put("two\n")));
        char bytes[64] = "";
        cr_expect(eq(sz, (size_t)read(reader, bytes, sizeof bytes - 1), 12));
        cr_expect_str_eq(bytes, "process\ntwo\n");
        static char long_line[100000];
        memset(long_line, 'x', sizeof long_line - 1);
        cr_expect(lt(int, put(long_line), 0), "nobody reads: what does not fit is dropped");
        close(reader);
        cr_expect(lt(int, put("three\n"), 0));
}

Test(sink, says_once_on_stderr_that_it_can_not_open_its_file)
{
        bool fresh;
        int pipes[2], saved = dup(2);
        cr_assert(zero(int, pipe(pipes)));
        dup2(pipes[1], 2);
        sink_setup(in_folder("missing/\033[31mout"), LIMIT);
        for (int i = 0; i < 3; i++)
                sink_line("one\n", 4, &fresh);
        dup2(saved, 2);
        close(pipes[1]);
        char bytes[1024] = "";
        ssize_t n = read(pipes[0], bytes, sizeof bytes - 1);
        cr_assert(n > 0);
        cr_expect(eq(ptr, strchr(bytes, '\n'), bytes + n - 1), "more than one line: %s", bytes);
        cr_expect(eq(int, strncmp(bytes, "loopdog: cannot write /tmp/", 27), 0), "%s", bytes);
        cr_expect(zero(ptr, strchr(bytes, '\033')), "the terminal's cursor is moved");
        cr_expect(not(zero(ptr, strstr(bytes, ": its folder does not exist (error 2); stalls are counted"))), "%s",
                  bytes);
}

/* ---- opened early ---- */

Test(sink, writes_to_a_file_that_was_opened_while_it_could_be)
{
        bool fresh;
        errno = EXDEV;
        sink_setup(in_folder("out.jsonl"), LIMIT);
        sink_keep();
        cr_expect(eq(int, errno, EXDEV));
        sink_begin();
        cr_expect(ge(int, sink_descriptor(), 900));
        sink_keep();
        char hidden[256];
        snprintf(hidden, sizeof hidden, "%s/hidden", folder);
        rename(path, hidden); /* as if by a chroot: the name leads nowhere now */
        cr_expect(zero(int, sink_line("one\n", 4, &fresh)));
        cr_expect(not(fresh));
        sink_close();
        cr_expect(zero(int, sink_line("two\n", 4, &fresh)), "it can't be opened again, so it stays open");
        cr_expect_str_eq(content_of(hidden), "one\ntwo\n");
        cr_expect(not(exists(path)));
}

Test(sink, shares_a_kept_file_with_a_child)
{
        bool fresh;
        sink_setup(in_folder("out.%p"), LIMIT);
        sink_keep();
        sink_begin();
        int kept = sink_descriptor();
        pid_t child = fork();
        if (child == 0) {
                sink_after_fork();
                sink_begin();
                _exit(sink_descriptor() != kept || sink_line("child\n", 6, &fresh) != 0);
        }
        int status;
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
        sink_line("parent\n", 7, &fresh);
        char name[256];
        snprintf(name, sizeof name, "%s/out.%d", folder, getpid());
        cr_expect_str_eq(content_of(name), "child\nparent\n");
}

Test(sink, keeps_the_very_file_that_it_writes_to_already)
{
        struct stat before, after;
        sink_setup(in_folder("out.%t"), LIMIT);
        sink_begin();
        cr_expect(zero(int, put("one\n")));
        cr_assert(zero(int, fstat(sink_descriptor(), &before)));
        sleep(1); /* another name by now */
        sink_keep();
        sink_close();
        sink_begin();
        cr_expect(zero(int, put("two\n")));
        cr_assert(zero(int, fstat(sink_descriptor(), &after)));
        cr_expect(eq(u64, after.st_ino, before.st_ino));
        cr_expect(eq(u64, (uint64_t)after.st_size, 16), "one process record only");
}

/* A host that closes all it does not know, and then uses the numbers itself. */
static void reuse_descriptors(const char *hosts)
{
        int kept = sink_descriptor();
        close_range(3, ~0u, 0);
        int fd = open(hosts, O_WRONLY | O_CREAT, 0600);
        while (fd >= 0 && fd < kept)
                fd = dup(fd);
        _exit(fd != kept || put("one\n") != 0);
}

Test(sink, never_writes_to_a_descriptor_that_the_host_has_closed_and_used_again)
{
        char hosts[256];
        int status;
        snprintf(hosts, sizeof hosts, "%s/hosts", folder);
        sink_setup(in_folder("out.jsonl"), LIMIT);
        sink_keep();
        sink_begin();
        pid_t child = fork(); /* Criterion needs its own descriptors */
        if (child == 0)
                reuse_descriptors(hosts);
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
        cr_expect_str_eq(content_of(hosts), "", "a record in the host's own file");
        cr_expect_str_eq(content_of(path), "process\none\n");
}

Test(sink, keeps_nothing_without_a_file)
{
        sink_setup(NULL, LIMIT);
        sink_keep();
        cr_expect(not(sink_is_file()));
        cr_expect(eq(int, sink_descriptor(), -1));
        sink_discard_unused();
}

Test(sink, removes_a_kept_file_that_was_never_used)
{
        sink_setup(in_folder("out.jsonl"), LIMIT);
        sink_keep();
        cr_expect(exists(path));
        errno = EXDEV;
        sink_discard_unused();
        cr_expect(eq(int, errno, EXDEV));
        cr_expect(not(exists(path)));
}

Test(sink, removes_no_file_that_was_used_by_anybody)
{
        bool fresh;
        sink_setup(in_folder("out.jsonl"), LIMIT);
        sink_keep();
        pid_t child = fork();
        if (child == 0) {
                sink_after_fork();
                sink_begin();
                sink_line("child\n", 6, &fresh);
                sink_discard_unused();
                _exit(0);
        }
        waitpid(child, NULL, 0);
        sink_discard_unused();
        cr_expect_str_eq(content_of(path), "child\n");
}

Test(sink, removes_no_file_of_an_earlier_run)
{
        FILE *earlier = fopen(in_folder("out.jsonl"), "w");
        fputs("earlier\n", earlier);
        fclose(earlier);
        sink_setup(path, LIMIT);
        sink_keep();
        sink_discard_unused();
        cr_expect_str_eq(content_of(path), "earlier\n");
}

Test(sink, removes_no_file_that_it_did_not_make)
{
        close(open(in_folder("out.jsonl"), O_WRONLY | O_CREAT, 0666));
        sink_setup(path, LIMIT);
        sink_keep();
        sink_discard_unused();
        cr_expect(exists(path), "an empty one, made with care for its rights");
        sink_setup("/dev/full", LIMIT);
        sink_discard_unused();
        cr_expect(exists("/dev/full"));
}

/* ---- what others have put in our way ---- */

/* A file of `owner`, in a folder of ours with this mode. */
static int put_into_a_file_of(uid_t owner, mode_t folder_mode)
{
        if (geteuid() != 0)
                cr_skip_test("only root can make another user's file");
        cr_assert(zero(int, chmod(folder, folder_mode)));
        int fd = open(in_folder("out.jsonl"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        cr_assert(ge(int, fd, 0));
        cr_assert(zero(int, fchown(fd, owner, owner)));
        close(fd);
        sink_setup(path, LIMIT);
        return put("one\n");
}

Test(sink, refuses_another_users_file_where_everybody_may_make_files)
{
        cr_expect(eq(int, put_into_a_file_of(65534, 01777), -EEXIST));
        cr_expect_str_eq(content_of(path), "");
}

Test(sink, takes_another_users_file_where_only_its_owner_could_have_made_it)
{
        cr_expect(zero(int, put_into_a_file_of(65534, 0755)));
}

Test(sink, takes_a_file_of_its_own_where_everybody_may_make_files)
{
        cr_expect(zero(int, put_into_a_file_of(geteuid(), 01777)));
}
