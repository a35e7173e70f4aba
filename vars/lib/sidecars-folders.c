/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sidecars-folders.h"

#include "beneath.h"
#include "fd.h"
#include "rights.h"
#include "sidecars.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

bool uv_dir_has_only(int dir_fd, const char *folder,
                     bool (*is_one)(const char *file, const char *store), const char *store)
{
    uv_autofd int found = fs_beneath_openat(dir_fd, folder, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    bool all = true;

    if (found < 0)
        return found == -ENOENT;
    uv_rights_scope rights = uv_rights_take_of(found);
    uv_autofd int fd = uv_open_dir(found, ".", 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return false;
    uv_fd_steal(&fd);
    for (struct dirent *entry; all && (entry = readdir(dir));)
        all = is_dots(entry->d_name) || is_one(entry->d_name, store);
    closedir(dir);
    return all;
}

static bool is_store(const char *file, const char *store)
{
    return strcmp(file, store) == 0;
}

bool uv_sidecars_has_only(int dir_fd, const char *store)
{
    g_autofree char *own = g_build_filename(UV_SIDECARS_OTHERS, store, NULL);

    return uv_dir_has_only(dir_fd, UV_SIDECARS, uv_sidecars_is_one, store) &&
           uv_dir_has_only(dir_fd, UV_SIDECARS_OTHERS, is_store, store) &&
           uv_dir_has_only(dir_fd, own, uv_sidecars_is_one, store);
}

void uv_sidecars_remove_folders(int dir_fd, const char *store)
{
    g_autofree char *path = uv_sidecars_path(dir_fd, store);
    uv_rights_scope rights = uv_rights_take_of(dir_fd);

    unlinkat(dir_fd, path, AT_REMOVEDIR);
    unlinkat(dir_fd, UV_SIDECARS_OTHERS, AT_REMOVEDIR);
    unlinkat(dir_fd, UV_SIDECARS, AT_REMOVEDIR);
}
