/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What may take longer than a turn is done by a child: what writes and syncs, uefivars-make, asking
 * /proc who has a store open, and everything in a file system other than SOURCE's own, which may
 * never answer (FUSE, a server that is gone). The child sends its answer as a packet, or becomes a
 * program whose status is an errno and whose packet is its text. When its time is over its alarm
 * ends it, and it is answered for, dead or not: one that the kernel does not let go is waited for
 * in the background, and until then nothing more is asked there.
 */

#include "broker-private.h"

#include "beneath.h"
#include "fd.h"
#include "fds.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNNING_MAX 8 /* of those that wait for no other file system */
#define FAR_MAX 24
#define OF_GUEST_MAX 6
#define SLOW_S 120
#define FAR_SLOW_S 20
#define FAR_S 2

typedef struct {
    FsBroker *broker;
    FsQuestion question;
    int fds[FS_QUESTION_FDS];
    FsFilesWork work;
    bool slow, far;
    bool over; /* its time: it is answered for */
    int pidfd; /* -1: it waits for another one */
    int output_fd;
    FsWatch end;
    GSource *deadline;
} FsWork;

static void work_free(FsWork *work)
{
    fs_watch_remove(&work->end);
    if (work->deadline)
        g_source_destroy(work->deadline);
    g_clear_pointer(&work->deadline, g_source_unref);
    fs_packet_close(work->fds);
    uv_fd_clear(&work->pidfd);
    uv_fd_clear(&work->output_fd);
    g_free(work);
}

static unsigned seconds_of(const FsWork *work)
{
    if (!work->far)
        return SLOW_S;
    return work->slow ? FAR_SLOW_S : FAR_S;
}

/* It may outlive the broker, and must keep no lock then. */
static G_GNUC_NORETURN void be_child(FsWork *work, int output_fd)
{
    FsJob job = broker_job(work->broker, &work->question, work->fds);
    int kept[] = {work->fds[0], work->fds[1], work->fds[2], output_fd, work->broker->local->fd};

    alarm(seconds_of(work)); /* also as another program */
    uv_close_all_but(kept, G_N_ELEMENTS(kept));
    fs_beneath_stay(false);
    job.far = true;
    job.output_fd = output_fd;
    job.answer.error = work->work(&job);
    _exit(-fs_packet_send(output_fd, &job.answer, sizeof(job.answer), job.answer_fds,
                          fs_packet_count(job.answer_fds)));
}

/* The answer that a child which has ended like this has sent; its error. */
static int receive(const FsWork *work, const siginfo_t *ended, FsJob *ret_job)
{
    FsAnswer *answer = &ret_job->answer;

    if (ended->si_code != CLD_EXITED) {
        g_strlcpy(answer->text, "it took too long", sizeof(answer->text));
        return -ETIMEDOUT;
    }
    if (ended->si_status != 0) {
        const ssize_t size = read(work->output_fd, answer->text, sizeof(answer->text) - 1);
        answer->text[MAX(size, 0)] = '\0';
        return -ended->si_status;
    }
    /* A program that had nothing to say has succeeded. */
    return fs_packet_receive(work->output_fd, answer, sizeof(*answer), ret_job->answer_fds) < 0
               ? 0
               : answer->error;
}

static void conclude(FsWork *work, const siginfo_t *ended)
{
    FsJob job = broker_job(work->broker, &work->question, work->fds);
    const int result = receive(work, ended, &job);

    job.answer.kind = FS_TELL_ANSWER;
    job.answer.id = work->question.id;
    broker_conclude(&job, result);
}

static void start_next(FsBroker *broker);

static void on_end(void *data, uint32_t events)
{
    FsWork *work = data;
    FsBroker *broker = work->broker;
    siginfo_t info;

    if (!uv_child_reap(work->pidfd, &info))
        return;
    g_queue_remove(&broker->works, work);
    if (!work->over)
        conclude(work, &info);
    work_free(work);
    start_next(broker);
}

static gboolean on_deadline(void *data)
{
    const siginfo_t killed = {.si_code = CLD_KILLED};
    FsWork *work = data;

    work->over = true; /* it has had its alarm */
    conclude(work, &killed);
    start_next(work->broker);
    return G_SOURCE_REMOVE;
}

static int start(FsWork *work)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    const pid_t pid = fork();
    if (pid == 0)
        be_child(work, ends[1]);
    uv_fd_clear(&ends[1]); /* room for the next one */
    work->output_fd = ends[0];
    work->pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (work->pidfd < 0)
        return -errno;
    fs_packet_close(work->fds);
    fs_watch_add(&work->end, work->broker->poll, work->pidfd, EPOLLIN, on_end, work);
    work->deadline = g_timeout_source_new_seconds(seconds_of(work));
    g_source_set_callback(work->deadline, on_deadline, work, NULL);
    g_source_attach(work->deadline, NULL);
    return 0;
}

static bool same_guest(const FsWork *work, const FsWork *other)
{
    return *work->question.guest && strcmp(work->question.guest, other->question.guest) == 0;
}

/* What writes is done one after the other for one guest, and not too much of it at once. */
static bool may_start(const FsWork *work)
{
    unsigned running = 0;

    for (const GList *link = work->broker->works.head; link && work->slow; link = link->next) {
        const FsWork *other = link->data;
        if (other->pidfd < 0 || other->over || !other->slow)
            continue;
        if (same_guest(work, other))
            return false;
        running += !other->far;
    }
    return work->far || running < RUNNING_MAX;
}

static void start_next(FsBroker *broker)
{
    for (GList *link = broker->works.head; link; link = link->next) {
        const siginfo_t failed = {.si_code = CLD_EXITED, .si_status = EAGAIN};
        FsWork *work = link->data;
        if (work->pidfd >= 0 || !may_start(work) || start(work) == 0)
            continue;
        g_queue_remove(&broker->works, work);
        conclude(work, &failed);
        work_free(work);
        return;
    }
}

/* 0, or why there is no room. */
static int find_room(const FsWork *work)
{
    unsigned far = 0, of_guest = 0;

    for (const GList *link = work->broker->works.head; link; link = link->next) {
        const FsWork *other = link->data;
        if (other->over && same_guest(work, other))
            return -ETIMEDOUT;
        far += other->far && !other->over;
        of_guest += same_guest(work, other);
    }
    return of_guest >= OF_GUEST_MAX || (work->far && far >= FAR_MAX) ? -EBUSY : 0;
}

int broker_work(FsJob *job, FsFilesWork function, bool slow, bool far)
{
    FsBroker *broker = job->broker;
    FsWork *work = g_new0(FsWork, 1);
    int result;

    *work = (FsWork){.broker = broker,
                     .question = *job->question,
                     .fds = {-1, -1, -1},
                     .work = function,
                     .slow = slow,
                     .far = far,
                     .pidfd = -1,
                     .output_fd = -1};
    result = find_room(work);
    if (result < 0) {
        work_free(work);
        return result;
    }
    for (int i = 0; i < FS_QUESTION_FDS; i++)
        work->fds[i] = uv_fd_steal(&job->fds[i]);
    g_queue_push_tail(&broker->works, work);
    start_next(broker);
    return 0;
}

void broker_end_works(FsBroker *broker)
{
    FsWork *work;

    while ((work = g_queue_pop_head(&broker->works)))
        work_free(work);
}
