/* SPDX-License-Identifier: Apache-2.0
 *
 * hints.c - one line of advice
 *
 * A hint is given only where the system call, its descriptor and the state of the thread leave no doubt what it waits
 * for, and says what holds for C and for scripts alike. No hint is better than a wrong one.
 *
 * Context: watchdog, reader
 */
#include <stddef.h>
#include <string.h>

#include "record/frame.h"
#include "record/record.h"

static const struct hint {
        const char *calls;
        const char *states; /* of the thread: in 'S' it waits for somebody, in 'D' for a disk */
        const char *text;
} hints[] = {
        { "nanosleep clock_nanosleep", "S",
          "a sleep stops the whole loop: use a timer of the loop (an asynchronous sleep), or sleep in another thread" },
        { "fsync fdatasync msync sync_file_range syncfs sync", "SD",
          "this waits until the disk has written: do it in another thread, or less often" },
        { "flock fcntl", "SD",
          "somebody else holds the file's lock: try without waiting (LOCK_NB, F_SETLK) and again by a timer" },
        { "connect", "SD",
          "connecting waits for the other side: use a non-blocking socket or an asynchronous client, with a timeout" },
        { "wait4 waitid", "SD",
          "this waits for a child process: let the loop watch for its end (SIGCHLD, pidfd, an asynchronous spawn)" },
        { "futex", "SD",
          "this waits for another thread to wake it: let the loop wait for that (an eventfd), or wait in a thread" },
        { "poll ppoll select pselect6 epoll_wait epoll_pwait epoll_pwait2", "SD",
          "a wait within a callback, as of synchronous clients, name look-ups and spawns: use the asynchronous ones" },
        { "read readv recvfrom recvmsg", "S",
          "the data is not there yet and the descriptor blocks: let the loop wait for it, or read in another thread" },
        { "accept accept4", "SD",
          "nobody connects and the socket blocks: make it non-blocking and let the loop wait for it" },
        { "write writev sendto sendmsg sendfile", "S",
          "the other end (pipe, socket or terminal) is not read fast enough: drain it, or write without blocking" },
        { "read readv pread64 preadv write writev pwrite64 pwritev open openat newfstatat statx unlink unlinkat rename "
          "getdents64 truncate ftruncate fallocate",
          "D", "this waits for a disk or a network file system: do it in another thread" },
};

/* What a Python function has called, by the start of its name; the first that fits counts. The words hold for FastAPI,
 * aiohttp, Django and bare asyncio: what is said is what to do in an `async def`. */
struct python_hint {
        const char *called; /* words; one that ends in '.' is a package, any other the whole name or its beginning */
        const char *text;
};

static const struct python_hint python_hints[] = {
        { "time.sleep",
          "time.sleep blocks the loop; await asyncio.sleep, or move the call to a thread (asyncio.to_thread)" },
        { "requests.",
          "requests is synchronous: await an httpx.AsyncClient or aiohttp call, or use asyncio.to_thread" },
        { "urllib.request. urllib3. http.client. httplib2. httpx._api. httpx._client.Client",
          "this HTTP client is synchronous: await an httpx.AsyncClient or aiohttp call, or use asyncio.to_thread" },
        { "django.db.", "the database is asked synchronously: use the asynchronous methods (aget, acreate, async for), "
                        "or sync_to_async" },
        { "psycopg2. psycopg.connection.Connection psycopg.cursor.Cursor MySQLdb. mysql.connector. pymysql. pyodbc. "
          "pymongo. redis.client. redis.connection. sqlalchemy. peewee.",
          "this database client is synchronous: use an asynchronous one (asyncpg, aiomysql, motor, redis.asyncio), "
          "or asyncio.to_thread" },
        { "sqlite3. _sqlite3.",
          "sqlite3 is synchronous: use aiosqlite, or asyncio.to_thread with a connection of that thread" },
        { "boto3. botocore. smtplib. ftplib. imaplib. poplib. paramiko. kafka. pika. grpc._channel.",
          "this client is synchronous: use an asynchronous one (aioboto3, aiosmtplib, aiokafka, aio-pika, grpc.aio), "
          "or asyncio.to_thread" },
        { "subprocess. os.system os.popen posix.system posix.wait posix.wait3 posix.wait4 posix.waitid posix.waitpid",
          "this waits for a child process: await asyncio.create_subprocess_exec" },
        { "socket.getaddrinfo socket.gethostbyname socket.getfqdn _socket.getaddrinfo _socket.gethostbyname "
          "_socket.gethostbyname_ex _socket.gethostbyaddr _socket.getnameinfo dns.resolver.",
          "a name look-up waits for the network: await loop.getaddrinfo" },
        { "socket. _socket. ssl. _ssl. select.", "a synchronous socket: use asyncio's streams, or asyncio.to_thread" },
        { "_thread. threading. queue. _queue.",
          "this waits for another thread: use asyncio's own Lock, Event or Queue, or wait in asyncio.to_thread" },
        { "multiprocessing. _multiprocessing.",
          "this waits for another process: await loop.run_in_executor with a ProcessPoolExecutor, or wait in "
          "asyncio.to_thread" },
        { "concurrent.futures.", "result() blocks the loop: await asyncio.wrap_future, or loop.run_in_executor" },
        { "logging.",
          "a log handler waits while it writes: let a QueueHandler and a QueueListener write in a thread of theirs" },
        { "open io. _io. posix. os. posixpath. genericpath. shutil. pathlib. tempfile. glob.",
          "file access blocks the loop: use asyncio.to_thread, or aiofiles" },
        { "importlib. _imp. __import__", "an import in a request: import at the top of the module" },
};

