/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The front's loop: everything that is known of how requests and the rest take turns is here.
 *
 * A turn is one poll of the session's descriptor and of those of the main context, then whatever of
 * the context is due, then one request. The session's descriptor stands first in the poll, so what
 * an engine or SOURCE had to tell when the request came is ready in the same poll, and taken before
 * the request is served: no code that serves a request has to look whether something happened. None
 * starves the other.
 */

#include "fuse-session.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon.h"

#define CONTEXT_FDS_MAX 15 /* signals, the fleet's epoll, GLib's own: it has three or four */

struct FsSession {
    FsTree *tree;
    struct fuse_session *fuse;
    GMainContext *context;
    GSource *signals;
    struct fuse_buf buffer;
    bool ended;
};

static char *last_log_line;
static bool running;

/* libfuse's own words: kept for the one line of a failed start, later logged. */
static void log_fuse(enum fuse_log_level level, const char *format, va_list arguments)
{
    g_autofree char *line = g_strdup_vprintf(format, arguments);

    g_strchomp(line);
    if (level == FUSE_LOG_DEBUG) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    if (running) {
        g_message("fuse: %s", line);
        return;
    }
    g_free(last_log_line);
    last_log_line = g_steal_pointer(&line);
}

static bool session_ended(const FsSession *session)
{
    return session->ended || session->tree->stopped;
}

/* One request, or the end. */
static void serve_request(FsSession *session)
{
    int size = fuse_session_receive_buf(session->fuse, &session->buffer);

    if (size > 0) {
        fuse_session_process_buf(session->fuse, &session->buffer);
    } else if (size != -EAGAIN && size != -EINTR) {
        session->ended = true; /* unmounted */
    }
    if (fuse_session_exited(session->fuse))
        session->ended = true;
}

static void serve_turn(FsSession *session)
{
    GPollFD fds[1 + CONTEXT_FDS_MAX];
    gint n_fds, n_ready, priority, timeout_ms;

    g_main_context_prepare(session->context, &priority);
    n_fds = g_main_context_query(session->context, priority, &timeout_ms, fds + 1, CONTEXT_FDS_MAX);
    g_assert(n_fds <= CONTEXT_FDS_MAX);
    fds[0] = (GPollFD){.fd = fuse_session_fd(session->fuse), .events = G_IO_IN};
    n_ready = g_poll(fds, n_fds + 1, timeout_ms);
    const bool only_request = n_ready == 1 && fds[0].revents && timeout_ms != 0;
    if (!only_request && g_main_context_check(session->context, priority, fds + 1, n_fds))
        g_main_context_dispatch(session->context);
    if (fds[0].revents && !session_ended(session))
        serve_request(session);
}

static bool mount_it(FsSession *session, struct fuse_args *arguments, const char *mountpoint,
                     GError **error)
{
    FsTree *tree = session->tree;
    g_autofree char *said = NULL;
    int token;
    int result = -1;

    token = fs_stderr_take();
    session->fuse = fuse_session_new(arguments, &fs_tree_ops, sizeof(fs_tree_ops), tree);
    if (session->fuse)
        result = fuse_session_mount(session->fuse, mountpoint);
    said = fs_stderr_give_back(token);
    if (result < 0) {
        const char *reason = last_log_line ? last_log_line : said ? said : "can't be mounted";
        g_set_error(error, G_UNIX_ERROR, 0, "%s: %s", mountpoint, reason);
        return false;
    }
    running = true;
    tree->session = session->fuse;
    tree->notify = fs_notify_new(session->fuse);
    return true;
}

FsSession *fs_session_new(FsTree *tree, void *fuse_args, const char *mountpoint, GError **error)
{
    FsSession *session = g_new0(FsSession, 1);
    int fd;

    session->tree = tree;
    fuse_set_log_func(log_fuse);
    if (!mount_it(session, fuse_args, mountpoint, error)) {
        fs_session_free(session);
        return NULL;
    }
    fd = fuse_session_fd(session->fuse);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return session;
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) == sizeof(info))
        ((FsSession *)data)->ended = true;
    return G_SOURCE_CONTINUE;
}

/* Made before the two processes part it would be one whose descriptor both have: each would wake
 * the other up, and take its wake-ups away. */
static void take_context(FsSession *session)
{
    session->context = g_main_context_default();
    g_main_context_acquire(session->context);
}

bool fs_session_begin(FsSession *session, GError **error)
{
    sigset_t set;
    int fd;

    take_context(session);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGTERM, SIG_DFL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        g_set_error(error, G_UNIX_ERROR, 0, "signalfd: %s", g_strerror(errno));
        return false;
    }
    session->signals = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(session->signals, G_SOURCE_FUNC(on_signal), session, NULL);
    g_source_attach(session->signals, session->context);
    return true;
}

int fs_session_fd(const FsSession *session)
{
    return fuse_session_fd(session->fuse);
}

bool fs_session_wait_usable(FsSession *session)
{
    while (!session_ended(session) && !session->tree->usable)
        serve_turn(session);
    return session->tree->usable;
}

void fs_session_run(FsSession *session)
{
    while (!session_ended(session))
        serve_turn(session);
}

void fs_session_free(FsSession *session)
{
    if (session->context)
        g_main_context_release(session->context);
    if (session->signals) {
        g_source_destroy(session->signals);
        g_clear_pointer(&session->signals, g_source_unref);
    }
    if (session->tree->notify) {
        fs_notify_free(session->tree->notify);
        session->tree->notify = NULL;
    }
    if (session->fuse)
        fuse_session_destroy(session->fuse);
    free(session->buffer.mem);
    g_clear_pointer(&last_log_line, g_free);
    g_free(session);
}
