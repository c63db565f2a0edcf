/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hints.c - record/hints.c: one line of advice, and none that could be wrong
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <string.h>

#include "capture/sample.h"
#include "record/frame.h"
#include "record/record.h"
#include "record_samples.h"

static const char *hint_for(const char *call, char state)
{
        struct record_stack stack = { .count = 1, .state = state };
        struct record_stall stall = {
                .cause = RECORD_BLOCKED, .detail = { .call = call }, .stacks = &stack, .stacks_count = 1
        };
        return record_hint(&stall);
}

static void expect_hint(const char *call, char state, const char *word)
{
        const char *hint = hint_for(call, state);
        cr_assert_not_null(hint, "%s %c", call, state);
        cr_expect_not_null(strstr(hint, word), "%s %c: %s", call, state, hint);
        cr_expect_leq(strlen(hint), 110);
}

Test(hint, fits_call_and_state)
{
        expect_hint("clock_nanosleep", 'S', "sleep");
        expect_hint("nanosleep", 'S', "sleep");
        expect_hint("fsync", 'D', "disk");
        expect_hint("fdatasync", 'S', "disk");
        expect_hint("flock", 'S', "lock");
        expect_hint("fcntl", 'S', "lock");
        expect_hint("connect", 'S', "connecting");
        expect_hint("wait4", 'S', "child");
        expect_hint("waitid", 'S', "child");
        expect_hint("futex", 'S', "another thread");
        expect_hint("poll", 'S', "synchronous clients");
        expect_hint("write", 'S', "not read fast enough");
        expect_hint("write", 'D', "disk");
        expect_hint("read", 'S', "not there yet");
        expect_hint("read", 'D', "disk");
}

Test(hint, is_not_given_where_it_could_be_wrong)
{
        cr_expect_null(hint_for("clock_nanosleep", 'D'));
        cr_expect_null(hint_for("openat", 'S'));
        cr_expect_null(hint_for("ioctl", 'S'));
        cr_expect_null(hint_for("sleep", 'S')); /* a part of a word in the table */
        cr_expect_null(hint_for("", 'S'));
        cr_expect_null(hint_for(NULL, 'S'));
        cr_expect_null(hint_for("write", 0)); /* a pipe, or a disk? */
        expect_hint("futex", 0, "another thread");
        struct record_stall busy = { .cause = RECORD_CPU, .detail = { .call = "poll" } };
        cr_expect_null(record_hint(&busy));
}

/* With the words that the capture stage really uses. */
Test(hint, tells_how_to_get_stacks)
{
        static const struct {
                enum capture_loss loss;
                const char *word;
        } cases[] = {
                { CAPTURE_NOT_DUMPABLE, "PR_SET_DUMPABLE" },
                { CAPTURE_NO_PROC, "mount" },
                { CAPTURE_UNREADABLE, "seccomp" },
                { CAPTURE_NO_MEMORY, "RLIMIT_MEMLOCK" },
                { CAPTURE_FILTERED, "rt_tgsigqueueinfo" },
                { CAPTURE_FILTERED_THREAD, "before the first wait" },
                { CAPTURE_NO_FILES, "ulimit -n" },
                { CAPTURE_SIGNAL_BLOCKED, "LOOPDOG_SIGNAL" },
                { CAPTURE_SIGNAL_TAKEN, "LOOPDOG_SIGNAL" },
                { CAPTURE_NO_ROOM, "_SC_SIGSTKSZ" },
                { CAPTURE_SMALL_STACK, "16 KB" },
                { CAPTURE_SIGNAL_UNWANTED, NULL },
                { CAPTURE_IN_HANDLER, NULL },
                { CAPTURE_SIGNAL_LATE, NULL },
                { CAPTURE_ENDED, NULL },
                { CAPTURE_MOVED, NULL },
                { CAPTURE_STOPPED, NULL },
                { CAPTURE_GONE, NULL },
        };
        for (size_t i = 0; i < COUNT(cases); i++) {
                const char *remedy = record_remedy(capture_loss_text(cases[i].loss));
                if (!cases[i].word)
                        cr_expect_null(remedy, "%s", remedy);
                else
                        cr_expect(remedy && strstr(remedy, cases[i].word), "%s", capture_loss_text(cases[i].loss));
        }
        cr_expect_null(record_remedy(NULL));
}

