/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemonize.h"

#include "fd.h"
#include "file-error.h"
#include "file-io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
/* The daemon's word that all is well: what no line begins with. */
#define READY "\n"

static G_GNUC_NORETURN void wait_for_daemon(int fd, pid_t daemon, const char *program)
{
    char text[LINE_MAX_BYTES];
    ssize_t size = uv_read_all(fd, text, 1), rest;
    int status;

    if (size > 0 && text[0] == READY[0])
        _exit(0);
    if (size > 0) {
        rest = uv_read_all(fd, text + 1, sizeof(text) - 1);
        size += MAX(rest, 0);
    }
    if (size > 0)
        fprintf(stderr, "%.*s", (int)size, text);
    else if (TEMP_FAILURE_RETRY(waitpid(daemon, &status, 0)) == daemon && WIFSIGNALED(status))
        fprintf(stderr, "%s: killed by signal %d\n", program, WTERMSIG(status));
    else
        fprintf(stderr, "%s: ended before it was ready\n", program);
    _exit(1);
}

bool uv_daemon_start(UvDaemon *daemon, const char *program, GError **error)
{
    int ends[2];
    const int made = pipe2(ends, O_CLOEXEC);
    const pid_t pid = made == 0 ? fork() : -1;

    if (pid < 0)
        return uv_file_error(error, errno, "can't go to the background");
    if (pid > 0) {
        uv_fd_clear(&ends[1]);
        wait_for_daemon(ends[0], pid, program);
    }
    uv_fd_clear(&ends[0]);
    daemon->starter_fd = ends[1];
    return true;
}

void uv_daemon_leave_terminal(void)
{
    uv_autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && null >= 0; fd++)
        dup2(null, fd);
    if (null <= STDERR_FILENO)
        (void)uv_fd_steal(&null); /* it is one of them */
}

static bool tell(UvDaemon *daemon, const char *text)
{
    uv_autofd int fd = uv_fd_steal(&daemon->starter_fd);

    return fd >= 0 && uv_write_all(fd, text, strlen(text)) == 0;
}

void uv_daemon_ready(UvDaemon *daemon)
{
    /* A starter that is gone does not matter. */
    (void)tell(daemon, READY);
}

bool uv_daemon_failed(UvDaemon *daemon, const char *line)
{
    return tell(daemon, line);
}
