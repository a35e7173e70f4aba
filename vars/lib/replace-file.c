/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "replace-file.h"

#include "fd.h"
#include "file-io.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>

static int write_aside(int dir_fd, const char *temporary, const void *bytes, size_t size, uid_t uid,
                       gid_t gid, bool sync)
{
    uv_autofd int fd =
        openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int ret;

    if (fd < 0)
        return -errno;
    /* What an ordinary user makes is its own already. */
    if (geteuid() == 0 && uid != (uid_t)-1 && fchown(fd, uid, gid) < 0)
        return -errno;
    ret = uv_write_all(fd, bytes, size);
    return ret == 0 && sync && fsync(fd) < 0 ? -errno : ret;
}

int uv_replace_file(int dir_fd, const char *name, const char *temporary, const void *bytes,
                    size_t size, uid_t uid, gid_t gid, UvReplaceDurability durability)
{
    int ret;

    unlinkat(dir_fd, temporary, 0);
    ret = write_aside(dir_fd, temporary, bytes, size, uid, gid, durability != UV_REPLACE_LAZY);
    if (ret == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        ret = -errno;
    if (ret < 0) {
        unlinkat(dir_fd, temporary, 0);
        return ret;
    }
    return durability == UV_REPLACE_DURABLE ? uv_sync_names(dir_fd) : 0;
}
