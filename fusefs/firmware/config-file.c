/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "config-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "beneath.h"
#include "descriptors.h"

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

#define autofd __attribute__((cleanup(close_fd))) int
#define TEMPORARY_SUFFIX ".uefivarsfs-new"

/* The folder of the file (O_PATH), and its name in it; -errno. */
static int open_folder(const FsFleet *fleet, const FsGuest *guest, char **ret_name)
{
    g_autofree char *path = fs_guest_config_path(guest);
    const char *source = fs_fleet_source(fleet);
    const char *relative = path + strlen(source);
    autofd source_fd = -1;
    g_autofree char *folder = NULL;

    if (!g_str_has_prefix(path, source)) {
        return -EINVAL;
    }
    while (*relative == '/') {
        relative++;
    }
    source_fd = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source_fd < 0) {
        return -errno;
    }
    folder = g_path_get_dirname(relative);
    *ret_name = g_path_get_basename(relative);
    return fs_beneath_open(source_fd, folder, O_RDONLY | O_DIRECTORY, 0);
}

bool fs_config_stat(const FsFleet *fleet, const FsGuest *guest, struct stat *ret_stat)
{
    g_autofree char *name = NULL;
    autofd folder = open_folder(fleet, guest, &name);

    return folder >= 0 && fstatat(folder, name, ret_stat, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(ret_stat->st_mode);
}

static bool read_all(int fd, GByteArray *bytes, size_t max_bytes)
{
    guint8 piece[4096];
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) > 0) {
        if (bytes->len + (size_t)n > max_bytes) {
            errno = EFBIG;
            return false;
        }
        g_byte_array_append(bytes, piece, n);
    }
    return n == 0;
}

GBytes *fs_config_read(const FsFleet *fleet, const FsGuest *guest, size_t max_bytes, GError **error)
{
    g_autofree char *path = fs_guest_config_path(guest);
    g_autofree char *name = NULL;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    autofd folder = open_folder(fleet, guest, &name);
    autofd fd = -1;
    int failure = folder < 0 ? -folder : 0;

    if (folder >= 0) {
        fd = fs_beneath_open(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        failure = fd < 0 ? -fd : 0;
    }
    if (fd >= 0 && !read_all(fd, bytes, max_bytes)) {
        failure = errno;
    }
    if (failure == ENOENT) {
        return NULL;
    }
    if (failure) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(failure), "%s: %s", path,
                    g_strerror(failure));
        return NULL;
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
}

/* A whole new file beside the old one: 0 or an errno. */
static int write_new(int folder, const char *temporary, const FsGuest *guest, GBytes *text)
{
    gsize size;
    const char *bytes = g_bytes_get_data(text, &size);
    autofd fd = fs_beneath_open(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    uid_t uid;
    gid_t gid;

    if (fd < 0) {
        return -fd;
    }
    for (gsize done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);
        if (n < 0) {
            return errno;
        }
        done += n;
    }
    fs_guest_owner(guest, &uid, &gid);
    /* As an ordinary user it is ours already. */
    if (getuid() == 0 && fchown(fd, uid, gid) < 0) {
        return errno;
    }
    return fsync(fd) < 0 ? errno : 0;
}

static int replace(int folder, const char *name, const FsGuest *guest, GBytes *text)
{
    g_autofree char *temporary = g_strdup_printf(".%s" TEMPORARY_SUFFIX, name);
    int failure;

    unlinkat(folder, temporary, 0); /* left by a crash */
    failure = write_new(folder, temporary, guest, text);
    if (!failure && renameat(folder, temporary, folder, name) < 0) {
        failure = errno;
    }
    if (failure) {
        unlinkat(folder, temporary, 0);
        return failure;
    }
    return fsync(folder) < 0 ? errno : 0;
}

int fs_config_write(const FsFleet *fleet, const FsGuest *guest, GBytes *text, GError **error)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) wrong = NULL;
    autofd folder = -1;
    gsize size;
    const char *bytes = g_bytes_get_data(text, &size);
    DescWish *wish = desc_wish_parse(bytes, size, &wrong);
    int failure;

    if (!wish) {
        g_propagate_error(error, g_steal_pointer(&wrong));
        return EINVAL;
    }
    desc_wish_free(wish);
    folder = open_folder(fleet, guest, &name);
    failure = folder < 0 ? -folder : replace(folder, name, guest, text);
    if (failure) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(failure), "%s",
                    g_strerror(failure));
    }
    return failure;
}
