/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The descriptor of the sidecars' folder is opened when it is first needed and made when something
 * is first to be created there. The store's owner owns the sidecars: natural for an engine that
 * runs as the owner, done by chown for root. What is found there is used only if it belongs to the
 * engine's user or to the store's owner, and a sidecar only if it is a regular file with one link:
 * so no other user can lead an engine to a file that is not the store's.
 */

#include "folder-direct.h"

#include "fd.h"
#include "sidecars.h"
#include "trusted-attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct UvDirect {
    int dir_fd;      /* readable if we may, else O_PATH */
    int sidecars_fd; /* -1 until needed */
    char *name;      /* of the store, one component */
};

/* What may be done with a role's file, beside opening it. */
static const struct {
    const char *name;        /* behind the store's name and a dot */
    UvFileRole renamed_from; /* UV_FILE_STORE: nothing is renamed to it */
    bool unlinked;
    bool temporary; /* made anew each time, and not worth a sync of the names */
} roles[UV_FILE_ROLES] = {
    [UV_FILE_STORE] = {.renamed_from = UV_FILE_TEMP},
    [UV_FILE_TEMP] = {"tmp", .unlinked = true, .temporary = true},
    [UV_FILE_JOURNAL] = {UV_SIDECAR_JOURNAL, .unlinked = true},
    [UV_FILE_CONFLICT] = {UV_SIDECAR_JOURNAL ".conflict", .renamed_from = UV_FILE_JOURNAL},
    [UV_FILE_LOCK] = {"lock", .renamed_from = UV_FILE_LOCK_TEMP, .unlinked = true},
    [UV_FILE_LOCK_TEMP] = {"lock.tmp", .temporary = true},
    [UV_FILE_META] = {"meta", .renamed_from = UV_FILE_META_TEMP, .unlinked = true},
    [UV_FILE_META_TEMP] = {"meta.tmp", .unlinked = true, .temporary = true},
    [UV_FILE_NEXT_BOOT] = {"next-boot", .renamed_from = UV_FILE_NEXT_BOOT_TEMP, .unlinked = true},
    [UV_FILE_NEXT_BOOT_TEMP] = {"next-boot.tmp", .unlinked = true, .temporary = true},
    [UV_FILE_RECORD] = {"changes", .unlinked = true},
    [UV_FILE_RECORD_OLD] = {"changes.1", .renamed_from = UV_FILE_RECORD, .unlinked = true},
    [UV_FILE_BEFORE_LOAD] = {"before-load", .temporary = true},
    [UV_FILE_SAVED] = {"saved", .unlinked = true, .temporary = true},
};

static bool is_role(UvFileRole role)
{
    return role >= UV_FILE_STORE && role < UV_FILE_ROLES;
}

static bool has_file(UvFileRole role)
{
    return is_role(role) && role != UV_FILE_CONFLICT;
}

static bool may_open(UvFileRole role, int flags)
{
    if (!has_file(role))
        return false;
    if (flags & ~(O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND))
        return false;
    return role != UV_FILE_STORE || !(flags & (O_TRUNC | O_APPEND));
}

static bool may_rename(UvFileRole from, UvFileRole to)
{
    return is_role(to) && from != UV_FILE_STORE && roles[to].renamed_from == from;
}

/* The owner that sidecars get: the store's, or the folder's while there is no store. */
static bool wanted_owner(UvDirect *direct, struct stat *ret_st)
{
    return fstatat(direct->dir_fd, direct->name, ret_st, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstat(direct->dir_fd, ret_st) == 0;
}

int uv_direct_make_sidecars(UvDirect *direct, uid_t uid, gid_t gid)
{
    uv_autofd int fd = -1;

    if (uv_sidecars_may_make(direct->dir_fd, direct->name, uid, gid))
        return 0;
    fd = uv_sidecars_make(direct->dir_fd, direct->name, uid, gid);
    return MIN(fd, 0);
}

/* One that is neither the engine's user's nor the store's owner's was planted. */
static bool is_trusted(UvDirect *direct, const struct stat *st)
{
    struct stat owner;

    return st->st_uid == geteuid() || (wanted_owner(direct, &owner) && st->st_uid == owner.st_uid);
}

/* Of the system's libvirt, or a user's. */
static bool is_libvirt_folder(int dir_fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", dir_fd);
    g_autofree char *path = g_file_read_link(link, NULL);

    return path && (g_str_has_prefix(path, "/var/lib/libvirt/") || strstr(path, "/libvirt/qemu/"));
}

bool uv_direct_is_of_others(const UvDirect *direct)
{
    uv_autofd int fd = openat(direct->dir_fd, direct->name,
                              O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);

    return (fd >= 0 && uv_has_trusted_attributes(fd)) || is_libvirt_folder(direct->dir_fd);
}

/* The descriptor of the sidecars' folder, borrowed. */
static int sidecars(UvDirect *direct, bool create)
{
    struct stat st;
    uv_autofd int fd = -1;

    if (direct->sidecars_fd >= 0) {
        if (fstat(direct->sidecars_fd, &st) == 0 && st.st_nlink > 0)
            return direct->sidecars_fd;
        /* It was removed while it was open: a new one is as good. */
        uv_fd_clear(&direct->sidecars_fd);
    }
    fd = uv_sidecars_open(direct->dir_fd, direct->name);
    if (fd == -ENOENT && create && wanted_owner(direct, &st))
        fd = uv_sidecars_make(direct->dir_fd, direct->name, st.st_uid, st.st_gid);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0 || !is_trusted(direct, &st))
        return -EPERM;
    return direct->sidecars_fd = uv_fd_steal(&fd);
}

