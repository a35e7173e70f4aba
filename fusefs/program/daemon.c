/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

#include "daemonize.h"
#include "fd.h"
#include "log.h"
#include "sd-notify.h"

static UvDaemon background = {.starter_fd = -1};
static bool use_syslog;

void fs_daemon_start(void)
{
    g_autoptr(GError) error = NULL;

    if (!uv_daemon_start(&background, "uefivarsfs", &error))
        fs_daemon_fail(error->message);
    if (chdir("/") < 0)
        fs_daemon_fail(g_strerror(errno));
}

void fs_daemon_open_log(void)
{
    openlog("uefivarsfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

static void log_to_syslog(void)
{
    fs_daemon_open_log();
    use_syslog = true;
}

void fs_daemon_join(void)
{
    if (background.starter_fd < 0)
        return;
    log_to_syslog();
    setsid(); /* not sooner: an automount lets only processes of its own group mount there */
    uv_daemon_leave_terminal();
}

void fs_daemon_ready(void)
{
    uv_ready_tell(uv_ready_open());
    fs_daemon_join();
    if (background.starter_fd >= 0)
        uv_daemon_ready(&background);
}

void fs_daemon_fail(const char *text)
{
    g_autofree char *printable = uv_log_printable(text, UV_LOG_LINE_MAX);
    g_autofree char *line = g_strdup_printf("uefivarsfs: %s\n", printable);

    if (!uv_daemon_failed(&background, line)) {
        if (use_syslog)
            syslog(LOG_ERR, "%s", printable);
        else
            fputs(line, stderr);
    }
    exit(1);
}

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                  gpointer data)
{
    const char *message = NULL;
    int priority = level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL) ? LOG_ERR
                   : level & G_LOG_LEVEL_WARNING                      ? LOG_WARNING
                   : level & G_LOG_LEVEL_MESSAGE                      ? LOG_NOTICE
                   : level & G_LOG_LEVEL_INFO                         ? LOG_INFO
                                                                      : LOG_DEBUG;

    if (priority == LOG_DEBUG)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n_fields; i++) {
        if (strcmp(fields[i].key, "MESSAGE") == 0)
            message = fields[i].value;
    }
    /* It may be an engine's, with what a store's file says in it. */
    g_autofree char *line = uv_log_printable(message ? message : "", UV_LOG_LINE_MAX);
    if (use_syslog)
        syslog(priority, "%s", line);
    else
        fprintf(stderr, "uefivarsfs: %s\n", line);
    return G_LOG_WRITER_HANDLED;
}

void fs_daemon_set_log(void)
{
    g_log_set_writer_func(write_log, NULL, NULL);
    /* A journal takes stderr for lines without a priority. */
    if (g_log_writer_is_journald(STDERR_FILENO))
        log_to_syslog();
}

/* stderr, taken for a while */

static int taken_fd = -1;

int fs_stderr_take(void)
{
    int saved;

    fflush(stderr);
    taken_fd = memfd_create("stderr", MFD_CLOEXEC);
    saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (taken_fd >= 0 && saved >= 0)
        dup2(taken_fd, STDERR_FILENO);
    return saved;
}

char *fs_stderr_give_back(int saved)
{
    char text[1024];
    ssize_t size = taken_fd >= 0 ? pread(taken_fd, text, sizeof(text) - 1, 0) : -1;

    fflush(stderr);
    if (saved >= 0)
        dup2(saved, STDERR_FILENO);
    uv_fd_clear(&saved);
    uv_fd_clear(&taken_fd);
    if (size <= 0)
        return NULL;
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return g_strdup(text);
}
