/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Descriptors that close themselves: `uv_autofd int fd = -1;` is closed when its scope ends, unless
 * uv_fd_steal() has handed it on. A negative value is no descriptor, so what a function with a
 * -errno result gives may be stored as it is. errno is what it was before.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Closes `*fd` if it is a descriptor, and makes it -1. */
static inline void uv_fd_clear(int *fd)
{
    const int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

/* The caller owns the descriptor from here on, `*fd` is -1. */
static inline int uv_fd_steal(int *fd)
{
    const int stolen = *fd;

    *fd = -1;
    return stolen;
}

/* Another descriptor of the same, close-on-exec, or -errno. */
static inline int uv_fd_copy(int fd)
{
    const int copied = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copied < 0 ? -errno : copied;
}

#define uv_autofd __attribute__((cleanup(uv_fd_clear)))
