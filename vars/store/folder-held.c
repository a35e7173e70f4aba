/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "folder-held.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>

struct UvHeld {
    int store_fd;
};

UvHeld *uv_held_new(int store_fd)
{
    UvHeld *held = g_new0(UvHeld, 1);

    held->store_fd = store_fd;
    return held;
}

/* A file without a name is not what the name means now. */
static int held_stat(void *data, UvFileRole role, struct stat *ret_stat)
{
    const UvHeld *held = data;
    struct stat st;

    if (role != UV_FILE_STORE)
        return -ENOENT;
    if (fstat(held->store_fd, &st) < 0)
        return -errno;
    if (st.st_nlink == 0)
        return -ESTALE;
    *ret_stat = st;
    return 0;
}

static int held_open(void *data, UvFileRole role, int flags)
{
    const UvHeld *held = data;
    struct stat st;
    const int found = held_stat(data, role, &st);

    if (flags != O_RDONLY)
        return -EROFS;
    if (found < 0)
        return found;
    return uv_fd_copy(held->store_fd);
}

static int held_rename(void *data, UvFileRole from, UvFileRole to, unsigned *ret_number)
{
    return -EROFS;
}

static int held_unlink(void *data, UvFileRole role)
{
    return -EROFS;
}

static void held_free(void *data)
{
    UvHeld *held = data;

    uv_fd_clear(&held->store_fd);
    g_free(held);
}

const UvFileOps uv_held_ops = {
    .open = held_open,
    .rename = held_rename,
    .unlink = held_unlink,
    .stat = held_stat,
    .free = held_free,
};