/* These count only where the loop was on the CPU: json.load may as well wait for its file. */
static const struct python_hint python_computing[] = {
        { "json. _json. ujson. orjson. simplejson. msgpack. pickle. _pickle. marshal. copy.deepcopy yaml. _yaml. csv. "
          "_csv. xml. pyexpat. lxml. pydantic. fastapi.encoders.",
          "much data at once: make it smaller, stream it, or move it to a process pool (loop.run_in_executor); a "
          "thread would keep the GIL" },
        { "crypt. _crypt.",
          "hashing a password is meant to take long, and crypt keeps the GIL, also in a thread: use a "
          "process pool (loop.run_in_executor)" },
        { "hashlib.pbkdf2_hmac hashlib.scrypt _hashlib.pbkdf2_hmac _hashlib.scrypt bcrypt. _bcrypt. passlib. argon2. "
          "nacl.pwhash. werkzeug.security. django.contrib.auth.hashers.",
          "hashing a password is meant to take long: await asyncio.to_thread; in FastAPI a plain def route or "
          "run_in_threadpool, in Django a plain def view" },
        { "re. _sre. regex.", "this regular expression takes very long on this text: rewrite it without nested "
                              "repeats, or bound the text" },
        { "pandas. numpy. polars. scipy. sklearn. torch. tensorflow. PIL. cv2. hashlib. _hashlib. zlib. gzip. lzma. "
          "_lzma. bz2. _bz2. zipfile. tarfile.",
          "this computes for long: await asyncio.to_thread where it releases the GIL, else use a process pool "
          "(loop.run_in_executor)" },
};

/* Of any other call, and of the culprit's own work. */
static const char python_computes[] =
        "this computes for long: do it in pieces (await asyncio.sleep(0) in between), or in a process pool "
        "(loop.run_in_executor)";

bool record_has_word(const char *list, const char *word)
{
        size_t length = strlen(word);
        for (const char *at = list; length > 0 && (at = strstr(at, word)) != NULL; at += length)
                if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
                        return true;
        return false;
}

/* Does `name` begin with one of the words in `list`, as python_hint.called says? */
static bool begins_with_word(const char *list, const char *name)
{
        while (*list) {
                size_t length = strcspn(list, " ");
                char next = strncmp(list, name, length) == 0 ? name[length] : 'x';
                if (list[length - 1] == '.' ? strncmp(list, name, length) == 0 : next == '\0' || next == '.')
                        return true;
                list += length + (list[length] == ' ');
        }
        return false;
}

static const char *find_python(const struct python_hint *table, size_t count, const char *called)
{
        for (size_t i = 0; i < count; i++)
                if (begins_with_word(table[i].called, called))
                        return table[i].text;
        return NULL;
}

static const char *python_hint(const struct record_stall *stall)
{
        const char *called = stall->detail.called ? stall->detail.called : "";
        if (!stall->culprit || stall->culprit->lang != RECORD_PYTHON)
                return NULL;
        const char *hint = find_python(python_hints, sizeof(python_hints) / sizeof(python_hints[0]), called);
        if (hint || stall->cause != RECORD_CPU)
                return hint;
        hint = find_python(python_computing, sizeof(python_computing) / sizeof(python_computing[0]), called);
        return hint ? hint : python_computes;
}

