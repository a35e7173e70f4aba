/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What goes to the front. What finds no room in its socket waits here, and while something waits no
 * more questions are read: so it is never much. */

#include "monitor-private.h"

#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

typedef struct {
    FsAnswer answer;
    int fds[FS_QUESTION_FDS];
    size_t n_fds;
} Outgoing;

static void outgoing_free(Outgoing *outgoing)
{
    for (size_t i = 0; i < outgoing->n_fds; i++)
        uv_fd_clear(&outgoing->fds[i]);
    g_free(outgoing);
}

bool monitor_is_congested(const FsMonitor *monitor)
{
    return !g_queue_is_empty((GQueue *)&monitor->outgoing);
}

static int send_one(FsMonitor *monitor, const Outgoing *outgoing)
{
    return fs_packet_send(monitor->link_fd, &outgoing->answer, sizeof(outgoing->answer),
                          outgoing->fds, outgoing->n_fds);
}

void monitor_tell(FsMonitor *monitor, const FsAnswer *answer, int *fds, size_t n_fds)
{
    Outgoing *outgoing = g_new0(Outgoing, 1);
    int result = -EAGAIN;

    outgoing->answer = *answer;
    for (outgoing->n_fds = 0; outgoing->n_fds < n_fds; outgoing->n_fds++)
        outgoing->fds[outgoing->n_fds] = uv_fd_steal(&fds[outgoing->n_fds]);
    if (!monitor_is_congested(monitor))
        result = send_one(monitor, outgoing);
    if (result == -EAGAIN) {
        g_queue_push_tail(&monitor->outgoing, outgoing);
        fs_watch_modify(&monitor->link, EPOLLOUT);
        return;
    }
    if (result < 0)
        monitor->ended = true;
    outgoing_free(outgoing);
}

void monitor_answer(FsMonitor *monitor, uint64_t id, int error)
{
    const FsAnswer answer = {.kind = FS_TELL_ANSWER, .id = id, .error = error};

    monitor_tell(monitor, &answer, NULL, 0);
}

void monitor_flush(FsMonitor *monitor)
{
    Outgoing *outgoing;
    int result = 0;

    while (result == 0 && (outgoing = g_queue_peek_head(&monitor->outgoing))) {
        result = send_one(monitor, outgoing);
        if (result == -EAGAIN)
            return;
        outgoing_free(g_queue_pop_head(&monitor->outgoing));
    }
    if (result < 0)
        monitor->ended = true;
    if (!monitor_is_congested(monitor))
        fs_watch_modify(&monitor->link, EPOLLIN);
}

void monitor_drop_outgoing(FsMonitor *monitor)
{
    g_queue_clear_full(&monitor->outgoing, (GDestroyNotify)outgoing_free);
}