/* ---- Python ---- */

static const char *python_hint_for(enum record_cause cause, const char *called, const char *call)
{
        static const struct record_frame culprit = PYTHON("view", "/srv/app.py", 8);
        static const struct record_stack stack = { .count = 1, .state = 'S' };
        struct record_stall stall = { .cause = cause,
                                      .culprit = &culprit,
                                      .detail = { .call = call, .called = called },
                                      .stacks = &stack,
                                      .stacks_count = 1 };
        return record_hint(&stall);
}

static const struct python_case {
        const char *called, *words;
} waiting[] = {
        { "time.sleep", "await asyncio.sleep" },
        { "requests.api.get", "httpx.AsyncClient" },
        { "requests.sessions.Session.request", "httpx.AsyncClient" },
        { "urllib.request.urlopen", "httpx.AsyncClient" },
        { "urllib3.request.RequestMethods.request", "httpx.AsyncClient" },
        { "http.client.HTTPConnection.getresponse", "httpx.AsyncClient" },
        { "httpx._api.get", "httpx.AsyncClient" },
        { "httpx._client.Client.get", "httpx.AsyncClient" },
        { "psycopg2.connect", "asyncpg" },
        { "psycopg2.extensions.cursor.execute", "asyncpg" },
        { "psycopg.cursor.Cursor.execute", "asyncpg" },
        { "pymysql.cursors.Cursor.execute", "aiomysql" },
        { "redis.client.Redis.execute_command", "redis.asyncio" },
        { "pymongo.collection.Collection.find_one", "motor" },
        { "sqlalchemy.orm.session.Session.execute", "asyncio.to_thread" },
        { "django.db.models.query.QuerySet.get", "sync_to_async" },
        { "sqlite3.Connection.execute", "aiosqlite" },
        { "sqlite3.connect", "aiosqlite" },
        { "botocore.client.ClientCreator._create_api_method.<locals>._api_call", "aioboto3" },
        { "smtplib.SMTP.sendmail", "aiosmtplib" },
        { "subprocess.run", "asyncio.create_subprocess_exec" },
        { "subprocess.Popen.communicate", "asyncio.create_subprocess_exec" },
        { "os.popen", "asyncio.create_subprocess_exec" },
        { "posix.system", "asyncio.create_subprocess_exec" },
        { "posix.waitpid", "asyncio.create_subprocess_exec" },
        { "socket.getaddrinfo", "loop.getaddrinfo" },
        { "_socket.gethostbyname", "loop.getaddrinfo" },
        { "_socket.gethostbyname_ex", "loop.getaddrinfo" },
        { "socket.create_connection", "asyncio's streams" },
        { "_socket.socket.recv", "asyncio's streams" },
        { "ssl.SSLSocket.read", "asyncio's streams" },
        { "_thread.lock.acquire", "asyncio's own Lock" },
        { "_thread.RLock.acquire", "asyncio's own Lock" },
        { "threading.Event.wait", "asyncio's own Lock, Event" },
        { "threading.Thread.join", "asyncio.to_thread" },
        { "queue.Queue.get", "Queue" },
        { "_queue.SimpleQueue.get", "Queue" },
        { "multiprocessing.pool.ApplyResult.get", "another process" },
        { "concurrent.futures._base.Future.result", "asyncio.wrap_future" },
        { "io.open", "aiofiles" },
        { "_io.open", "aiofiles" },
        { "_io.TextIOWrapper.read", "asyncio.to_thread" },
        { "posix.read", "asyncio.to_thread" },
        { "posix.listdir", "asyncio.to_thread" },
        { "pathlib.Path.read_text", "asyncio.to_thread" },
        { "shutil.copyfile", "asyncio.to_thread" },
        { "logging.Logger.info", "QueueHandler" },
        { "importlib._bootstrap._find_and_load", "top of the module" },
}, computing[] = {
        { "json.dumps", "process pool" },
        { "json.load", "process pool" },
        { "orjson.dumps", "process pool" },
        { "_pickle.dumps", "process pool" },
        { "yaml.safe_load", "process pool" },
        { "fastapi.encoders.jsonable_encoder", "process pool" },
        { "_hashlib.pbkdf2_hmac", "run_in_threadpool" },
        { "_hashlib.scrypt", "a plain def route" },
        { "bcrypt.hashpw", "asyncio.to_thread" },
        { "argon2._password_hasher.PasswordHasher.hash", "asyncio.to_thread" },
        { "django.contrib.auth.hashers.make_password", "asyncio.to_thread" },
        { "crypt.crypt", "process pool" },
        { "_hashlib.openssl_sha256", "releases the GIL" },
        { "zlib.compress", "releases the GIL" },
        { "re.match", "regular expression" },
        { "re.Pattern.sub", "regular expression" },
        { "pandas.io.parsers.readers.read_csv", "asyncio.to_thread" },
        { "pandas.core.frame.DataFrame.merge", "asyncio.to_thread" },
        { "numpy.ndarray.sort", "asyncio.to_thread" },
        { "blocking.busy", "await asyncio.sleep(0)" },
        { "", "await asyncio.sleep(0)" },
};

