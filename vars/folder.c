/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A store's files by role (folder.h), on the folder's own descriptors.
 *
 * The descriptor of the sidecars' folder is opened when it is first needed and made when something
 * is first to be created there. Whoever owns the store owns the sidecars: natural for an engine
 * that runs as the owner, done by chown for root. What is found there under a sidecar's name is
 * used only if it is a regular file with one link that belongs to us or to the store's owner, so
 * nobody can lead root to a file of somebody else's.
 */

#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define SIDECARS ".uefivarsfs"
/* The longest suffix, ".journal.conflict-" and a number, has to fit behind the name. */
#define SUFFIX_BYTES 24
#define CONFLICTS_MAX 9999

struct UvFolder {
    int dir_fd;      /* readable if we may, else O_PATH */
    int sidecars_fd; /* -1 until needed */
    char *name;      /* of the store, one component */
    char *texts[UV_FILE_BEFORE_LOAD + 1];
    const UvFileOps *ops;
    void *ops_data;
    UvFolderHook hook;
    void *hook_data;
};

static const char *const role_suffixes[] = {
    [UV_FILE_STORE] = "",
    [UV_FILE_TEMP] = ".tmp",
    [UV_FILE_JOURNAL] = ".journal",
    [UV_FILE_CONFLICT] = ".journal.conflict",
    [UV_FILE_LOCK] = ".lock",
    [UV_FILE_META] = ".meta",
    [UV_FILE_META_TEMP] = ".meta.tmp",
    [UV_FILE_BEFORE_LOAD] = ".before-load",
};

static bool is_temporary(UvFileRole role)
{
    return role == UV_FILE_TEMP || role == UV_FILE_META_TEMP || role == UV_FILE_BEFORE_LOAD;
}

bool uv_file_may_open(UvFileRole role, int flags)
{
    if (role < UV_FILE_STORE || role > UV_FILE_BEFORE_LOAD || role == UV_FILE_CONFLICT)
        return false;
    if (flags & ~(O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND))
        return false;
    return role != UV_FILE_STORE || !(flags & (O_TRUNC | O_APPEND));
}

bool uv_file_may_rename(UvFileRole from, UvFileRole to)
{
    return (from == UV_FILE_TEMP && to == UV_FILE_STORE) ||
           (from == UV_FILE_META_TEMP && to == UV_FILE_META) ||
           (from == UV_FILE_JOURNAL && to == UV_FILE_CONFLICT);
}

bool uv_file_may_unlink(UvFileRole role)
{
    return role == UV_FILE_TEMP || role == UV_FILE_META_TEMP || role == UV_FILE_META ||
           role == UV_FILE_JOURNAL;
}

/* The owner that sidecars get: the store's, or the folder's while there is no store. */
static bool wanted_owner(UvFolder *folder, struct stat *ret_st)
{
    return fstatat(folder->dir_fd, folder->name, ret_st, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstat(folder->dir_fd, ret_st) == 0;
}

/* Durable names. A folder that can be searched but not read can't be synced; its file system can.
 */
static int sync_names(int dir_fd)
{
    if (fsync(dir_fd) == 0)
        return 0;
    if (errno != EBADF && errno != EINVAL)
        return -errno;
    return syncfs(dir_fd) == 0 || errno == EBADF ? 0 : -errno;
}

static int open_dir(int dir_fd, const char *path, int extra)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | extra);

    if (fd < 0 && errno == EACCES)
        fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC | extra);
    return fd < 0 ? -errno : fd;
}

