/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Requests are read until there are none, then the main context turns again: engines and timers get
 * their turn between two batches, and one request costs one wait, one read and one write (and the
 * read that finds nothing).
 */

#include "session.h"

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

#define BATCH 64 /* requests read in one turn */

struct FsSession {
    FsTree *tree;
    struct fuse_session *fuse;
    GMainContext *context;
    GSource *source;
    GSource *signals;
    struct fuse_buf buffer;
    bool mounted, ended;
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

static void session_end(FsSession *session)
{
    session->ended = true;
    g_main_context_wakeup(session->context);
}

static gboolean on_requests(gint fd, GIOCondition condition, gpointer data)
{
    FsSession *session = data;

    for (int i = 0; i < BATCH && !fuse_session_exited(session->fuse); i++) {
        int size = fuse_session_receive_buf(session->fuse, &session->buffer);
        if (size == -EAGAIN || size == -EINTR) {
            return G_SOURCE_CONTINUE;
        }
        if (size <= 0) {
            session_end(session); /* unmounted */
            return G_SOURCE_CONTINUE;
        }
        fuse_session_process_buf(session->fuse, &session->buffer);
    }
    if (fuse_session_exited(session->fuse)) {
        session_end(session);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) == sizeof(info)) {
        session_end(data);
    }
    return G_SOURCE_CONTINUE;
}

static bool watch_signals(FsSession *session, GError **error)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
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

static bool mount_it(FsSession *session, struct fuse_args *arguments, GError **error)
{
    FsTree *tree = session->tree;
    const char *mountpoint = tree->options->mountpoint;
    g_autofree char *said = NULL;
    int token;
    int result = -1;

    token = fs_stderr_take();
    session->fuse = fuse_session_new(arguments, &fs_tree_ops, sizeof(fs_tree_ops), tree);
    if (session->fuse) {
        result = fuse_session_mount(session->fuse, mountpoint);
    }
    said = fs_stderr_give_back(token);
    if (result < 0) {
        const char *reason = last_log_line ? last_log_line : said ? said : "can't be mounted";
        g_set_error(error, G_UNIX_ERROR, 0, "%s: %s", mountpoint, reason);
        return false;
    }
    session->mounted = running = true;
    tree->session = session->fuse;
    tree->notify = fs_notify_new(session->fuse);
    return true;
}

FsSession *fs_session_new(FsTree *tree, void *fuse_args, GMainContext *context, GError **error)
{
    FsSession *session = g_new0(FsSession, 1);
    int fd;

    session->tree = tree;
    session->context = context;
    fuse_set_log_func(log_fuse);
    if (!watch_signals(session, error) || !mount_it(session, fuse_args, error)) {
        fs_session_free(session);
        return NULL;
    }
    fd = fuse_session_fd(session->fuse);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    session->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(session->source, G_SOURCE_FUNC(on_requests), session, NULL);
    /* GLib would take the descriptor out of the poll set meanwhile, and wake itself up twice. */
    g_source_set_can_recurse(session->source, TRUE);
    g_source_attach(session->source, context);
    return session;
}

bool fs_session_wait_usable(FsSession *session)
{
    while (!session->ended && !session->tree->usable) {
        g_main_context_iteration(session->context, TRUE);
    }
    return session->tree->usable;
}

void fs_session_run(FsSession *session)
{
    while (!session->ended) {
        g_main_context_iteration(session->context, TRUE);
    }
}

void fs_session_unmount(FsSession *session)
{
    if (session->mounted) {
        session->mounted = false;
        g_source_destroy(session->source);
        fuse_session_unmount(session->fuse);
    }
}

void fs_session_free(FsSession *session)
{
    fs_session_unmount(session);
    g_clear_pointer(&session->source, g_source_unref);
    if (session->signals) {
        g_source_destroy(session->signals);
        g_clear_pointer(&session->signals, g_source_unref);
    }
    if (session->tree->notify) {
        fs_notify_free(session->tree->notify);
        session->tree->notify = NULL;
    }
    if (session->fuse) {
        fuse_session_destroy(session->fuse);
    }
    free(session->buffer.mem);
    g_clear_pointer(&last_log_line, g_free);
    g_free(session);
}
