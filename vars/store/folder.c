/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A store's files by role (folder.h): the names for people, and the way to the files, that is
 * direct (folder-direct.h) until a keeper is forked or the store is held.
 */

#include "file-error.h"
#include "folder-direct.h"
#include "folder-held.h"
#include "keeper.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct UvFolder {
    UvDirect *direct; /* NULL once a keeper has it */
    char *dir_text;
    char *texts[UV_FILE_ROLES];
    const UvFileOps *ops;
    void *ops_data;
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

static void set_texts(UvFolder *folder)
{
    g_autofree char *sidecars = uv_direct_sidecars(folder->direct);

    for (size_t role = 0; role < G_N_ELEMENTS(folder->texts); role++) {
        g_autofree char *path = uv_direct_path(folder->direct, sidecars, role);

        g_free(folder->texts[role]);
        folder->texts[role] = g_build_filename(folder->dir_text, path, NULL);
    }
}

UvFolder *uv_folder_new(int dir_fd, const char *path, GError **error)
{
    g_autofree char *target = dir_fd == AT_FDCWD ? follow_links(path) : g_strdup(path);
    g_autofree char *dir_text = g_path_get_dirname(target);
    g_autofree char *name = g_path_get_basename(target);
    UvFolder *folder;
    int fd;

    if (!*path || g_str_equal(name, ".") || g_str_equal(name, "..") ||
        g_str_has_suffix(path, "/") || (dir_fd != AT_FDCWD && strchr(path, '/'))) {
        uv_file_error(error, EINVAL, "%s", path);
        return NULL;
    }
    if (strlen(name) > NAME_MAX - UV_SIDECAR_BYTES_MAX) {
        uv_file_error(error, ENAMETOOLONG, "%s", path);
        return NULL;
    }
    fd = uv_open_dir(dir_fd, dir_fd == AT_FDCWD ? dir_text : ".", 0);
    if (fd < 0) {
        uv_file_error(error, -fd, "%s", dir_text);
        return NULL;
    }
    folder = g_new0(UvFolder, 1);
    folder->direct = uv_direct_new(fd, name);
    folder->ops = &uv_direct_ops;
    folder->ops_data = folder->direct;
    folder->dir_text = g_strdup(strchr(target, '/') ? dir_text : "");
    set_texts(folder);
    return folder;
}

void uv_folder_free(UvFolder *folder)
{
    if (!folder)
        return;
    if (folder->ops->free)
        folder->ops->free(folder->ops_data);
    uv_direct_free(folder->direct);
    for (size_t role = 0; role < G_N_ELEMENTS(folder->texts); role++)
        g_free(folder->texts[role]);
    g_free(folder->dir_text);
    g_free(folder);
}

bool uv_folder_make_sidecars(UvFolder *folder, uid_t uid, gid_t gid, GError **error)
{
    int ret = uv_direct_make_sidecars(folder->direct, uid, gid);

    if (ret < 0)
        uv_file_error(error, -ret, "%s", folder->texts[UV_FILE_LOCK]);
    set_texts(folder);
    return ret == 0;
}

bool uv_folder_is_of_others(const UvFolder *folder)
{
    return folder->direct && uv_direct_is_of_others(folder->direct);
}

bool uv_folder_fork_keeper(UvFolder *folder, UvFolderHook hook, void *data, GError **error)
{
    int keep[2];
    UvKeeper *keeper;

    uv_direct_fds(folder->direct, keep);
    keeper = uv_keeper_fork(folder->ops, folder->ops_data, keep, G_N_ELEMENTS(keep), hook, data);
    if (!keeper)
        return uv_file_error(error, errno, "cannot start the keeper");
    uv_folder_set_ops(folder, &uv_keeper_ops, keeper);
    g_clear_pointer(&folder->direct, uv_direct_free);
    return true;
}

bool uv_folder_hold(UvFolder *folder)
{
    const int fd = folder->direct ? uv_direct_open_bare(folder->direct) : -1;

    if (fd < 0)
        return false;
    uv_folder_set_ops(folder, &uv_held_ops, uv_held_new(fd));
    g_clear_pointer(&folder->direct, uv_direct_free);
    return true;
}

bool uv_folder_is_held(const UvFolder *folder)
{
    return folder->ops == &uv_held_ops;
}

int uv_folder_keeper_fd(const UvFolder *folder)
{
    return folder->ops == &uv_keeper_ops ? uv_keeper_fd(folder->ops_data) : -1;
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
        uv_file_error(error, -fd, "%s", uv_folder_path(folder, role));
    return fd < 0 ? -1 : fd;
}

bool uv_folder_open_present(UvFolder *folder, UvFileRole role, int *ret_fd, GError **error)
{
    const int fd = folder->ops->open(folder->ops_data, role, O_RDONLY);

    *ret_fd = MAX(fd, -1);
    return fd >= 0 || fd == -ENOENT ||
           uv_file_error(error, -fd, "%s", uv_folder_path(folder, role));
}

bool uv_folder_rename(UvFolder *folder, UvFileRole from, UvFileRole to, GError **error)
{
    unsigned number = 0;
    int ret = folder->ops->rename(folder->ops_data, from, to, &number);

    if (ret < 0)
        return uv_file_error(error, -ret, "%s", uv_folder_path(folder, to));
    if (to == UV_FILE_CONFLICT) {
        g_free(folder->texts[to]);
        folder->texts[to] = uv_sidecar_conflict_name(folder->texts[UV_FILE_JOURNAL], number);
    }
    return true;
}

bool uv_folder_unlink(UvFolder *folder, UvFileRole role, GError **error)
{
    int ret = folder->ops->unlink(folder->ops_data, role);

    return ret >= 0 || uv_file_error(error, -ret, "%s", uv_folder_path(folder, role));
}

bool uv_folder_stat(UvFolder *folder, UvFileRole role, struct stat *ret_stat, GError **error)
{
    int ret = folder->ops->stat(folder->ops_data, role, ret_stat);

    return ret >= 0 || uv_file_error(error, -ret, "%s", uv_folder_path(folder, role));
}

const char *uv_folder_path(const UvFolder *folder, UvFileRole role)
{
    return role < G_N_ELEMENTS(folder->texts) ? folder->texts[role] : "no such file";
}
