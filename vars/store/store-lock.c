/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store-lock.h"

#include <fcntl.h>

#include "fd.h"
#include "filelock.h"
#include "store.h"

/* How often a lock file may go between opening and locking it. */
#define TRIES 10

static bool is_there(UvFolder *folder, UvFileRole role)
{
    struct stat st;

    return uv_folder_stat(folder, role, &st, NULL);
}

static bool has_its_name(UvFolder *folder, int lock_fd)
{
    struct stat named, opened;

    return uv_folder_stat(folder, UV_FILE_LOCK, &named, NULL) && fstat(lock_fd, &opened) == 0 &&
           named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

int uv_store_lock(UvFolder *folder, const char *name, unsigned wait_ms, GError **error)
{
    for (int i = 0;; i++) {
        uv_autofd int fd = uv_folder_open(folder, UV_FILE_LOCK, O_RDWR | O_CREAT, error);

        if (fd < 0 || !uv_store_take_lock(fd, name, wait_ms, error))
            return -1;
        if (i + 1 == TRIES || has_its_name(folder, fd))
            return uv_fd_steal(&fd);
        uv_filelock_drop(fd);
    }
}

void uv_store_unlock(int *lock_fd)
{
    if (*lock_fd >= 0)
        uv_filelock_drop(*lock_fd);
    uv_fd_clear(lock_fd);
}

void uv_store_tidy(UvFolder *folder)
{
    int fd;

    if (is_there(folder, UV_FILE_STORE) || !is_there(folder, UV_FILE_LOCK))
        return;
    fd = uv_store_lock(folder, uv_folder_path(folder, UV_FILE_LOCK), 0, NULL);
    if (fd < 0)
        return;
    if (!is_there(folder, UV_FILE_STORE) && !is_there(folder, UV_FILE_JOURNAL)) {
        uv_folder_unlink(folder, UV_FILE_META, NULL);
        uv_folder_unlink(folder, UV_FILE_NEXT_BOOT, NULL);
        uv_folder_unlink(folder, UV_FILE_SAVED, NULL);
        uv_folder_unlink(folder, UV_FILE_LOCK, NULL);
    }
    uv_store_unlock(&fd);
}
