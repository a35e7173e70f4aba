/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What may take longer than a turn is done by a child: what writes and syncs, uefivars-make, asking
 * /proc who has a store open, and everything in a file system other than SOURCE's own, which may
 * never answer (FUSE, a server that is gone). The child sends its answer as a packet, or becomes a
 * program whose status is an errno and whose packet is its text. When its time is over it is killed
 * and answered for, dead or not: one that the kernel does not let go is waited for in the
 * background, and until then nothing more is asked there.
 */

#include "monitor-private.h"

#include "beneath.h"
#include "fd.h"
#include "fds.h"

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
    FsMonitor *monitor;
    FsQuestion question;
    int fds[FS_QUESTION_FDS];
    FsFilesWork work;
    bool slow, far;
    bool over; /* its time: it was killed, and is answered for */
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

/* It may outlive the monitor, and must keep no lock then. */
static G_GNUC_NORETURN void be_child(FsWork *work, int output_fd)
{
    FsAsked asked = monitor_asked(work->monitor, &work->question, work->fds);
    int kept[] = {work->fds[0], work->fds[1], work->fds[2], output_fd, work->monitor->source->fd};

    uv_close_all_but(kept, G_N_ELEMENTS(kept));
    fs_beneath_stay(false);
    asked.far = true;
    asked.output_fd = output_fd;
    asked.answer.error = work->work(&asked);
    _exit(-fs_packet_send(output_fd, &asked.answer, sizeof(asked.answer), asked.answer_fds,
                          fs_packet_count(asked.answer_fds)));
}

/* The answer that a child which has ended like this has sent; its error. */
static int receive(const FsWork *work, const siginfo_t *ended, FsAsked *ret_asked)
{
    FsAnswer *answer = &ret_asked->answer;

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
    return fs_packet_receive(work->output_fd, answer, sizeof(*answer), ret_asked->answer_fds) < 0
               ? 0
               : answer->error;
}

static void conclude(FsWork *work, const siginfo_t *ended)
{
    FsAsked asked = monitor_asked(work->monitor, &work->question, work->fds);
    const int result = receive(work, ended, &asked);

    work->monitor->deferred -= work->question.id != 0;
    asked.answer.kind = FS_TELL_ANSWER;
    asked.answer.id = work->question.id;
    monitor_conclude(&asked, result);
}

static void start_next(FsMonitor *monitor);

static void on_end(void *data, uint32_t events)
{
    FsWork *work = data;
    FsMonitor *monitor = work->monitor;
    siginfo_t info = {0};

    if (waitid(P_PIDFD, (id_t)work->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return;
    g_queue_remove(&monitor->works, work);
    if (!work->over)
        conclude(work, &info);
    work_free(work);
    start_next(monitor);
}

static gboolean on_deadline(void *data)
{
    const siginfo_t killed = {.si_code = CLD_KILLED};
    FsWork *work = data;

    syscall(SYS_pidfd_send_signal, work->pidfd, SIGKILL, NULL, 0);
    work->over = true;
    conclude(work, &killed);
    start_next(work->monitor);
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
    uv_fd_clear(&ends[1]);
    work->output_fd = ends[0];
    work->pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (work->pidfd < 0) {
        const int result = -errno;
        if (pid > 0 && kill(pid, SIGKILL) == 0)
            waitpid(pid, NULL, 0);
        return result;
    }
    fs_packet_close(work->fds);
    fs_watch_add(&work->end, work->monitor->poll, work->pidfd, EPOLLIN, on_end, work);
    work->deadline = g_timeout_source_new_seconds(!work->far   ? SLOW_S
                                                  : work->slow ? FAR_SLOW_S
                                                               : FAR_S);
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

    for (const GList *link = work->monitor->works.head; link && work->slow; link = link->next) {
        const FsWork *other = link->data;
        if (other->pidfd < 0 || other->over || !other->slow)
            continue;
        if (same_guest(work, other))
            return false;
        running += !other->far;
    }
    return work->far || running < RUNNING_MAX;
}

static void start_next(FsMonitor *monitor)
{
    for (GList *link = monitor->works.head; link; link = link->next) {
        const siginfo_t failed = {.si_code = CLD_EXITED, .si_status = EAGAIN};
        FsWork *work = link->data;
        if (work->pidfd >= 0 || !may_start(work) || start(work) == 0)
            continue;
        g_queue_remove(&monitor->works, work);
        conclude(work, &failed);
        work_free(work);
        return;
    }
}

/* 0, or why there is no room. */
static int find_room(const FsWork *work)
{
    unsigned far = 0, of_guest = 0;

    for (const GList *link = work->monitor->works.head; link; link = link->next) {
        const FsWork *other = link->data;
        if (other->over && same_guest(work, other))
            return -ETIMEDOUT;
        far += other->far && !other->over;
        of_guest += same_guest(work, other);
    }
    return of_guest >= OF_GUEST_MAX || (work->far && far >= FAR_MAX) ? -EBUSY : 0;
}

int monitor_work(FsAsked *asked, FsFilesWork function, bool slow, bool far)
{
    FsMonitor *monitor = asked->monitor;
    FsWork *work = g_new0(FsWork, 1);
    int result;

    *work = (FsWork){.monitor = monitor,
                     .question = *asked->question,
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
        work->fds[i] = uv_fd_steal(&asked->fds[i]);
    monitor->deferred += work->question.id != 0;
    g_queue_push_tail(&monitor->works, work);
    start_next(monitor);
    return 0;
}

void monitor_end_works(FsMonitor *monitor)
{
    FsWork *work;

    while ((work = g_queue_pop_head(&monitor->works))) {
        if (work->pidfd >= 0)
            syscall(SYS_pidfd_send_signal, work->pidfd, SIGKILL, NULL, 0);
        work_free(work);
    }
}
