/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The monitor's beginning, its turns, and its end. */

#include "monitor-private.h"

#include "fd.h"
#include "fds.h"
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUESTIONS_A_TURN 16

/* No more than the front takes. */
static void hear(FsMonitor *monitor)
{
    const bool takes = !fs_link_is_congested(&monitor->front);

    fs_link_listen(&monitor->front, takes);
    fs_link_listen(&monitor->broker, takes);
}

void monitor_tell(FsMonitor *monitor, const FsAnswer *answer, int *fds, size_t n_fds)
{
    if (fs_link_send(&monitor->front, answer, sizeof(*answer), fds, n_fds) < 0)
        monitor->ended = true;
    hear(monitor);
}

static void flush(FsMonitor *monitor)
{
    if (fs_link_flush(&monitor->front) < 0)
        monitor->ended = true;
    hear(monitor);
}

static void on_front(void *data, uint32_t events)
{
    FsMonitor *monitor = data;
    FsQuestion question;
    int fds[FS_QUESTION_FDS];

    if (events & EPOLLOUT)
        flush(monitor);
    for (int i = 0;
         i < QUESTIONS_A_TURN && !monitor->ended && !fs_link_is_congested(&monitor->front); i++) {
        const int result = fs_packet_receive(monitor->front.fd, &question, sizeof(question), fds);
        if (result == -EAGAIN)
            return;
        if (result == 0 && fs_question_valid(&question)) {
            monitor_ask(monitor, &question, fds);
            continue;
        }
        if (result != -EPIPE)
            g_warning("the front said what no front says: the mount ends");
        fs_packet_close(fds);
        monitor->ended = true;
    }
    if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN))
        monitor->ended = true;
}

static void on_signal(void *data, uint32_t events)
{
    FsMonitor *monitor = data;
    const FsAnswer stop = {.kind = FS_TELL_STOP};
    struct signalfd_siginfo info;

    if (read(monitor->signal_fd, &info, sizeof(info)) == sizeof(info))
        monitor_tell(monitor, &stop, NULL, 0);
}

static int watch_signals(FsMonitor *monitor)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    monitor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (monitor->signal_fd < 0)
        return -errno;
    fs_watch_add(&monitor->signals, monitor->poll, monitor->signal_fd, EPOLLIN, on_signal, monitor);
    return 0;
}

static int prepare(FsMonitor *monitor)
{
    uv_program_reserve();
    uv_fd_limit_raise(MONITOR_OTHER_FDS);
    monitor_find_engines(monitor);
    fs_link_open(&monitor->front, monitor->poll, monitor->front.fd, on_front, monitor);
    fs_link_open(&monitor->broker, monitor->poll, monitor->broker.fd, monitor_hear_broker, monitor);
    return watch_signals(monitor);
}

FsMonitor *fs_monitor_new(const FsMonitorOptions *options, const FsSockdir *sockdir, int front_fd,
                          int broker_fd, GError **error)
{
    g_autoptr(FsMonitor) monitor = g_new0(FsMonitor, 1);
    int result;

    monitor->options = options;
    monitor->sockdir = sockdir;
    monitor->front.fd = front_fd;
    monitor->broker.fd = broker_fd;
    monitor->signal_fd = -1;
    monitor->asked = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    monitor->guests = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, monitor_free_guest);
    monitor->engines = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    monitor->poll = fs_poll_new(NULL, error);
    if (!monitor->poll)
        return NULL;
    result = prepare(monitor);
    if (result == 0)
        return g_steal_pointer(&monitor);
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-result), "the monitor: %s",
                g_strerror(-result));
    return NULL;
}

static void publish(const FsMonitor *monitor, bool published)
{
    if (monitor->options->folder)
        fs_sockdir_publish_folder(monitor->sockdir, monitor->options->folder, published);
}

void monitor_unmount(FsMonitor *monitor)
{
    if (monitor->unmounted)
        return;
    monitor->unmounted = true;
    publish(monitor, false);
    if (monitor->hooks->unmount)
        monitor->hooks->unmount(monitor->hooks->data);
    monitor_drop_sockets(monitor);
}

void fs_monitor_run(FsMonitor *monitor, const FsMonitorHooks *hooks)
{
    const FsQuestion end = {.kind = FS_ASK_UNMOUNT};
    int none[FS_QUESTION_FDS] = {-1, -1, -1};

    monitor->hooks = hooks;
    publish(monitor, true);
    monitor_helper_start(monitor);
    while (!monitor->ended)
        g_main_context_iteration(NULL, TRUE);
    monitor_unmount(monitor);
    monitor_drop_sockets(monitor);
    monitor_helper_stop(monitor);
    monitor_ask_broker(monitor, &end, none);
    /* It ends then. What it told and was not heard must not keep it from hearing that. */
    shutdown(monitor->broker.fd, SHUT_WR);
}

void fs_monitor_free(FsMonitor *monitor)
{
    if (!monitor)
        return;
    fs_link_close(&monitor->front);
    fs_link_close(&monitor->broker);
    fs_watch_remove(&monitor->signals);
    g_hash_table_unref(monitor->asked);
    g_hash_table_unref(monitor->guests);
    g_hash_table_unref(monitor->engines);
    uv_fd_clear(&monitor->signal_fd);
    fs_poll_free(monitor->poll);
    g_free(monitor);
}