/* The folder that a role's file is in (borrowed) and its name there. */
static int locate(UvDirect *direct, UvFileRole role, bool create, char ret_name[NAME_MAX + 1])
{
    if (role == UV_FILE_STORE) {
        g_strlcpy(ret_name, direct->name, NAME_MAX + 1);
        return direct->dir_fd;
    }
    g_snprintf(ret_name, NAME_MAX + 1, "%s.%s", direct->name, roles[role].name);
    return sidecars(direct, create);
}

static int check_opened(UvDirect *direct, UvFileRole role, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return role == UV_FILE_STORE && S_ISBLK(st.st_mode) ? 0 : -EINVAL;
    if (role == UV_FILE_STORE)
        return 0;
    if (st.st_nlink > 1)
        return -EMLINK;
    return is_trusted(direct, &st) ? 0 : -EPERM;
}

static int create_file(UvDirect *direct, UvFileRole role, int dir_fd, const char *name, int flags)
{
    struct stat owner;
    bool owned = geteuid() == 0 && role != UV_FILE_STORE && wanted_owner(direct, &owner);
    uv_autofd int fd =
        openat(dir_fd, name, flags | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int ret;

    if (fd < 0)
        return -errno;
    if (owned && fchown(fd, owner.st_uid, owner.st_gid) < 0)
        ret = -errno;
    else
        ret = roles[role].temporary && role != UV_FILE_BEFORE_LOAD ? 0 : uv_sync_names(dir_fd);
    if (ret == 0)
        return uv_fd_steal(&fd);
    unlinkat(dir_fd, name, 0);
    return ret;
}

static int open_existing(UvDirect *direct, UvFileRole role, int dir_fd, const char *name, int flags)
{
    struct stat st;
    uv_autofd int fd = -1;
    int ret;

    /* Looked at first: to open a FIFO is to wait for its other end. */
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    if (!S_ISREG(st.st_mode) && !(role == UV_FILE_STORE && S_ISBLK(st.st_mode)))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    fd = openat(dir_fd, name, (flags & ~O_TRUNC) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ret = check_opened(direct, role, fd);
    if (ret == 0 && (flags & O_TRUNC) && ftruncate(fd, 0) < 0)
        ret = -errno;
    return ret < 0 ? ret : uv_fd_steal(&fd);
}

static int direct_open(void *data, UvFileRole role, int flags)
{
    UvDirect *direct = data;
    char name[NAME_MAX + 1];
    bool create = flags & O_CREAT, exclusive = flags & O_EXCL;
    int dir_fd, fd = -ENOENT;

    if (!may_open(role, flags))
        return -EPERM;
    dir_fd = locate(direct, role, create, name);
    if (dir_fd < 0)
        return dir_fd;
    if (create && roles[role].temporary) {
        if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
            return -errno;
        exclusive = true;
    }
    flags &= ~(O_CREAT | O_EXCL);
    if (!exclusive)
        fd = open_existing(direct, role, dir_fd, name, flags);
    if (fd == -ENOENT && create)
        fd = create_file(direct, role, dir_fd, name, flags & ~O_TRUNC);
    return fd;
}

static int direct_rename(void *data, UvFileRole from, UvFileRole to, unsigned *ret_number)
{
    UvDirect *direct = data;
    char from_name[NAME_MAX + 1], to_name[NAME_MAX + 1];
    int from_fd, to_fd;

    if (!may_rename(from, to))
        return -EPERM;
    from_fd = locate(direct, from, false, from_name);
    if (from_fd < 0)
        return from_fd;
    *ret_number = 0;
    if (to == UV_FILE_CONFLICT)
        return uv_sidecars_set_journal_aside(from_fd, direct->name, ret_number);
    to_fd = locate(direct, to, false, to_name);
    if (to_fd < 0)
        return to_fd;
    if (renameat(from_fd, from_name, to_fd, to_name) < 0)
        return -errno;
    /* The times are not worth a sync: nothing depends on them. */
    return to == UV_FILE_META ? 0 : uv_sync_names(to_fd);
}

/* The lock goes last, and only when its store is gone; with it the folder, if nothing else is
 * there. */
static int unlink_lock(UvDirect *direct, int dir_fd, const char *name)
{
    g_autofree char *folder = uv_sidecars_path(direct->dir_fd, direct->name);
    struct stat st;

    if (fstatat(direct->dir_fd, direct->name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return -EPERM;
    if (unlinkat(dir_fd, name, 0) < 0)
        return errno == ENOENT ? 0 : -errno;
    (void)unlinkat(direct->dir_fd, folder, AT_REMOVEDIR);
    return 0;
}

static int direct_unlink(void *data, UvFileRole role)
{
    UvDirect *direct = data;
    char name[NAME_MAX + 1];
    int dir_fd;

    if (!is_role(role) || !roles[role].unlinked)
        return -EPERM;
    dir_fd = locate(direct, role, false, name);
    if (dir_fd == -ENOENT)
        return 0;
    if (dir_fd < 0)
        return dir_fd;
    if (role == UV_FILE_LOCK)
        return unlink_lock(direct, dir_fd, name);
    if (unlinkat(dir_fd, name, 0) < 0)
        return errno == ENOENT ? 0 : -errno;
    return roles[role].temporary ? 0 : uv_sync_names(dir_fd);
}

static int direct_stat(void *data, UvFileRole role, struct stat *ret_stat)
{
    UvDirect *direct = data;
    char name[NAME_MAX + 1];
    int dir_fd;

    if (!has_file(role))
        return -EPERM;
    dir_fd = locate(direct, role, false, name);
    if (dir_fd < 0)
        return dir_fd;
    return fstatat(dir_fd, name, ret_stat, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static bool is_bare(UvDirect *direct)
{
    static const UvFileRole beside[] = {UV_FILE_JOURNAL,   UV_FILE_LOCK,   UV_FILE_META,
                                        UV_FILE_NEXT_BOOT, UV_FILE_RECORD, UV_FILE_RECORD_OLD,
                                        UV_FILE_SAVED};
    struct stat st;
    const int dir_fd = sidecars(direct, false);

    if (dir_fd < 0)
        return dir_fd == -ENOENT;
    for (size_t i = 0; i < G_N_ELEMENTS(beside); i++)
        if (direct_stat(direct, beside[i], &st) != -ENOENT)
            return false;
    return true;
}

int uv_direct_open_bare(UvDirect *direct)
{
    return is_bare(direct) ? direct_open(direct, UV_FILE_STORE, O_RDONLY) : -EBUSY;
}

void uv_direct_free(UvDirect *direct)
{
    if (!direct)
        return;
    uv_fd_clear(&direct->dir_fd);
    uv_fd_clear(&direct->sidecars_fd);
    g_free(direct->name);
    g_free(direct);
}

const UvFileOps uv_direct_ops = {
    .open = direct_open,
    .rename = direct_rename,
    .unlink = direct_unlink,
    .stat = direct_stat,
};

UvDirect *uv_direct_new(int dir_fd, const char *name)
{
    UvDirect *direct = g_new0(UvDirect, 1);

    direct->dir_fd = dir_fd;
    direct->sidecars_fd = -1;
    direct->name = g_strdup(name);
    return direct;
}

void uv_direct_fds(const UvDirect *direct, int ret_fds[2])
{
    ret_fds[0] = direct->dir_fd;
    ret_fds[1] = direct->sidecars_fd;
}

char *uv_direct_sidecars(const UvDirect *direct)
{
    return uv_sidecars_path(direct->dir_fd, direct->name);
}

char *uv_direct_path(const UvDirect *direct, const char *sidecars, UvFileRole role)
{
    return role == UV_FILE_STORE
               ? g_strdup(direct->name)
               : g_strdup_printf("%s/%s.%s", sidecars, direct->name, roles[role].name);
}