/* Where it is known that the descriptor is a file's, it waits for a disk in every state: a file system that a program
 * serves (FUSE) lets its readers sleep as if at a pipe. */
static char state_of(const struct record_stall *stall)
{
        int main_stack = record_main_stack(stall);
        if (stall->detail.device && *stall->detail.device)
                return 'D';
        return main_stack >= 0 ? stall->stacks[main_stack].state : 0;
}

/* Without a state only a call that has one meaning in every state gives a hint. */
static bool fits_state(const struct hint *hint, char state)
{
        return state ? strchr(hint->states, state) != NULL : strcmp(hint->states, "SD") == 0;
}

/* Where the cause itself says what to do, whatever the call. */
static const char *hint_of_cause(const struct record_stall *stall)
{
        switch (stall->cause) {
        case RECORD_GIL:
                return "another thread keeps the GIL meanwhile: move its work to a process (ProcessPoolExecutor)";
        case RECORD_LOCK:
                if (stall->detail.deadlock)
                        return "only an end of the process helps now; take such locks in the same order everywhere";
                if (stall->others_count == 0)
                        break;
                return "let the thread that holds it give it back before it waits or computes, or try the lock and "
                       "come back to it later";
        case RECORD_PAGE_FAULT:
                if (stall->detail.wchan && strncmp(stall->detail.wchan, "rwsem_down", 10) == 0)
                        return "another thread changes the process's mappings meanwhile (mmap, munmap, mprotect, "
                               "fork): "
                               "do that less often, or in smaller pieces";
                if (stall->detail.what && strcmp(stall->detail.what, "swap") == 0)
                        return "its memory was swapped out: give the machine or the cgroup more memory, or lock it "
                               "(mlockall; memory.swap.max of its cgroup)";
                return "memory that is not there yet: touch or lock it before (MAP_POPULATE, mlock), or read such "
                       "files in another thread";
        case RECORD_STARVED:
                if (stall->detail.throttled_ns * 2 > stall->duration_ns)
                        return "raise the CPU quota of its cgroup (cpu.max; limits.cpu of a container), or use less";
                if (record_starves_itself(stall))
                        return "let fewer of its threads compute at a time than there are CPUs, or give that of the "
                               "loop a higher priority (nice)";
                return "give the program a CPU of its own, or a higher priority than what runs beside it";
        case RECORD_UNKNOWN:
        case RECORD_CPU:
        case RECORD_BLOCKED:
        case RECORD_SUSPENDED:
                break;
        }
        return NULL;
}

const char *record_hint(const struct record_stall *stall)
{
        const char *hint = hint_of_cause(stall);
        if (hint)
                return hint;
        hint = python_hint(stall);
        if (hint)
                return hint;
        if (stall->cause != RECORD_BLOCKED || !stall->detail.call)
                return NULL;
        char state = state_of(stall);
        for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
                if (record_has_word(hints[i].calls, stall->detail.call) && fits_state(&hints[i], state))
                        return hints[i].text;
        return NULL;
}

/* Why there is no stack, by words of the reason (capture_loss_text), and what gets one the next time. */
static const struct remedy {
        const char *words;
        const char *text;
} remedies[] = {
        { "dumpable",
          "let the program call prctl(PR_SET_DUMPABLE, 1) after it changed its user, or start it as that user" },
        { "no /proc", "mount /proc where the program runs" },
        { "a seccomp filter forbids",
          "allow process_vm_readv, rt_tgsigqueueinfo, openat and pread64 in the filter, and install it before the first"
          " wait" },
        { "a seccomp filter of its own", "install the filter before the first wait" },
        { "RLIMIT_NOFILE", "raise the limit of open files (ulimit -n)" },
        { "no memory left", "raise RLIMIT_AS, or RLIMIT_MEMLOCK where it locks its memory, by some 8 MB" },
        { "process_vm_readv", "allow process_vm_readv in the program's seccomp filter" },
        { "alternate signal stack", "make the thread's alternate signal stack sysconf(_SC_SIGSTKSZ) bytes or larger" },
        { "a coroutine's",
          "give the program's coroutines stacks of at least 16 KB, or the thread an alternate signal stack" },
        { "loopdog's signal", "name a real-time signal that the program neither uses nor blocks: LOOPDOG_SIGNAL" },
};

const char *record_remedy(const char *reason)
{
        for (size_t i = 0; reason && i < sizeof(remedies) / sizeof(remedies[0]); i++)
                if (strstr(reason, remedies[i].words))
                        return remedies[i].text;
        return NULL;
}