static int make_sidecars(UvFolder *folder, uid_t uid, gid_t gid)
{
    struct stat st;

    if (mkdirat(folder->dir_fd, SIDECARS, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    if (geteuid() == 0 && wanted_owner(folder, &st) &&
        fchownat(folder->dir_fd, SIDECARS, uid == (uid_t)-1 ? st.st_uid : uid,
                 gid == (gid_t)-1 ? st.st_gid : gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return sync_names(folder->dir_fd);
}

/* The descriptor of the sidecars' folder, borrowed. */
static int sidecars(UvFolder *folder, bool create)
{
    struct stat st;
    int fd, ret;

    if (folder->sidecars_fd >= 0) {
        if (fstat(folder->sidecars_fd, &st) == 0 && st.st_nlink > 0)
            return folder->sidecars_fd;
        /* Somebody removed it under us: a new one is as good. */
        close(folder->sidecars_fd);
        folder->sidecars_fd = -1;
    }
    fd = open_dir(folder->dir_fd, SIDECARS, O_NOFOLLOW);
    if (fd == -ENOENT && create) {
        ret = make_sidecars(folder, -1, -1);
        if (ret < 0)
            return ret;
        fd = open_dir(folder->dir_fd, SIDECARS, O_NOFOLLOW);
    }
    if (fd >= 0)
        folder->sidecars_fd = fd;
    return fd;
}

/* The folder that a role's file is in (borrowed) and its name there. */
static int locate(UvFolder *folder, UvFileRole role, bool create, char ret_name[NAME_MAX + 1])
{
    g_snprintf(ret_name, NAME_MAX + 1, "%s%s", folder->name, role_suffixes[role]);
    return role == UV_FILE_STORE ? folder->dir_fd : sidecars(folder, create);
}

static int check_opened(UvFolder *folder, UvFileRole role, int fd)
{
    struct stat st, owner;

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
    if (st.st_uid != geteuid() && !(wanted_owner(folder, &owner) && st.st_uid == owner.st_uid))
        return -EPERM;
    return 0;
}

static int create_file(UvFolder *folder, UvFileRole role, int dir_fd, const char *name, int flags)
{
    struct stat owner;
    bool owned = geteuid() == 0 && role != UV_FILE_STORE && wanted_owner(folder, &owner);
    int ret, fd = openat(dir_fd, name, flags | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    if (owned && fchown(fd, owner.st_uid, owner.st_gid) < 0)
        ret = -errno;
    else
        ret = is_temporary(role) && role != UV_FILE_BEFORE_LOAD ? 0 : sync_names(dir_fd);
    if (ret < 0) {
        close(fd);
        unlinkat(dir_fd, name, 0);
        return ret;
    }
    return fd;
}

static int open_existing(UvFolder *folder, UvFileRole role, int dir_fd, const char *name, int flags)
{
    struct stat st;
    int ret, fd;

    /* Looked at first: to open a FIFO is to wait for somebody. */
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    if (!S_ISREG(st.st_mode) && !(role == UV_FILE_STORE && S_ISBLK(st.st_mode)))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    fd = openat(dir_fd, name, (flags & ~O_TRUNC) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ret = check_opened(folder, role, fd);
    if (ret == 0 && (flags & O_TRUNC) && ftruncate(fd, 0) < 0)
        ret = -errno;
    if (ret < 0) {
        close(fd);
        return ret;
    }
    return fd;
}

static int direct_open(void *data, UvFileRole role, int flags)
{
    UvFolder *folder = data;
    char name[NAME_MAX + 1];
    bool create = flags & O_CREAT, exclusive = flags & O_EXCL;
    int dir_fd, fd = -ENOENT;

    if (!uv_file_may_open(role, flags))
        return -EPERM;
    dir_fd = locate(folder, role, create, name);
    if (dir_fd < 0)
        return dir_fd;
    if (create && is_temporary(role)) {
        if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
            return -errno;
        exclusive = true;
    }
    flags &= ~(O_CREAT | O_EXCL);
    if (!exclusive)
        fd = open_existing(folder, role, dir_fd, name, flags);
    if (fd == -ENOENT && create)
        fd = create_file(folder, role, dir_fd, name, flags & ~O_TRUNC);
    return fd;
}

/* To the first free number; never over an older one. */
static int rename_to_conflict(UvFolder *folder, int from_fd, const char *from, unsigned *ret_number)
{
    char name[NAME_MAX + 1];
    struct stat st;

    for (unsigned n = 1; n <= CONFLICTS_MAX; n++) {
        g_snprintf(name, sizeof name, "%s%s-%u", folder->name, role_suffixes[UV_FILE_CONFLICT], n);
        int ret = renameat2(from_fd, from, from_fd, name, RENAME_NOREPLACE);
        if (ret < 0 && errno == EINVAL) { /* a file system without the flag */
            if (fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                continue;
            ret = renameat(from_fd, from, from_fd, name);
        }
        if (ret == 0) {
            *ret_number = n;
            return sync_names(from_fd);
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

static int direct_rename(void *data, UvFileRole from, UvFileRole to, unsigned *ret_number)
{
    UvFolder *folder = data;
    char from_name[NAME_MAX + 1], to_name[NAME_MAX + 1];
    int from_fd, to_fd;

    if (!uv_file_may_rename(from, to))
        return -EPERM;
    from_fd = locate(folder, from, false, from_name);
    if (from_fd < 0)
        return from_fd;
    *ret_number = 0;
    if (to == UV_FILE_CONFLICT)
        return rename_to_conflict(folder, from_fd, from_name, ret_number);
    to_fd = locate(folder, to, false, to_name);
    if (to_fd < 0)
        return to_fd;
    if (renameat(from_fd, from_name, to_fd, to_name) < 0)
        return -errno;
    /* The times are not worth a sync: nothing depends on them. */
    return to == UV_FILE_META ? 0 : sync_names(to_fd);
}

static int direct_unlink(void *data, UvFileRole role)
{
    UvFolder *folder = data;
    char name[NAME_MAX + 1];
    int dir_fd;

    if (!uv_file_may_unlink(role))
        return -EPERM;
    dir_fd = locate(folder, role, false, name);
    if (dir_fd == -ENOENT)
        return 0;
    if (dir_fd < 0)
        return dir_fd;
    if (unlinkat(dir_fd, name, 0) < 0)
        return errno == ENOENT ? 0 : -errno;
    return is_temporary(role) ? 0 : sync_names(dir_fd);
}

static int direct_stat(void *data, UvFileRole role, struct stat *ret_stat)
{
    UvFolder *folder = data;
    char name[NAME_MAX + 1];
    int dir_fd;

    if (role < UV_FILE_STORE || role > UV_FILE_BEFORE_LOAD || role == UV_FILE_CONFLICT)
        return -EPERM;
    dir_fd = locate(folder, role, false, name);
    if (dir_fd < 0)
        return dir_fd;
    return fstatat(dir_fd, name, ret_stat, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static const UvFileOps direct_ops = {
    .open = direct_open,
    .rename = direct_rename,
    .unlink = direct_unlink,
    .stat = direct_stat,
};

/* What a standalone store's path means: links followed, also to a file that is not there yet. */
static char *follow_links(const char *path)
{
    g_autofree char *at = g_strdup(path);

    for (int hops = 0; hops < 40; hops++) {
        g_autofree char *target = g_file_read_link(at, NULL);
        g_autofree char *dir = NULL;
        char *next;

        if (!target)
            return g_steal_pointer(&at);
        dir = g_path_get_dirname(at);
        next = g_path_is_absolute(target) ? g_strdup(target) : g_build_filename(dir, target, NULL);
        g_free(at);
        at = next;
    }
    return g_steal_pointer(&at);
}

static void set_texts(UvFolder *folder, const char *dir_text)
{
    for (size_t role = 0; role < G_N_ELEMENTS(folder->texts); role++) {
        g_autofree char *name = g_strconcat(folder->name, role_suffixes[role], NULL);

        folder->texts[role] = role == UV_FILE_STORE
                                  ? g_build_filename(dir_text, name, NULL)
                                  : g_build_filename(dir_text, SIDECARS, name, NULL);
    }
}

static void set_errno_error(GError **error, const char *text, int code)
{
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "%s: %s", text,
                g_strerror(code));
}

UvFolder *uv_folder_new(int dir_fd, const char *path, GError **error)
{
    g_autoptr(UvFolder) folder = NULL;
    g_autofree char *target = dir_fd == AT_FDCWD ? follow_links(path) : g_strdup(path);
    g_autofree char *dir_text = g_path_get_dirname(target);
    g_autofree char *name = g_path_get_basename(target);

    if (!*path || g_str_equal(name, ".") || g_str_equal(name, "..") ||
        g_str_has_suffix(path, "/") || (dir_fd != AT_FDCWD && strchr(path, '/'))) {
        set_errno_error(error, path, EINVAL);
        return NULL;
    }
    if (strlen(name) > NAME_MAX - SUFFIX_BYTES) {
        set_errno_error(error, path, ENAMETOOLONG);
        return NULL;
    }
    folder = g_new0(UvFolder, 1);
    folder->sidecars_fd = -1;
    folder->ops = &direct_ops;
    folder->ops_data = folder;
    folder->name = g_steal_pointer(&name);
    folder->dir_fd = open_dir(dir_fd, dir_fd == AT_FDCWD ? dir_text : ".", 0);
    if (folder->dir_fd < 0) {
        set_errno_error(error, dir_text, -folder->dir_fd);
        folder->dir_fd = -1;
        return NULL;
    }
    set_texts(folder, g_str_has_prefix(target, "./") || strchr(target, '/') ? dir_text : "");
    return g_steal_pointer(&folder);
}

static void close_descriptors(UvFolder *folder)
{
    if (folder->dir_fd >= 0)
        close(folder->dir_fd);
    if (folder->sidecars_fd >= 0)
        close(folder->sidecars_fd);
    folder->dir_fd = folder->sidecars_fd = -1;
}

void uv_folder_free(UvFolder *folder)
{
    if (!folder)
        return;
    if (folder->ops->free)
        folder->ops->free(folder->ops_data);
    close_descriptors(folder);
    for (size_t role = 0; role < G_N_ELEMENTS(folder->texts); role++)
        g_free(folder->texts[role]);
    g_free(folder->name);
    g_free(folder);
}

bool uv_folder_make_sidecars(UvFolder *folder, uid_t uid, gid_t gid, GError **error)
{
    int ret = make_sidecars(folder, uid, gid);

    if (ret < 0)
        set_errno_error(error, folder->texts[UV_FILE_LOCK], -ret);
    return ret == 0;
}

void uv_folder_set_keeper_hook(UvFolder *folder, UvFolderHook hook, void *data)
{
    folder->hook = hook;
    folder->hook_data = data;
}

/* In the keeper. */
static bool run_hook(void *data)
{
    const UvFolder *folder = data;

    return !folder->hook || folder->hook(folder->dir_fd, folder->hook_data);
}

bool uv_folder_fork_keeper(UvFolder *folder, int lock_fd, GError **error)
{
    int keep[] = {folder->dir_fd, folder->sidecars_fd};
    UvKeeper *keeper = uv_keeper_fork(folder->ops, folder->ops_data, keep, G_N_ELEMENTS(keep),
                                      lock_fd, run_hook, folder);

    if (!keeper) {
        set_errno_error(error, "cannot start the keeper", errno);
        return false;
    }
    uv_folder_set_ops(folder, &uv_keeper_ops, keeper);
    close_descriptors(folder);
    return true;
}

const UvFileOps *uv_folder_ops(const UvFolder *folder, void **ret_data)
{
    *ret_data = folder->ops_data;
    return folder->ops;
}

void uv_folder_set_ops(UvFolder *folder, const UvFileOps *ops, void *data)
{
    folder->ops = ops;
    folder->ops_data = data;
}

int uv_folder_open(UvFolder *folder, UvFileRole role, int flags, GError **error)
{
    int fd = folder->ops->open(folder->ops_data, role, flags);

    if (fd < 0)
        set_errno_error(error, uv_folder_path(folder, role), -fd);
    return fd < 0 ? -1 : fd;
}

bool uv_folder_rename(UvFolder *folder, UvFileRole from, UvFileRole to, GError **error)
{
    unsigned number = 0;
    int ret = folder->ops->rename(folder->ops_data, from, to, &number);

    if (ret < 0) {
        set_errno_error(error, uv_folder_path(folder, to), -ret);
        return false;
    }
    if (to == UV_FILE_CONFLICT) {
        g_free(folder->texts[to]);
        folder->texts[to] =
            g_strdup_printf("%s.conflict-%u", folder->texts[UV_FILE_JOURNAL], number);
    }
    return true;
}

bool uv_folder_unlink(UvFolder *folder, UvFileRole role, GError **error)
{
    int ret = folder->ops->unlink(folder->ops_data, role);

    if (ret < 0)
        set_errno_error(error, uv_folder_path(folder, role), -ret);
    return ret >= 0;
}

bool uv_folder_stat(UvFolder *folder, UvFileRole role, struct stat *ret_stat, GError **error)
{
    int ret = folder->ops->stat(folder->ops_data, role, ret_stat);

    if (ret < 0)
        set_errno_error(error, uv_folder_path(folder, role), -ret);
    return ret >= 0;
}

const char *uv_folder_path(const UvFolder *folder, UvFileRole role)
{
    return role < G_N_ELEMENTS(folder->texts) ? folder->texts[role] : "no such file";
}
