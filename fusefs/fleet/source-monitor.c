/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The monitor as a source: packets over its socket, a bounded number of them a turn. */

#include "source.h"

#include "fd.h"
#include "packet.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ANSWERS_A_TURN 64

typedef struct {
    FsSource base;
    int fd;
    FsWatch watch;
    bool watching_output;
} Monitor;

static void watch_output(Monitor *monitor, bool output)
{
    if (monitor->watching_output == output || !monitor->watch.poll)
        return;
    monitor->watching_output = output;
    fs_watch_modify(&monitor->watch, EPOLLIN | (output ? EPOLLOUT : 0));
}

static int monitor_send(FsSource *source, const FsQuestion *question, const int *fds, size_t n_fds)
{
    Monitor *monitor = (Monitor *)source;
    int result = fs_packet_send(monitor->fd, question, sizeof(*question), fds, n_fds);

    watch_output(monitor, result == -EAGAIN);
    return result;
}

static void on_ready(void *data, uint32_t events)
{
    Monitor *monitor = data;

    if (events & EPOLLOUT) {
        watch_output(monitor, false);
        fs_source_flush(&monitor->base);
    }
    for (int i = 0; i < ANSWERS_A_TURN && !monitor->base.lost; i++) {
        FsAnswer answer;
        int fds[FS_QUESTION_FDS];
        int result = fs_packet_receive(monitor->fd, &answer, sizeof(answer), fds);

        if (result == -EAGAIN)
            return;
        if (result < 0) {
            fs_watch_remove(&monitor->watch);
            fs_source_lose(&monitor->base);
            return;
        }
        fs_source_deliver(&monitor->base, &answer, fds);
    }
}

static int monitor_start(FsSource *source, FsPoll *poll)
{
    Monitor *monitor = (Monitor *)source;

    fs_watch_add(&monitor->watch, poll, monitor->fd, EPOLLIN, on_ready, monitor);
    return 0;
}

static void monitor_free(FsSource *source)
{
    Monitor *monitor = (Monitor *)source;

    fs_watch_remove(&monitor->watch);
    uv_fd_clear(&monitor->fd);
    g_free(monitor);
}

FsSource *fs_source_monitor_new(int fd, const FsSourceFacts *facts)
{
    static const FsSourceClass class = {
        .send = monitor_send,
        .start = monitor_start,
        .free = monitor_free,
    };
    Monitor *monitor = g_new0(Monitor, 1);

    fs_source_init(&monitor->base, &class, facts);
    monitor->fd = fd;
    return &monitor->base;
}
