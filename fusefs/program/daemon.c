/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "log.h"
#include "sd-notify.h"

static int starter_fd = -1; /* in the daemon, until the starter knows */
static bool use_syslog;

/* The starter: the daemon sends nothing and closes (all is well), or a line. */
static G_NORETURN void wait_for_daemon(int fd, pid_t daemon)
{
    char text[2048];
    size_t size = 0;
    ssize_t n;
    int status;

    while (size < sizeof(text) && (n = read(fd, text + size, sizeof(text) - size)) != 0) {
        if (n > 0) {
            size += n;
        } else if (errno != EINTR) {
            break;
        }
    }
    if (size > 0 && text[0] == '\0') {
        _exit(0);
    }
    if (size > 0) {
        fprintf(stderr, "%.*s", (int)size, text);
    } else if (waitpid(daemon, &status, 0) == daemon && WIFSIGNALED(status)) {
        fprintf(stderr, "uefivarsfs: killed by signal %d\n", WTERMSIG(status));
    } else {
        fprintf(stderr, "uefivarsfs: ended before the mount was usable\n");
    }
    _exit(1);
}

void fs_daemon_start(void)
{
    int fds[2];
    pid_t daemon;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        fs_daemon_fail(g_strerror(errno));
    }
    daemon = fork();
    if (daemon < 0) {
        fs_daemon_fail(g_strerror(errno));
    }
    if (daemon > 0) {
        close(fds[1]);
        wait_for_daemon(fds[0], daemon);
    }
    close(fds[0]);
    starter_fd = fds[1];
    if (chdir("/") < 0) {
        fs_daemon_fail(g_strerror(errno));
    }
}

static void log_to_syslog(void)
{
    openlog("uefivarsfs", LOG_PID, LOG_DAEMON);
    use_syslog = true;
}

void fs_daemon_ready(void)
{
    int null;

    uv_ready_tell(uv_ready_open());
    if (starter_fd < 0) {
        return;
    }
    log_to_syslog();
    setsid(); /* not sooner: an automount lets only processes of its own group mount there */
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    /* One NUL byte: no line is coming. A starter that is gone does not matter. */
    if (write(starter_fd, "", 1) < 0) {
        syslog(LOG_WARNING, "who started this is gone");
    }
    close(starter_fd);
    starter_fd = -1;
}

void fs_daemon_fail(const char *text)
{
    g_autofree char *printable = uv_log_printable(text, UV_LOG_LINE_MAX);
    g_autofree char *line = g_strdup_printf("uefivarsfs: %s\n", printable);

    if (starter_fd >= 0) {
        if (write(starter_fd, line, strlen(line)) < 0) {
            syslog(LOG_ERR, "%s", printable);
        }
    } else if (use_syslog) {
        syslog(LOG_ERR, "%s", printable);
    } else {
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

    if (priority == LOG_DEBUG) {
        return G_LOG_WRITER_HANDLED;
    }
    for (gsize i = 0; i < n_fields; i++) {
        if (strcmp(fields[i].key, "MESSAGE") == 0) {
            message = fields[i].value;
        }
    }
    /* It may be an engine's, with what a store's file says in it. */
    g_autofree char *line = uv_log_printable(message ? message : "", UV_LOG_LINE_MAX);
    if (use_syslog) {
        syslog(priority, "%s", line);
    } else {
        fprintf(stderr, "uefivarsfs: %s\n", line);
    }
    return G_LOG_WRITER_HANDLED;
}

void fs_daemon_set_log(void)
{
    g_log_set_writer_func(write_log, NULL, NULL);
    /* A journal takes stderr for lines without a priority. */
    if (g_log_writer_is_journald(STDERR_FILENO)) {
        log_to_syslog();
    }
}

/* stderr, taken for a while */

static int taken_fd = -1;

int fs_stderr_take(void)
{
    int saved;

    fflush(stderr);
    taken_fd = memfd_create("stderr", MFD_CLOEXEC);
    saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (taken_fd >= 0 && saved >= 0) {
        dup2(taken_fd, STDERR_FILENO);
    }
    return saved;
}

char *fs_stderr_give_back(int saved)
{
    char text[1024];
    ssize_t size = taken_fd >= 0 ? pread(taken_fd, text, sizeof(text) - 1, 0) : -1;

    fflush(stderr);
    if (saved >= 0) {
        dup2(saved, STDERR_FILENO);
        close(saved);
    }
    if (taken_fd >= 0) {
        close(taken_fd);
        taken_fd = -1;
    }
    if (size <= 0) {
        return NULL;
    }
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return g_strdup(text);
}
