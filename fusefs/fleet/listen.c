/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The guests' sockets. A guest's listening socket is made once and kept by the front, whoever
 * accepts from it: while an engine lives the front just does not watch it, and what connects in
 * between, or while an engine is being replaced, waits in the backlog.
 */

#include "fleet-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Beside one descriptor a guest: connections and process handles of engines, files under way. */
#define OTHER_FDS 8192

void listen_raise_limit(FsFleet *fleet)
{
    struct rlimit limit;
    rlim_t need = fleet->guests->len + OTHER_FDS;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
        return;
    struct rlimit raised = {.rlim_cur = MAX(need, limit.rlim_max),
                            .rlim_max = MAX(need, limit.rlim_max)};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < need)
        g_warning("%u guests need %" G_GUINT64_FORMAT " open files, the limit is %" G_GUINT64_FORMAT
                  ": the last ones get their socket when they are looked at",
                  fleet->guests->len, (guint64)need, (guint64)limit.rlim_cur);
}

static void on_connection(void *data, uint32_t events)
{
    FsGuest *guest = data;
    FsFleet *fleet = guest->fleet;

    guest_watch_listener(guest, false);
    engine_want(guest, FS_START_GUEST);
    fleet_dispatch(fleet);
}

void guest_watch_listener(FsGuest *guest, bool watch)
{
    if (!watch)
        fs_watch_remove(&guest->listener);
    else if (guest->listener_fd >= 0 && !guest->listener.poll && !guest->fleet->stopping)
        fs_watch_add(&guest->listener, guest->fleet->poll, guest->listener_fd, EPOLLIN,
                     on_connection, guest);
}

int guest_listen(FsGuest *guest)
{
    const FsFleet *fleet = guest->fleet;
    uid_t uid;
    gid_t gid;

    if (guest->listener_fd >= 0)
        return 0;
    if (guest->away)
        return -EAGAIN; /* an engine has it, and will hand it back */
    fs_guest_owner(guest, &uid, &gid);
    int fd = fs_sockdir_listen_guest(fleet->sockdir, guest_hash(guest), uid, gid);
    if (fd < 0)
        return fd;
    guest->listener_fd = fd;
    if (!guest->live || !guest->live->engine || !guest->live->engine->has_listener)
        guest_watch_listener(guest, true);
    return 0;
}

static GBytes *error_frame(const char *text)
{
    g_auto(UvWriter) writer = {0};
    size_t size = MIN(strlen(text), 1024);

    uv_writer_init(&writer, 2048);
    uv_write_u32(&writer, (uint32_t)(4 + size));
    uv_write_u16(&writer, UV_WIRE_REPLY | UV_WIRE_ERROR);
    uv_write_u16(&writer, 0);
    uv_write_u64(&writer, 0);
    uv_write_u32(&writer, UV_WIRE_E_STORE);
    uv_write_bytes(&writer, text, size);
    return uv_writer_steal(&writer);
}

void guest_refuse_connections(FsGuest *guest, const char *text)
{
    g_autoptr(GBytes) frame = error_frame(text);
    gsize size;
    const void *bytes = g_bytes_get_data(frame, &size);

    if (guest->listener_fd < 0)
        return;
    /* The backlog's length bounds this. */
    for (int fd; (fd = accept4(guest->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;
         close(fd))
        if (send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            continue;
    guest_watch_listener(guest, true);
}
