/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "listen.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file-error.h"
#include "frame.h"
#include "unix-socket.h"

#define BACKLOG 64
#define REPORT_MS 10000
#define FIRST_FRAME_MAX 65536u

static int fail(GError **error, const char *path, const char *what, int code)
{
    uv_file_error(error, code, "%s: %s", path, what);
    return -1;
}

/* A socket file on which no process listens. */
static bool is_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    uv_autofd int fd = uv_unix_connect(path);
    return fd == -ECONNREFUSED;
}

/* Where there is no room for another name. */
static int listen_in_place(const char *path, mode_t mode)
{
    uv_autofd int fd = uv_unix_bind(path, mode);

    if (fd < 0)
        return fd == -EADDRINUSE ? -EEXIST : fd;
    return listen(fd, BACKLOG) < 0 ? -errno : uv_fd_steal(&fd);
}

/* Made beside its name, which it has once it listens, so that who finds it is not refused.
 * -EEXIST: a file has the name. */
static int listen_at(const char *path, mode_t mode)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *aside = g_strdup_printf("%s/.uv%d", folder, getpid());
    int result = uv_unix_check(path);

    if (result < 0)
        return result;
    uv_autofd int fd = uv_unix_bind(aside, mode);
    if (fd == -EADDRINUSE && is_stale(aside) && unlink(aside) == 0)
        fd = uv_unix_bind(aside, mode);
    if (fd == -ENAMETOOLONG)
        return listen_in_place(path, mode);
    if (fd < 0)
        return fd;
    result = listen(fd, BACKLOG) < 0 || link(aside, path) < 0 ? -errno : 0;
    unlink(aside);
    return result < 0 ? result : uv_fd_steal(&fd);
}

int uv_listen(const char *path, mode_t mode, GError **error)
{
    uv_autofd int fd = listen_at(path, mode);

    if (fd == -EEXIST && is_stale(path)) {
        if (unlink(path) < 0 && errno != ENOENT)
            return fail(error, path, "stale socket", errno);
        fd = listen_at(path, mode);
    }
    if (fd < 0)
        return fail(error, path, "socket", fd == -EEXIST ? EADDRINUSE : -fd);
    return uv_fd_steal(&fd);
}

static bool wait_for(int fd, int64_t until_us)
{
    const int64_t left = until_us - g_get_monotonic_time();
    struct pollfd poll_fd = {fd, POLLIN, 0};

    return left > 0 && poll(&poll_fd, 1, (int)(left / 1000) + 1) > 0;
}

static uint32_t any_frame(uint16_t type, void *data)
{
    return FIRST_FRAME_MAX;
}

static void answer(UvFrameIo *io, uint64_t cookie, uint32_t code, const char *text)
{
    g_auto(UvWriter) writer = uv_writer(4096);

    uv_write_u32(&writer, code);
    uv_write_bytes(&writer, text, MIN(strlen(text), 4000));
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    (void)uv_frame_io_send(io, UV_WIRE_ERROR | UV_WIRE_REPLY, cookie, payload, -1);
}

void uv_turn_away(int fd, uint32_t code, const char *text)
{
    g_autoptr(UvFrameIo) io = uv_frame_io_new(fd, any_frame, NULL);

    answer(io, 0, code, text);
}

void uv_listen_report_failure(int listener, uint32_t code, const char *text)
{
    const int64_t until = g_get_monotonic_time() + REPORT_MS * 1000;

    if (!wait_for(listener, until))
        return;
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    g_autoptr(UvFrameIo) io = uv_frame_io_new(fd, any_frame, NULL);
    uv_frame_io_refuse_descriptors(io);
    for (;;) {
        g_auto(UvFrame) frame = {.fd = -1};
        const UvFrameResult result = uv_frame_io_receive(io, &frame);
        if (result == UV_FRAME_READY)
            answer(io, frame.cookie, code, text);
        if (result != UV_FRAME_NONE || !wait_for(fd, until))
            return;
    }
}
