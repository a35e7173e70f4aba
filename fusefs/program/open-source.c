/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "open-source.h"

#include "fd.h"
#include "file-error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The system's, and below a user's own folder for configurations. */
#define LIBVIRT_FOLDER "/libvirt/qemu/varstore"

void fs_local_free(FsLocal *source)
{
    if (!source)
        return;
    uv_fd_clear(&source->fd);
    g_free(source->store);
    g_free(source->path);
    g_free(source->id);
    g_free(source);
}

static FsLocal *source_open_resolved(const char *path, GError **error)
{
    g_autoptr(FsLocal) source = g_new0(FsLocal, 1);
    source->fd = -1;
    source->path = g_strdup(path);
    if (stat(path, &source->st) < 0) {
        uv_file_error(error, errno, "%s", path);
        return NULL;
    }
    g_autofree char *folder = g_strdup(path);
    if (S_ISREG(source->st.st_mode) || S_ISBLK(source->st.st_mode)) {
        g_free(folder);
        folder = g_path_get_dirname(path);
        source->store = g_path_get_basename(path);
    } else if (!S_ISDIR(source->st.st_mode)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "%s: neither a folder nor a file with a store", path);
        return NULL;
    }
    source->fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source->fd < 0) {
        uv_file_error(error, errno, "%s", folder);
        return NULL;
    }
    source->libvirts = !source->store && g_str_has_suffix(path, LIBVIRT_FOLDER);
    if (!source->store && faccessat(source->fd, ".", R_OK | X_OK, AT_EACCESS) < 0) {
        uv_file_error(error, errno, "%s", path);
        return NULL;
    }
    return g_steal_pointer(&source);
}

FsLocal *fs_local_open(const char *path, GError **error)
{
    char *resolved = realpath(path, NULL);
    if (!resolved) {
        uv_file_error(error, errno, "%s", path);
        return NULL;
    }
    FsLocal *source = source_open_resolved(resolved, error);
    free(resolved);
    return source;
}

bool fs_local_check_mountpoint(const FsLocal *source, const char *mountpoint, GError **error)
{
    uv_autofd int fd = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st, above;

    if (fd < 0 || fstat(fd, &st) < 0)
        return uv_file_error(error, errno, "%s", mountpoint);
    for (;;) {
        if (!source->store && st.st_dev == source->st.st_dev && st.st_ino == source->st.st_ino) {
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                        "%s: the mount point must not be %s or lie below it", mountpoint,
                        source->path);
            return false;
        }
        const int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        uv_fd_clear(&fd);
        fd = up;
        if (fd < 0 || fstat(fd, &above) < 0 ||
            (above.st_dev == st.st_dev && above.st_ino == st.st_ino))
            return true;
        st = above;
    }
}
