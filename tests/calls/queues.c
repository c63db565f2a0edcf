/* SPDX-License-Identifier: Apache-2.0
 *
 * queues.c - semaphores and message queues between processes, System V's and POSIX's
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

/* ---- System V ---- */

struct message {
        long type;
        char text[1024];
};

static void make_semaphore(struct scene *scene)
{
        scene->id = semget(IPC_PRIVATE, 1, 0600);
        NEED(scene->id >= 0);
}

static void give(struct scene *scene)
{
        struct sembuf one = { .sem_num = 0, .sem_op = 1 };
        scene_try(semop(scene->id, &one, 1) == 0);
}

static long saw_semaphore(struct scene *scene, long result)
{
        int error = errno;
        scene_saw(scene, "value %d", semctl(scene->id, 0, GETVAL));
        semctl(scene->id, 0, IPC_RMID);
        errno = error;
        return result;
}

static long do_semop(struct scene *scene)
{
        struct sembuf take = { .sem_num = 0, .sem_op = -1 };
        return saw_semaphore(scene, semop(scene->id, &take, 1));
}

static long do_raw_semop(struct scene *scene)
{
        struct sembuf take = { .sem_num = 0, .sem_op = -1 };
        return saw_semaphore(scene, RAW(SYS_semop, scene->id, &take, 1, 0, 0, 0));
}

static long do_semtimedop(struct scene *scene)
{
        struct sembuf take = { .sem_num = 0, .sem_op = -1 };
        return saw_semaphore(scene, semtimedop(scene->id, &take, 1, calls_limit()));
}

static void make_queue(struct scene *scene)
{
        scene->id = msgget(IPC_PRIVATE, 0600);
        NEED(scene->id >= 0);
}

static void make_full_queue(struct scene *scene)
{
        struct message message = { .type = 1 };
        make_queue(scene);
        while (msgsnd(scene->id, &message, sizeof(message.text), IPC_NOWAIT) == 0)
                ;
}

static void send_message(struct scene *scene)
{
        struct message message = { .type = 7 };
        scene_try(msgsnd(scene->id, &message, sizeof(message.text), 0) == 0);
}

static void take_message(struct scene *scene)
{
        struct message message;
        scene_try(msgrcv(scene->id, &message, sizeof(message.text), 0, 0) >= 0);
}

static long saw_queue(struct scene *scene, long result, long type)
{
        struct msqid_ds about = { .msg_qnum = 0 };
        int error = errno;
        msgctl(scene->id, IPC_STAT, &about);
        scene_saw(scene, "type %ld, %lu messages", type, about.msg_qnum);
        msgctl(scene->id, IPC_RMID, NULL);
        errno = error;
        return result;
}

static long do_msgrcv(struct scene *scene)
{
        struct message message = { .type = 0 };
        long result = msgrcv(scene->id, &message, sizeof(message.text), 0, 0);
        return saw_queue(scene, result, message.type);
}

static long do_msgsnd(struct scene *scene)
{
        struct message message = { .type = 1 };
        return saw_queue(scene, msgsnd(scene->id, &message, sizeof(message.text), 0), 0);
}

/* ---- POSIX ---- */

#define MQ_BYTES 64
#define KERNEL_COPIES 64 /* a queue below has the agent do without a table of descriptors of its own */

static void make_mq(struct scene *scene)
{
        static _Atomic int number;
        struct mq_attr attributes = { .mq_maxmsg = 2, .mq_msgsize = MQ_BYTES };
        char name[64];
        snprintf(name, sizeof(name), "/calls-%d-%d", (int)getpid(), ++number);
        int low = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
        if (low < 0) {
                scene->skipped = "no POSIX message queue can be made here";
                scene->id = -1;
                return;
        }
        scene->id = fcntl(low, F_DUPFD_CLOEXEC, KERNEL_COPIES);
        NEED(scene->id >= 0 && close(low) == 0);
        mq_unlink(name);
}

static void make_full_mq(struct scene *scene)
{
        make_mq(scene);
        for (int i = 0; i < 2 && scene->id >= 0; i++)
                NEED(mq_send(scene->id, "12345", 5, 3) == 0);
}

static void mq_give(struct scene *scene)
{
        scene_try(mq_send(scene->id, "123", 3, 5) == 0);
}

static void mq_take(struct scene *scene)
{
        char text[MQ_BYTES];
        scene_try(mq_receive(scene->id, text, sizeof(text), NULL) == 5);
}

static long saw_mq(struct scene *scene, long result, unsigned priority)
{
        struct mq_attr attributes = { .mq_curmsgs = -1 };
        int error = errno;
        mq_getattr(scene->id, &attributes);
        scene_saw(scene, "priority %u, %ld messages", priority, attributes.mq_curmsgs);
        mq_close(scene->id);
        errno = error;
        return result;
}

static long do_mq_receive(struct scene *scene)
{
        char text[MQ_BYTES];
        unsigned priority = 77;
        long result = mq_receive(scene->id, text, sizeof(text), &priority);
        return saw_mq(scene, result, priority);
}

static long do_mq_timedreceive(struct scene *scene)
{
        char text[MQ_BYTES];
        unsigned priority = 77;
        struct timespec t = calls_deadline(CLOCK_REALTIME);
        long result = mq_timedreceive(scene->id, text, sizeof(text), &priority, &t);
        return saw_mq(scene, result, priority);
}

static long do_mq_send(struct scene *scene)
{
        return saw_mq(scene, mq_send(scene->id, "1234", 4, 0), 0);
}

static long do_mq_timedsend(struct scene *scene)
{
        struct timespec t = calls_deadline(CLOCK_REALTIME);
        return saw_mq(scene, mq_timedsend(scene->id, "1234", 4, 0, &t), 0);
}

const struct call calls_queues[] = {
        { "semop", make_semaphore, do_semop, give, 0, 0, SYS_semtimedop, MENDED },
        { "semop, raw", make_semaphore, do_raw_semop, give, 0, 0, SYS_semop, MENDED },
        { "semtimedop", make_semaphore, do_semtimedop, NULL, -1, EAGAIN, SYS_semtimedop, MENDED },
        { "msgrcv", make_queue, do_msgrcv, send_message, 1024, 0, SYS_msgrcv, MENDED },
        { "msgsnd", make_full_queue, do_msgsnd, take_message, 0, 0, SYS_msgsnd, MENDED },
        { "mq_receive", make_mq, do_mq_receive, mq_give, 3, 0, SYS_mq_timedreceive, RESTARTED },
        { "mq_timedreceive", make_mq, do_mq_timedreceive, NULL, -1, ETIMEDOUT, SYS_mq_timedreceive, RESTARTED },
        { "mq_send", make_full_mq, do_mq_send, mq_take, 0, 0, SYS_mq_timedsend, RESTARTED },
        { "mq_timedsend", make_full_mq, do_mq_timedsend, NULL, -1, ETIMEDOUT, SYS_mq_timedsend, RESTARTED },
        { 0 },
};
