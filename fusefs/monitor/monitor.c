/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The monitor's beginning, its turns, and its end. */

#include "monitor-private.h"

#include "beneath.h"
#include "fd.h"
#include "fds.h"
#include "program.h"
#include "sidecars-tidy.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUESTIONS_A_TURN 16
/* Who mounts, and lists what there is, goes first. */
#define TIDY_AFTER_S 1

static void on_link(void *data, uint32_t events)
{
    FsMonitor *monitor = data;
    FsQuestion question;
    int fds[FS_QUESTION_FDS];

    if (events & EPOLLOUT)
        monitor_flush(monitor);
    for (int i = 0; i < QUESTIONS_A_TURN && !monitor->ended && !monitor_is_congested(monitor);
         i++) {
        int result = fs_packet_receive(monitor->link_fd, &question, sizeof(question), fds);
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
    if (geteuid() == 0 && setgroups(0, NULL) < 0)
        return -errno;
    fs_beneath_stay(true);
    uv_program_reserve();
    uv_fd_limit_raise(MONITOR_OTHER_FDS);
    monitor_find_engines(monitor);
    fs_watch_add(&monitor->link, monitor->poll, monitor->link_fd, EPOLLIN, on_link, monitor);
    return watch_signals(monitor);
}

FsMonitor *fs_monitor_new(const FsMonitorOptions *options, const FsLocal *source,
                          const FsSockdir *sockdir, int link_fd, GError **error)
{
    g_autoptr(FsMonitor) monitor = g_new0(FsMonitor, 1);
    int result;

    monitor->options = options;
    monitor->source = source;
    monitor->sockdir = sockdir;
    monitor->link_fd = link_fd;
    monitor->signal_fd = monitor->inotify_fd = -1;
    monitor->guests = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, monitor_free_guest);
    monitor->engines = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    monitor->watched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
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
    if (!monitor->source->store)
        fs_sockdir_publish_folder(monitor->sockdir, monitor->source->path, published);
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

/* By a child's child: the monitor need not wait for it. It may outlive the monitor, and must keep
 * no lock then. */
static void tidy(const FsMonitor *monitor)
{
    const pid_t child = fork();
    int kept = monitor->source->fd;

    if (child == 0) {
        uv_close_all_but(&kept, 1);
        if (fork() == 0)
            uv_sidecars_tidy_all(kept, monitor->options->keep_days);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static gboolean on_quiet(void *data)
{
    FsMonitor *monitor = data;

    monitor->tidy_timer = 0;
    tidy(monitor);
    return G_SOURCE_REMOVE;
}

void fs_monitor_run(FsMonitor *monitor, const FsMonitorHooks *hooks)
{
    monitor->hooks = hooks;
    publish(monitor, true);
    if (!monitor->options->read_only && !monitor->source->store)
        monitor->tidy_timer = g_timeout_add_seconds(TIDY_AFTER_S, on_quiet, monitor);
    monitor_domains_start(monitor);
    while (!monitor->ended)
        g_main_context_iteration(NULL, TRUE);
    g_clear_handle_id(&monitor->tidy_timer, g_source_remove);
    monitor_unmount(monitor);
    monitor_drop_sockets(monitor);
    monitor_end_works(monitor);
    monitor_domains_stop(monitor);
}

void fs_monitor_free(FsMonitor *monitor)
{
    if (!monitor)
        return;
    monitor_end_works(monitor);
    monitor_free_listing(monitor->listing);
    uv_names_free(monitor->names);
    if (monitor->background)
        g_source_destroy(monitor->background);
    g_clear_pointer(&monitor->background, g_source_unref);
    g_queue_clear_full(&monitor->unwatched, g_free);
    monitor_drop_outgoing(monitor);
    fs_watch_remove(&monitor->link);
    fs_watch_remove(&monitor->signals);
    g_hash_table_unref(monitor->guests);
    g_hash_table_unref(monitor->engines);
    g_hash_table_unref(monitor->watched);
    uv_fd_clear(&monitor->link_fd);
    uv_fd_clear(&monitor->signal_fd);
    uv_fd_clear(&monitor->inotify_fd);
    fs_poll_free(monitor->poll);
    g_free(monitor);
}
