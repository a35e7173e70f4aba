/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

/* What the child says when it is ready; anything else is why it failed. */
#define READY "\n"

static G_GNUC_NORETURN void wait_for_child(int fd)
{
    char text[4096];
    size_t filled = 0;
    ssize_t n;

    while (filled < sizeof(text) &&
           ((n = read(fd, text + filled, sizeof(text) - filled)) > 0 || (n < 0 && errno == EINTR)))
        filled += MAX(n, 0);
    if (filled == strlen(READY) && memcmp(text, READY, filled) == 0)
        _exit(0);
    if (write(STDERR_FILENO, text, filled) < 0)
        _exit(1);
    _exit(1);
}

static void leave_terminal(void)
{
    const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int i = 0; i <= STDERR_FILENO && fd >= 0; i++)
        dup2(fd, i);
    if (fd > STDERR_FILENO)
        close(fd);
}

bool uv_background_start(UvBackground *background, GError **error)
{
    int ends[2];
    const int made = pipe2(ends, O_CLOEXEC);
    const pid_t pid = made == 0 ? fork() : -1;

    if (pid < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                    "can't go to the background: %s", g_strerror(errno));
        return false;
    }
    if (pid > 0) {
        close(ends[1]);
        wait_for_child(ends[0]);
    }
    close(ends[0]);
    background->fd = ends[1];
    leave_terminal();
    return true;
}

static void tell(UvBackground *background, const char *text)
{
    if (background->fd < 0)
        return;
    /* A parent that is gone does not matter. */
    if (write(background->fd, text, strlen(text)) < 0)
        errno = 0;
    close(background->fd);
    background->fd = -1;
}

void uv_background_ready(UvBackground *background)
{
    tell(background, READY);
}

void uv_background_failed(UvBackground *background, const char *line)
{
    tell(background, line);
}
