/* SPDX-License-Identifier: Apache-2.0
 *
 * tsan_main.c - run Criterion's tests without Criterion's processes
 *
 * Criterion starts each test in a sandbox whose memory lies where ThreadSanitizer has its own, and aborts (Criterion
 * issue 274, open since 2018). So under TSan the unit tests are linked with this program instead: it takes the tests
 * from the same table, runs each in a plain fork, and answers the calls that the assertions make. It knows what our
 * tests use: fixtures, expected signals and exit codes, parameters; no theories, no timeouts (meson has one), no
 * filters.
 *
 * Context: unit tests built with -Db_sanitize=thread
 */
#include <criterion/criterion.h>
#include <criterion/event.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_FAILED 99 /* of a child in which an assertion failed */

/* The tables that the macros Test and TestSuite fill; the second may be missing. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak)), *__stop_cr_sts[] __attribute__((weak));

static const struct criterion_test *current;
static void *parameter;
static bool failed;

static const struct criterion_test_extra_data *suite_data(const struct criterion_test *test)
{
        static const struct criterion_test_extra_data none;
        for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++)
                if (*suite != NULL && strcmp((*suite)->name, test->category) == 0 && (*suite)->data != NULL)
                        return (*suite)->data;
        return &none;
}

/* ------------------------------------------------------------------------------ called by the tests and assertions */

void criterion_internal_test_setup(void)
{
        if (suite_data(current)->init != NULL)
                suite_data(current)->init();
        if (current->data->init != NULL)
                current->data->init();
}

void criterion_internal_test_main(void (*function)(void))
{
        if (current->data->kind_ == CR_TEST_PARAMETERIZED)
                ((void (*)(void *))function)(parameter);
        else
                function();
}

void criterion_internal_test_teardown(void)
{
        if (current->data->fini != NULL)
                current->data->fini();
        if (suite_data(current)->fini != NULL)
                suite_data(current)->fini();
}

void criterion_send_assert(struct criterion_assert_stats *assertion)
{
        if (assertion->passed)
                return;
        failed = true;
        fprintf(stderr, "%s:%u: %s\n", assertion->file, assertion->line, assertion->message);
}

void criterion_abort_test(void)
{
        fflush(NULL);
        _exit(STATUS_FAILED);
}

/* Counters of Criterion's own worker, which does not exist here. */
void cri_asserts_passed_incr(void);
void cri_asserts_passed_incr(void)
{
}

/* ------------------------------------------------------------------------------------------------------ the runner */

static void run_here(const struct criterion_test *test)
{
        current = test;
        if (test->data->kind_ == CR_TEST_PARAMETERIZED) {
                struct criterion_test_params parameters = test->data->param_();
                for (size_t i = 0; i < parameters.length; i++) {
                        parameter = (char *)parameters.params + i * parameters.size;
                        test->test();
                }
        } else {
                test->test();
        }
        /* exit, so that TSan reports what it found only at the end. */
        exit(failed ? STATUS_FAILED : 0);
}

/* 0 where the child ended as the test expects, else 1 with a line that says how. */
static int judge(const struct criterion_test *test, int status)
{
        int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        int expected_signal = test->data->signal ? test->data->signal : suite_data(test)->signal;
        int expected_code = test->data->exit_code ? test->data->exit_code : suite_data(test)->exit_code;
        if (signal == expected_signal && code == expected_code)
                return 0;
        fprintf(stderr, "FAILED: %s/%s (signal %d, exit code %d)\n", test->category, test->name, signal, code);
        return 1;
}

static int run(const struct criterion_test *test)
{
        if (test->data->disabled || suite_data(test)->disabled)
                return 0;
        if (test->data->kind_ != CR_TEST_NORMAL && test->data->kind_ != CR_TEST_PARAMETERIZED) {
                fprintf(stderr, "FAILED: %s/%s is of a kind that tsan_main.c does not know\n", test->category,
                        test->name);
                return 1;
        }
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
                run_here(test);
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child) {
                perror("tsan_main: fork or waitpid");
                return 1;
        }
        return judge(test, status);
}

int main(void)
{
        unsigned count = 0, failures = 0;
        for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
                if (*test == NULL)
                        continue;
                count++;
                failures += (unsigned)run(*test);
        }
        printf("%u tests without Criterion's sandbox, %u failed\n", count, failures);
        return count == 0 || failures != 0;
}
