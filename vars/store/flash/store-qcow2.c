/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A flash image in a qcow2 container, as libvirt makes them: the container is qemu-storage-daemon's
 * affair (blockd.h), and so are the locks on it. It runs while the image is read, sharing
 * everything, and while a burst of writes lasts, sharing nothing. Reclaims go in place: the file
 * stays the one it is.
 *
 * Of the container only the header is looked at here, for what would make the daemon open other
 * files.
 */

#include "store-flash.h"

#include "blockd.h"
#include "fd.h"
#include "file-io.h"
#include "image-nbd.h"
#include "qemulock.h"
#include "replace-store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES 80
#define BACKING_OFFSET_AT 8
#define CRYPT_METHOD_AT 32
#define INCOMPATIBLE_AT 72
#define VERSION_AT 4
#define DATA_FILE_BIT 4

static uint64_t read_be(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | *bytes++;
    return value;
}

static bool refuse(const char *name, unsigned offset, const char *what, GError **error)
{
    g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE, "%s: offset 0x%x: %s", name, offset,
                what);
    return false;
}

static bool check_header(int fd, const char *name, GError **error)
{
    uint8_t header[HEADER_BYTES];

    if (uv_pread_all(fd, header, sizeof header, 0) != sizeof header)
        return refuse(name, 0, "the qcow2 header is not whole", error);
    if (read_be(header + BACKING_OFFSET_AT, 8))
        return refuse(name, BACKING_OFFSET_AT, "a qcow2 image with a backing file", error);
    if (read_be(header + CRYPT_METHOD_AT, 4))
        return refuse(name, CRYPT_METHOD_AT, "an encrypted qcow2 image", error);
    if (read_be(header + VERSION_AT, 4) >= 3 && (header[INCOMPATIBLE_AT + 7] & DATA_FILE_BIT))
        return refuse(name, INCOMPATIBLE_AT, "a qcow2 image with an external data file", error);
    return true;
}

static int open_file(FlashStore *f, GError **error)
{
    const int fd = uv_folder_open(f->store.folder, UV_FILE_STORE, O_RDONLY, error);

    if (fd < 0)
        uv_map_folder_error(error);
    return fd;
}

static char *qcow2_holder(FlashStore *f)
{
    uv_autofd int fd = open_file(f, NULL);

    return fd < 0 ? NULL : uv_qemulock_holder(fd);
}

/* The daemon's own words say more than that the connection broke. */
static void explain(FlashStore *f, GError **error)
{
    g_autofree char *text = uv_blockd_stop(f->backing_data);

    if (!text || !error || !*error)
        return;
    const bool locked = strstr(text, "Failed to get \"") != NULL;
    g_autofree char *holder = locked ? qcow2_holder(f) : NULL;
    g_clear_error(error);
    g_set_error(error, UV_STORE_ERROR, locked ? UV_STORE_ERROR_READ_ONLY : UV_STORE_ERROR_IO,
                "%s: %s%s", uv_folder_path(f->store.folder, UV_FILE_STORE),
                holder ? "in use by " : "", holder ? holder : text);
}

static void stop(FlashStore *f)
{
    if (!f->image)
        return;
    g_clear_pointer(&f->image, uv_image_free);
    g_free(uv_blockd_stop(f->backing_data));
}

static bool start(FlashStore *f, bool writable, GError **error)
{
    const char *name = uv_folder_path(f->store.folder, UV_FILE_STORE);
    uv_autofd int fd = open_file(f, error);
    int socket = -1;

    if (fd < 0)
        return false;
    stop(f);
    if (check_header(fd, name, error))
        socket = uv_blockd_start(f->backing_data, fd, writable, error);
    if (socket < 0)
        return false;
    f->image = uv_image_new_nbd(socket, name, error);
    if (!f->image)
        explain(f, error);
    return f->image != NULL;
}

static bool qcow2_open(FlashStore *f, GError **error)
{
    return start(f, false, error);
}

static bool qcow2_lock(FlashStore *f, GError **error)
{
    return start(f, true, error);
}

static bool qcow2_stat(FlashStore *f, struct stat *ret_stat)
{
    return uv_folder_stat(f->store.folder, UV_FILE_STORE, ret_stat, NULL);
}

static bool qcow2_reclaim(UvFlash *flash, const uint8_t *store, void *data, GError **error)
{
    return uv_flash_reclaim_in_place(flash, store, NULL, error);
}

static void qcow2_free(FlashStore *f)
{
    uv_blockd_free(f->backing_data);
}

UvStore *uv_store_qcow2_open(UvFolder *folder, const UvStoreOptions *options, GError **error)
{
    static const FlashBacking backing = {
        .format = "qcow2",
        .open = qcow2_open,
        .idle = stop,
        .lock = qcow2_lock,
        .unlock = stop,
        .stat = qcow2_stat,
        .holder = qcow2_holder,
        .reclaim = qcow2_reclaim,
        .free = qcow2_free,
    };
    UvBlockd *blockd = uv_blockd_new(error);

    if (!blockd) {
        uv_folder_free(folder);
        return NULL;
    }
    return uv_store_flash_new(folder, options, &backing, blockd, error);
}
