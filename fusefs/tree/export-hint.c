/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "export-hint.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "sidecars.h"

static const uint8_t magic[8] = "uvexprt\1";

#define HINT_BYTES (sizeof(magic) + 6 * 8)

/* The folder of the store's sidecars, or -1, and the file's name there. */
static int open_sidecars(const FsGuest *guest, bool make, char **ret_file)
{
    g_autofree char *store = NULL;
    int folder = fs_guest_open_folder(guest, &store);
    int sidecars;

    if (folder < 0)
        return -1;
    if (make) {
        uid_t uid;
        gid_t gid;

        fs_guest_owner(guest, &uid, &gid);
        sidecars = uv_sidecars_make(folder, store, uid, gid);
    } else {
        sidecars = uv_sidecars_open(folder, store);
    }
    close(folder);
    *ret_file = uv_sidecar_name(store, "export");
    return sidecars < 0 ? -1 : sidecars;
}

static GBytes *encode(const struct stat *store, size_t bytes)
{
    g_auto(UvWriter) writer = {0};

    uv_writer_init(&writer, HINT_BYTES);
    uv_write_bytes(&writer, magic, sizeof(magic));
    uv_write_u64(&writer, store->st_dev);
    uv_write_u64(&writer, store->st_ino);
    uv_write_u64(&writer, store->st_size);
    uv_write_u64(&writer, (uint64_t)store->st_mtim.tv_sec << 32 | store->st_mtim.tv_nsec);
    uv_write_u64(&writer, (uint64_t)store->st_ctim.tv_sec << 32 | store->st_ctim.tv_nsec);
    uv_write_u64(&writer, bytes);
    return uv_writer_steal(&writer);
}

bool fs_export_hint_read(const FsGuest *guest, const struct stat *store, size_t *ret_bytes)
{
    g_autofree char *file = NULL;
    g_autoptr(GBytes) expected = encode(store, 0);
    uint8_t found[HINT_BYTES];
    int folder = open_sidecars(guest, false, &file);
    int fd = -1;
    ssize_t size = -1;
    UvReader reader;

    if (folder < 0) {
        return false;
    }
    fd = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(folder);
    if (fd >= 0) {
        size = read(fd, found, sizeof(found));
        close(fd);
    }
    if (size != sizeof(found) ||
        memcmp(found, g_bytes_get_data(expected, NULL), sizeof(found) - 8) != 0) {
        return false;
    }
    uv_reader_init(&reader, found + sizeof(found) - 8, 8);
    *ret_bytes = uv_read_u64(&reader);
    return true;
}

void fs_export_hint_write(const FsGuest *guest, const struct stat *store, size_t bytes)
{
    g_autofree char *file = NULL, *temporary = NULL;
    g_autoptr(GBytes) hint = encode(store, bytes);
    int folder = open_sidecars(guest, true, &file);
    int fd;
    bool written;

    if (folder < 0) {
        return;
    }
    temporary = g_strconcat(file, ".tmp", NULL);
    unlinkat(folder, temporary, 0);
    fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        written = write(fd, g_bytes_get_data(hint, NULL), HINT_BYTES) == HINT_BYTES;
        close(fd);
        if (!written || renameat(folder, temporary, folder, file) < 0) {
            unlinkat(folder, temporary, 0);
        }
    }
    close(folder);
}
