/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sidecars.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define AROUND_MODE 0711
#define OWN_MODE 0700

int uv_open_dir(int dir_fd, const char *path, int extra)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | extra);

    if (fd < 0 && errno == EACCES)
        fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC | extra);
    return fd < 0 ? -errno : fd;
}

/* A folder that can be searched but not read can't be synced; its file system can. */
int uv_sync_names(int dir_fd)
{
    if (fsync(dir_fd) == 0)
        return 0;
    if (errno != EBADF && errno != EINVAL)
        return -errno;
    return syncfs(dir_fd) == 0 || errno == EBADF ? 0 : -errno;
}

static int close_with(int fd, int result)
{
    close(fd);
    return result;
}

int uv_sidecars_open(int dir_fd, const char *store)
{
    int around = uv_open_dir(dir_fd, UV_SIDECARS, O_NOFOLLOW);

    return around < 0 ? around : close_with(around, uv_open_dir(around, store, O_NOFOLLOW));
}

/* A folder below `dir_fd`, made if need be, with exactly this mode then. */
static int make_dir(int dir_fd, const char *name, mode_t mode, bool *ret_made)
{
    int fd;

    *ret_made = mkdirat(dir_fd, name, mode) == 0;
    if (!*ret_made && errno != EEXIST)
        return -errno;
    fd = uv_open_dir(dir_fd, name, O_NOFOLLOW);
    if (fd >= 0 && *ret_made && fchmod(fd, mode) < 0) /* whatever the umask is */
        return close_with(fd, -errno);
    return fd;
}

/* It is of one user only while it was made for the folder's owner, and no other came. */
static int settle_around(int dir_fd, int around, bool made, uid_t uid, gid_t gid)
{
    struct stat st, folder;

    if (fstat(around, &st) < 0 || fstat(dir_fd, &folder) < 0)
        return -errno;
    bool his = (made ? folder.st_uid : st.st_uid) == uid;
    if (his && !made)
        return 0;
    if (st.st_uid != (his ? uid : 0) && fchown(around, his ? uid : 0, his ? gid : 0) < 0)
        return -errno;
    return (st.st_mode & 07777) == AROUND_MODE || fchmod(around, AROUND_MODE) == 0 ? 0 : -errno;
}

/* Only what was its owner's: he may have put anything there. */
static void give_file(int dir_fd, const char *name, uid_t from, uid_t uid, gid_t gid)
{
    struct stat st;
    int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == from)
        (void)!fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
    close(fd);
}

/* A store's folder and what is in it, to whom the store belongs now. */
static int give(int own, uid_t uid, gid_t gid)
{
    struct stat st;
    DIR *dir;

    if (fstat(own, &st) < 0)
        return -errno;
    if (st.st_uid == uid)
        return 0;
    int fd = openat(own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return fd < 0 ? -errno : close_with(fd, -ENOMEM);
    for (struct dirent *entry; (entry = readdir(dir));)
        give_file(own, entry->d_name, st.st_uid, uid, gid);
    closedir(dir);
    return fchown(own, uid, gid) < 0 ? -errno : 0;
}

int uv_sidecars_make(int dir_fd, const char *store, uid_t uid, gid_t gid)
{
    bool root = geteuid() == 0, made_around, made_own;
    int around = make_dir(dir_fd, UV_SIDECARS, AROUND_MODE, &made_around), own, ret = 0;

    if (around < 0)
        return around;
    if (root)
        ret = settle_around(dir_fd, around, made_around, uid, gid);
    if (ret < 0)
        return close_with(around, ret);
    own = make_dir(around, store, OWN_MODE, &made_own);
    if (own < 0)
        return close_with(around, own);
    if (root)
        ret = give(own, uid, gid);
    if (ret == 0 && made_own)
        ret = uv_sync_names(around);
    if (ret == 0 && made_around)
        ret = uv_sync_names(dir_fd);
    close(around);
    return ret < 0 ? close_with(own, ret) : own;
}

static bool may_write(const struct stat *folder, uid_t uid, gid_t gid)
{
    if (uid == 0)
        return true;
    if (folder->st_uid == uid)
        return folder->st_mode & S_IWUSR;
    return folder->st_mode & (folder->st_gid == gid ? S_IWGRP : S_IWOTH);
}

bool uv_sidecars_may_make(int dir_fd, const char *store, uid_t uid, gid_t gid)
{
    struct stat folder, st, own;
    int around = uv_open_dir(dir_fd, UV_SIDECARS, O_NOFOLLOW);

    if (around < 0)
        return around == -ENOENT && fstat(dir_fd, &folder) == 0 && may_write(&folder, uid, gid);
    bool known = fstat(around, &st) == 0;
    bool there = known && fstatat(around, store, &own, AT_SYMLINK_NOFOLLOW) == 0;
    close(around);
    return known && (there ? own.st_uid : st.st_uid) == uid;
}
