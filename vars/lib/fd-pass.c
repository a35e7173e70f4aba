/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fd-pass.h"

#include "fd.h"
#include "unix-socket.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

typedef union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(UV_PASS_FDS_MAX * sizeof(int))];
} Control;

ssize_t uv_pass_send(int socket_fd, const struct iovec *parts, size_t n_parts, const int *fds,
                     size_t n_fds, int flags)
{
    Control control = {0};
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n_parts};
    ssize_t n;

    g_return_val_if_fail(n_fds <= UV_PASS_FDS_MAX, -EINVAL);
    if (n_fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(*fds));
        control.align = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(n_fds * sizeof(*fds)),
            .cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
        };
        memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(*fds));
    }
    n = TEMP_FAILURE_RETRY(sendmsg(socket_fd, &message, flags | MSG_NOSIGNAL));
    return n < 0 ? -errno : n;
}

/* All that came with the message: the first `max_fds` are kept, false if there were more. */
static bool take_fds(struct msghdr *message, int *ret_fds, size_t max_fds)
{
    size_t n_taken = 0;
    bool fit = true;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            uv_autofd int fd = -1;

            memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
            if (n_taken < max_fds)
                ret_fds[n_taken++] = uv_fd_steal(&fd);
            else
                fit = false;
        }
    }
    return fit;
}

ssize_t uv_pass_receive(int socket_fd, const struct iovec *parts, size_t n_parts, int *ret_fds,
                        size_t max_fds, int flags)
{
    Control control;
    struct msghdr message = {
        .msg_iov = (struct iovec *)parts,
        .msg_iovlen = n_parts,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    ssize_t n;
    bool fit;

    g_return_val_if_fail(max_fds <= UV_PASS_FDS_MAX, -EINVAL);
    for (size_t i = 0; i < max_fds; i++)
        ret_fds[i] = -1;
    n = TEMP_FAILURE_RETRY(recvmsg(socket_fd, &message, flags | MSG_CMSG_CLOEXEC));
    if (n < 0)
        return -errno;
    fit = take_fds(&message, ret_fds, max_fds) && !(message.msg_flags & MSG_CTRUNC);
    if (n > 0 && fit && !(message.msg_flags & MSG_TRUNC))
        return n;
    for (size_t i = 0; i < max_fds; i++)
        uv_fd_clear(&ret_fds[i]);
    if (!fit)
        return -EPROTO;
    return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : 0;
}

ssize_t uv_pass_receive_one(int socket_fd, void *buffer, size_t size, bool listener, int *fd)
{
    const struct iovec part = {buffer, size};
    int came = -1;
    ssize_t n = uv_pass_receive(socket_fd, &part, 1, &came, 1, MSG_DONTWAIT);

    if (came >= 0 && listener && !uv_unix_is_listening(came)) {
        n = -EPROTO;
    } else if (came >= 0) {
        uv_fd_clear(fd);
        *fd = came;
    }
    if (n < 0)
        errno = -n;
    return n < 0 ? -1 : n;
}
