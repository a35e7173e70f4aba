/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sidecars.h"

#include "beneath.h"
#include "fd.h"
#include "file-io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_MODE 0711
#define OWN_MODE 0700

const char *const uv_sidecar_names[] = {
    "before-load",   "changes",  "changes.1", "export",   "export.tmp", UV_SIDECAR_JOURNAL,
    "lock",          "lock.tmp", "meta",      "meta.tmp", "new",        "next-boot",
    "next-boot.tmp", "pin",      "pin.tmp",   "saved",    "tmp",        NULL,
};

char *uv_sidecar_name(const char *store, const char *what)
{
    return g_strconcat(store, ".", what, NULL);
}

char *uv_sidecar_conflict_name(const char *journal, unsigned number)
{
    return g_strdup_printf("%s.conflict-%u", journal, number);
}

int uv_open_dir(int dir_fd, const char *path, int extra)
{
    const int fd = fs_beneath_openat(dir_fd, path, O_RDONLY | O_DIRECTORY | extra);

    return fd == -EACCES ? fs_beneath_openat(dir_fd, path, O_PATH | O_DIRECTORY | extra) : fd;
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

/* A folder of its own counts only if root alone could have made it. */
static bool has_own(int dir_fd, const char *store)
{
    g_autofree char *path = g_build_filename(UV_SIDECARS_OTHERS, store, NULL);
    struct stat st;

    return fs_beneath_stat(dir_fd, UV_SIDECARS_OTHERS, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == 0 && fs_beneath_stat(dir_fd, path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *uv_sidecars_path(int dir_fd, const char *store)
{
    return has_own(dir_fd, store) ? g_build_filename(UV_SIDECARS_OTHERS, store, NULL)
                                  : g_strdup(UV_SIDECARS);
}

int uv_sidecars_open(int dir_fd, const char *store)
{
    g_autofree char *path = uv_sidecars_path(dir_fd, store);

    return uv_open_dir(dir_fd, path, O_NOFOLLOW);
}

/* A folder below `dir_fd`, made if need be, with exactly this mode then. */
static int make_dir(int dir_fd, const char *name, mode_t mode, bool *ret_made)
{
    uv_autofd int fd = -1;

    *ret_made = mkdirat(dir_fd, name, mode) == 0;
    if (!*ret_made && errno != EEXIST)
        return -errno;
    fd = uv_open_dir(dir_fd, name, O_NOFOLLOW);
    if (fd >= 0 && *ret_made && fchmod(fd, mode) < 0) /* whatever the umask is */
        return -errno;
    return fd < 0 ? fd : uv_fd_steal(&fd);
}

/* Only what belongs to the folder's owner until now, who may have put anything there. */
static bool give_file(int dir_fd, const char *name, uid_t from, uid_t uid, gid_t gid)
{
    struct stat st;
    uv_autofd int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
           st.st_uid == from && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0;
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
    uv_autofd int fd = openat(own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return -errno;
    uv_fd_steal(&fd);
    for (struct dirent *entry; (entry = readdir(dir));)
        (void)give_file(own, entry->d_name, st.st_uid, uid, gid);
    closedir(dir);
    return fchown(own, uid, gid) < 0 ? -errno : 0;
}

/* False: it was not there. What is not as it must be is gone. */
static bool move_file(int from, int to, const char *name, uid_t from_uid, uid_t uid, gid_t gid)
{
    if (renameat2(from, name, to, name, RENAME_NOREPLACE) < 0)
        return false;
    if (!give_file(to, name, from_uid, uid, gid))
        unlinkat(to, name, 0);
    return true;
}

/* What there is of the store in the folder of its owner until now. */
static int move_all(int from, int to, const char *store, uid_t from_uid, uid_t uid, gid_t gid)
{
    g_autofree char *journal = uv_sidecar_name(store, UV_SIDECAR_JOURNAL);

    for (const char *const *what = uv_sidecar_names; *what; what++) {
        g_autofree char *name = uv_sidecar_name(store, *what);
        (void)move_file(from, to, name, from_uid, uid, gid);
    }
    for (unsigned n = 1; n <= UV_CONFLICTS_MAX; n++) { /* some may have been removed */
        g_autofree char *name = uv_sidecar_conflict_name(journal, n);
        (void)move_file(from, to, name, from_uid, uid, gid);
    }
    return uv_sync_names(to);
}

/* As root. */
static int make_own(int dir_fd, const char *store, uid_t uid, gid_t gid)
{
    bool made_others, made_own;
    uv_autofd int others = make_dir(dir_fd, UV_SIDECARS_OTHERS, OTHERS_MODE, &made_others);
    uv_autofd int own = -1;
    struct stat st;
    int ret;

    if (others < 0)
        return others;
    if (fstat(others, &st) < 0 || st.st_uid != 0)
        return -EPERM;
    own = make_dir(others, store, OWN_MODE, &made_own);
    ret = own < 0 ? own : give(own, uid, gid);
    if (ret == 0 && made_own)
        ret = uv_sync_names(others);
    if (ret == 0 && made_others)
        ret = uv_sync_names(dir_fd);
    return ret < 0 ? ret : uv_fd_steal(&own);
}

/*
 * As root, for a store whose sidecars were in `common` or would be, which has another owner. What
 * lies there is the store's if that owner is root, or owns the folder of the stores: any other user
 * may have planted it.
 */
static int leave_common(int dir_fd, int common, const char *store, uid_t uid, gid_t gid)
{
    struct stat st, folder;
    uv_autofd int own = -1;
    int ret;

    if (fstat(common, &st) < 0 || fstat(dir_fd, &folder) < 0)
        return -errno;
    own = make_own(dir_fd, store, uid, gid);
    ret = own < 0 ? own : 0;
    if (ret == 0 && (st.st_uid == 0 || st.st_uid == folder.st_uid))
        ret = move_all(common, own, store, st.st_uid, uid, gid);
    return ret < 0 ? ret : uv_fd_steal(&own);
}

static int make_common(int dir_fd, uid_t uid, gid_t gid, uid_t *ret_owner)
{
    bool made;
    struct stat st;
    uv_autofd int fd = make_dir(dir_fd, UV_SIDECARS, OWN_MODE, &made);
    int ret;

    if (fd < 0)
        return fd;
    if (made && geteuid() == 0 && fchown(fd, uid, gid) < 0)
        return -errno;
    ret = made ? uv_sync_names(dir_fd) : 0;
    if (ret < 0 || fstat(fd, &st) < 0)
        return ret < 0 ? ret : -errno;
    *ret_owner = st.st_uid;
    return uv_fd_steal(&fd);
}

int uv_sidecars_make(int dir_fd, const char *store, uid_t uid, gid_t gid)
{
    const bool root = geteuid() == 0;
    uid_t owner = uid;
    uv_autofd int fd = -1;

    if (has_own(dir_fd, store))
        return root ? make_own(dir_fd, store, uid, gid) : uv_sidecars_open(dir_fd, store);
    fd = make_common(dir_fd, uid, gid, &owner);
    if (fd < 0)
        return fd;
    if (root && owner != uid)
        return leave_common(dir_fd, fd, store, uid, gid);
    return uv_fd_steal(&fd);
}

void uv_sidecars_remove(int sidecars_fd, const char *store)
{
    for (const char *const *what = uv_sidecar_names; *what; what++) {
        g_autofree char *name = uv_sidecar_name(store, *what);
        unlinkat(sidecars_fd, name, 0);
    }
}

int uv_sidecars_rename(int sidecars_fd, const char *store, const char *to)
{
    g_autofree char *journal = uv_sidecar_name(store, UV_SIDECAR_JOURNAL);

    if (faccessat(sidecars_fd, journal, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EBUSY;
    for (const char *const *what = uv_sidecar_names; *what; what++) {
        g_autofree char *from = uv_sidecar_name(store, *what), *name = uv_sidecar_name(to, *what);
        if (renameat(sidecars_fd, from, sidecars_fd, name) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

bool uv_sidecars_is_one(const char *file, const char *store)
{
    const size_t size = strlen(store);

    return strncmp(file, store, size) == 0 && file[size] == '.' &&
           g_strv_contains(uv_sidecar_names, file + size + 1);
}

static uint64_t size_of(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_size : 0;
}

/* The first one always has, whatever its size. */
static bool has_room(int sidecars_fd, const char *journal, uint64_t size)
{
    uint64_t others = 0;

    for (unsigned n = 1; n <= UV_CONFLICTS_MAX; n++) {
        g_autofree char *name = uv_sidecar_conflict_name(journal, n);
        others += size_of(sidecars_fd, name);
    }
    return others == 0 || others + size <= UV_CONFLICTS_BYTES_MAX;
}

/* The first name that is free. */
static int create_conflict(int sidecars_fd, const char *journal, char **ret_name,
                           unsigned *ret_number)
{
    for (unsigned n = 1; n <= UV_CONFLICTS_MAX; n++) {
        g_autofree char *name = uv_sidecar_conflict_name(journal, n);
        const int fd =
            openat(sidecars_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return -errno;
        *ret_name = g_steal_pointer(&name);
        *ret_number = n;
        return fd;
    }
    return -EDQUOT;
}

/* Copied, not renamed: an engine that has the journal open writes to a file without a name then. */
static int copy_aside(int sidecars_fd, const char *journal, int from, uint64_t size,
                      unsigned *ret_number)
{
    g_autofree char *name = NULL;
    uv_autofd int fd = create_conflict(sidecars_fd, journal, &name, ret_number);
    int result = fd < 0 ? fd : uv_copy_range(from, fd, 0, size);

    if (result == 0 && fsync(fd) < 0)
        result = -errno;
    if (result == 0)
        result = uv_sync_names(sidecars_fd);
    if (result < 0 && fd >= 0)
        unlinkat(sidecars_fd, name, 0);
    return result;
}

int uv_sidecars_set_journal_aside(int sidecars_fd, const char *store, unsigned *ret_number)
{
    g_autofree char *journal = uv_sidecar_name(store, UV_SIDECAR_JOURNAL);
    uv_autofd int from =
        openat(sidecars_fd, journal, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    int result;

    if (from < 0 || fstat(from, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (!has_room(sidecars_fd, journal, (uint64_t)st.st_size))
        return -EDQUOT;
    result = copy_aside(sidecars_fd, journal, from, (uint64_t)st.st_size, ret_number);
    if (result == 0 && unlinkat(sidecars_fd, journal, 0) < 0)
        result = -errno;
    return result < 0 ? result : uv_sync_names(sidecars_fd);
}

bool uv_folder_may_write(const struct stat *folder, uid_t uid, gid_t gid)
{
    if (uid == 0)
        return true;
    if (folder->st_uid == uid)
        return folder->st_mode & S_IWUSR;
    return folder->st_mode & (folder->st_gid == gid ? S_IWGRP : S_IWOTH);
}

bool uv_sidecars_may_make(int dir_fd, const char *store, uid_t uid, gid_t gid)
{
    g_autofree char *path = uv_sidecars_path(dir_fd, store);
    struct stat st;

    const int result = fs_beneath_stat(dir_fd, path, &st);

    if (result == 0)
        return st.st_uid == uid;
    return result == -ENOENT && fstat(dir_fd, &st) == 0 && uv_folder_may_write(&st, uid, gid);
}
