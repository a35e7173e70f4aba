/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "stat-near.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define XFS 0x58465342
#define ZFS 0x2fc12fc1
#define BCACHEFS 0xca451a4e

static bool has_no_server(int folder_fd)
{
    static const unsigned long near[] = {
        EXT4_SUPER_MAGIC, XFS, BTRFS_SUPER_MAGIC, ZFS, BCACHEFS, F2FS_SUPER_MAGIC, TMPFS_MAGIC};
    struct statfs fs;

    if (fstatfs(folder_fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(near); i++)
        if ((unsigned long)fs.f_type == near[i])
            return true;
    return false;
}

/* What lies in the folder and is no mount is of the folder's file system. */
static bool is_near(int folder_fd, dev_t device)
{
    static struct {
        dev_t device;
        bool known, near;
    } last; /* nearly all that is asked about is in one */

    if (!last.known || last.device != device)
        last.near = has_no_server(folder_fd);
    last.device = device;
    last.known = true;
    return last.near;
}

static struct timespec time_of(const struct statx_timestamp *time)
{
    return (struct timespec){.tv_sec = time->tv_sec, .tv_nsec = time->tv_nsec};
}

static struct stat stat_of(const struct statx *st)
{
    return (struct stat){
        .st_dev = makedev(st->stx_dev_major, st->stx_dev_minor),
        .st_ino = st->stx_ino,
        .st_mode = st->stx_mode,
        .st_nlink = st->stx_nlink,
        .st_uid = st->stx_uid,
        .st_gid = st->stx_gid,
        .st_rdev = makedev(st->stx_rdev_major, st->stx_rdev_minor),
        .st_size = (off_t)st->stx_size,
        .st_blksize = st->stx_blksize,
        .st_blocks = (blkcnt_t)st->stx_blocks,
        .st_atim = time_of(&st->stx_atime),
        .st_mtim = time_of(&st->stx_mtime),
        .st_ctim = time_of(&st->stx_ctime),
    };
}

bool uv_stat_near(int folder_fd, const char *name, struct stat *ret_stat, int *ret_result)
{
    const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    struct statx st;

    if (strchr(name, '/'))
        return false;
    if (statx(folder_fd, name, flags, STATX_BASIC_STATS, &st) < 0) {
        *ret_result = -errno;
        return errno != ENOSYS && errno != EPERM;
    }
    if (!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
        return false;
    *ret_result = st.stx_attributes & STATX_ATTR_MOUNT_ROOT ? -EXDEV : 0;
    *ret_stat = stat_of(&st);
    return *ret_result < 0 || is_near(folder_fd, ret_stat->st_dev);
}