static void expect_python_hint(enum record_cause cause, const struct python_case *wanted)
{
        const char *hint = python_hint_for(cause, wanted->called, cause == RECORD_BLOCKED ? "clock_nanosleep" : NULL);
        cr_assert_not_null(hint, "%s", wanted->called);
        cr_expect_not_null(strstr(hint, wanted->words), "%s: %s", wanted->called, hint);
        cr_expect_leq(strlen(hint), 150, "%s", hint);
}

Test(hint, knows_what_blocks_in_python)
{
        for (size_t i = 0; i < COUNT(waiting); i++)
                expect_python_hint(RECORD_BLOCKED, &waiting[i]);
}

Test(hint, knows_what_computes_in_python)
{
        for (size_t i = 0; i < COUNT(computing); i++)
                expect_python_hint(RECORD_CPU, &computing[i]);
}

/* json.load waits for its file, a hash for nobody: then the system call says what to do. */
Test(hint, of_what_computes_is_not_given_where_it_waits)
{
        for (size_t i = 0; i < COUNT(computing); i++) {
                const char *hint = python_hint_for(RECORD_BLOCKED, computing[i].called, "read");
                cr_assert_not_null(hint);
                cr_expect_not_null(strstr(hint, "not there yet"), "%s: %s", computing[i].called, hint);
                cr_expect_null(python_hint_for(RECORD_BLOCKED, computing[i].called, "ioctl"));
        }
}

Test(hint, is_not_taken_from_a_similar_name)
{
        static const char *const others[] = { "requests_cache.get",     "opener",       "open_file",
                                              "time.sleeper",           "os_tools.f",   "httpx._client.ClientState",
                                              "urllib.parse.urlencode", "asyncpg.fetch" };
        for (size_t i = 0; i < COUNT(others); i++)
                cr_expect_null(python_hint_for(RECORD_BLOCKED, others[i], "ioctl"), "%s", others[i]);
}

/* A culprit in C has called nothing that the table of Python's functions knows. */
Test(hint, of_python_is_not_given_to_others)
{
        static const struct record_frame native = NATIVE("work", "/srv/server", NULL, 0x10);
        struct record_stall stall = { .cause = RECORD_CPU, .culprit = &native, .detail = { .called = "time.sleep" } };
        cr_expect_null(record_hint(&stall));
        stall.culprit = NULL;
        cr_expect_null(record_hint(&stall));
}
