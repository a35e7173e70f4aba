/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A flash image in a qcow2 container, as libvirt makes them: the container is qemu-storage-daemon's
 * affair (blockd.h), and so are the locks on it. It runs while the image is read, sharing
 * everything, and while a burst of writes lasts, sharing nothing. Reclaims go in place: the file
 * stays the one it is.
 *
 * uefivars-qcow2 has the image that was there when the engine was started, and knows no names. When
 * the store's name means another file, this store is over: the next engine opens that one.
 */

#include "store-qcow2.h"

#include "store-flash.h"

#include "blockd.h"
#include "fd.h"
#include "image.h"
#include "qemulock.h"
#include "replace-store.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

static bool qcow2_stat(FlashStore *f, struct stat *ret_stat)
{
    return uv_folder_stat(f->store.folder, UV_FILE_STORE, ret_stat, NULL);
}

static bool check_name(FlashStore *f, const char *name, GError **error)
{
    struct stat st;

    if (qcow2_stat(f, &st) && uv_blockd_is_of(f->backing_data, st.st_dev, st.st_ino))
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED,
                   "%s: another file has taken the image's place", name);
}

static bool start(FlashStore *f, bool writable, GError **error)
{
    const char *name = uv_folder_path(f->store.folder, UV_FILE_STORE);
    int socket;

    stop(f);
    socket = uv_blockd_start(f->backing_data, name, writable, error);
    if (socket < 0)
        return false;
    f->image = uv_image_new_nbd(socket, name, error);
    if (!f->image)
        explain(f, error);
    else if (!check_name(f, name, error))
        stop(f);
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

static bool qcow2_reclaim(UvFlash *flash, const uint8_t *store, void *data, GError **error)
{
    return uv_flash_reclaim_in_place(flash, store, NULL, error);
}

static void qcow2_free(FlashStore *f)
{
    uv_blockd_free(f->backing_data);
}

UvStore *uv_store_qcow2_open(UvFolder *folder, const UvStoreOptions *options, UvBlockd *blockd,
                             GError **error)
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

    return uv_store_flash_new(folder, options, &backing, blockd, error);
}
