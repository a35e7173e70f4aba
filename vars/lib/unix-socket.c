/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "unix-socket.h"

#include "fd.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make(void)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

static int set_address(struct sockaddr_un *ret_address, const char *path)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    return g_strlcpy(ret_address->sun_path, path, sizeof(ret_address->sun_path)) <
                   sizeof(ret_address->sun_path)
               ? 0
               : -ENAMETOOLONG;
}

int uv_unix_check(const char *path)
{
    struct sockaddr_un address;

    return set_address(&address, path);
}

int uv_unix_bind(const char *path, mode_t mode)
{
    struct sockaddr_un address;
    int result = set_address(&address, path);
    uv_autofd int fd = result < 0 ? result : make();

    if (fd < 0)
        return fd;
    const mode_t before = umask(~mode & 0777);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        result = -errno;
    umask(before);
    return result < 0 ? result : uv_fd_steal(&fd);
}

static int replace(const char *path, mode_t mode)
{
    const int fd = uv_unix_bind(path, mode);

    return fd == -EADDRINUSE && unlink(path) == 0 ? uv_unix_bind(path, mode) : fd;
}

int uv_unix_listen(const char *path, mode_t mode)
{
    uv_autofd int fd = replace(path, mode);

    if (fd < 0)
        return fd;
    return listen(fd, SOMAXCONN) < 0 ? -errno : uv_fd_steal(&fd);
}

int uv_unix_give(const char *path, uid_t uid, gid_t gid)
{
    if (uid == (uid_t)-1 && gid == (gid_t)-1)
        return 0;
    return lchown(path, uid, gid) == 0 || geteuid() != 0 ? 0 : -errno;
}

int uv_unix_publish(const char *aside, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    int result = uv_unix_check(path);
    uv_autofd int fd = result < 0 ? result : replace(aside, mode);

    if (fd < 0)
        return fd;
    result = uv_unix_give(aside, uid, gid);
    if (result == 0 && (listen(fd, SOMAXCONN) < 0 || rename(aside, path) < 0))
        result = -errno;
    if (result == 0)
        return uv_fd_steal(&fd);
    unlink(aside);
    return result;
}

bool uv_unix_is_listening(int fd)
{
    int listens = 0;
    socklen_t size = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

int uv_unix_listen_unnamed(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX};
    uv_autofd int fd = make();

    if (fd < 0)
        return fd;
    /* Autobind: an abstract address that is not told. */
    if (bind(fd, (const struct sockaddr *)&address, sizeof(sa_family_t)) < 0 || listen(fd, 1) < 0)
        return -errno;
    return uv_fd_steal(&fd);
}

int uv_unix_connect(const char *path)
{
    struct sockaddr_un address;
    const int result = set_address(&address, path);
    uv_autofd int fd = result < 0 ? result : make();

    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return uv_fd_steal(&fd);
}
