/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "texts.h"

#include "fd.h"
#include "file-io.h"
#include "replace-file.h"
#include "rights.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* Of what may be written. */
static const uint32_t limits[FS_TEXTS] = {
    [FS_TEXT_CONFIG] = FS_CONFIG_BYTES_MAX,
    [FS_TEXT_PIN] = FS_PIN_BYTES_MAX,
    [FS_TEXT_HINT] = FS_HINT_BYTES_MAX,
};

/* Beside the store; config.json is beside the guest's file. */
static const char *const sidecars[FS_TEXTS] = {
    [FS_TEXT_PIN] = "pin",        [FS_TEXT_HINT] = "export",
    [FS_TEXT_RECORD] = "changes", [FS_TEXT_RECORD_OLD] = "changes.1",
    [FS_TEXT_LOCK] = "lock",
};

/* Their engine alone writes these. */
static bool is_read_only(FsText text)
{
    return text == FS_TEXT_STORE || text == FS_TEXT_RECORD || text == FS_TEXT_RECORD_OLD ||
           text == FS_TEXT_LOCK;
}

/* The text's folder (to be closed) and its name in it; -errno. */
static int locate(const FsPlace *place, FsText text, bool make, char **ret_name)
{
    int fd;

    if (make && is_read_only(text))
        return -EPERM;
    if (sidecars[text]) {
        fd = make ? fs_place_make_sidecars(place) : fs_place_sidecars(place);
        if (fd >= 0)
            *ret_name = uv_sidecar_name(place->store, sidecars[text]);
        return fd;
    }
    const bool store = text == FS_TEXT_STORE;
    if (make && !place->config)
        return -EPERM;
    if (!store && !place->config)
        return -ENOENT;
    const int folder_fd = store ? place->folder_fd : place->base_fd;
    fs_rights_scope rights = fs_rights_take_of(folder_fd);
    fd = uv_open_dir(folder_fd, ".", 0);
    if (fd >= 0)
        *ret_name = g_strdup(store ? place->store : place->config);
    return fd;
}

/* For reading, if it is a regular file: to open something else may mean to wait for somebody. */
static int open_regular(int folder_fd, const char *name, struct stat *ret_stat)
{
    uv_autofd int fd =
        openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, ret_stat) < 0)
        return -errno;
    return S_ISREG(ret_stat->st_mode) ? uv_fd_steal(&fd) : -EINVAL;
}

int fs_beside_open(const FsPlace *place, FsText text, FsIdentity *ret_identity)
{
    g_autofree char *name = NULL;
    uv_autofd int folder = locate(place, text, false, &name);
    struct stat st;

    if (folder < 0)
        return folder;
    fs_rights_scope rights = fs_rights_take_of(folder);
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    int fd = open_regular(folder, name, &st);
    if (fd >= 0)
        fs_identity_of(&st, ret_identity);
    return fd;
}

int fs_beside_check_sealed(int memfd, uint64_t max_bytes, uint64_t *ret_bytes)
{
    const int needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    const int seals = fcntl(memfd, F_GET_SEALS);
    struct stat st;

    if (seals < 0 || (seals & needed) != needed || fstat(memfd, &st) < 0)
        return -EINVAL;
    if ((uint64_t)st.st_size > max_bytes)
        return -EFBIG;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

int fs_beside_write(const FsPlace *place, FsText text, int memfd)
{
    static unsigned serial;
    g_autofree char *name = NULL, *temporary = NULL, *bytes = NULL;
    uint64_t size;
    int result = fs_beside_check_sealed(memfd, limits[text], &size);

    if (result < 0)
        return result;
    bytes = g_malloc(size + 1);
    if (uv_pread_all(memfd, bytes, size, 0) != (ssize_t)size)
        return -EIO;
    uv_autofd int folder = locate(place, text, true, &name);
    if (folder < 0)
        return folder;
    /* A name of its own: whoever owns the folder may have put anything there. */
    temporary = g_strdup_printf(".%s.%x-%u", name, g_random_int(), ++serial);
    fs_rights_scope rights = fs_rights_take_of(folder);
    return uv_replace_file(folder, name, temporary, bytes, size, UV_REPLACE_OWNER_NONE,
                           text == FS_TEXT_HINT ? UV_REPLACE_LAZY : UV_REPLACE_DURABLE);
}

int fs_image_open(const char *path, uid_t uid, gid_t gid)
{
    fs_rights_scope rights = fs_rights_take(uid, gid);
    uv_autofd int found = open(path, O_PATH | O_CLOEXEC);
    struct stat st;

    if (path[0] != '/')
        return -EINVAL;
    if (found < 0 || fstat(found, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", found);
    int fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
