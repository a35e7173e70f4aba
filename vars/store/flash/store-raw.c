/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A flash image that is the file itself: split VARS files, combined images, the 64 MiB of Arm,
 * block devices.
 *
 * A burst of writes holds QEMU's lock bytes on the descriptor it writes through. A reclaim makes a
 * new file, takes the lock bytes on it and renames it; the old file's are kept as long, for a QEMU
 * that opened it before the renaming and looks at the locks after it. What can't be renamed (a
 * block device, a file with another file mounted over its name, one with several names, a folder
 * that must not be written, a file that others label) is reclaimed in place.
 */

#include "store-flash.h"

#include "fd.h"
#include "filelock.h"
#include "qemulock.h"
#include "replace-store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int fd;
    bool writable;    /* fd is open for writing, too */
    GArray *replaced; /* of int: descriptors of files that were replaced in this burst */
    bool shared;      /* another program has it open, and was given time to close it */
    bool in_place;    /* asked for, or it has turned out that it can't be renamed */
} Raw;

static Raw *raw_of(FlashStore *f)
{
    return f->backing_data;
}

static const char *store_path(FlashStore *f)
{
    return uv_folder_path(f->store.folder, UV_FILE_STORE);
}

static void close_fd(FlashStore *f)
{
    Raw *raw = raw_of(f);

    g_clear_pointer(&f->image, uv_image_free);
    uv_fd_clear(&raw->fd);
    raw->writable = false;
}

static bool open_fd(FlashStore *f, int flags, GError **error)
{
    Raw *raw = raw_of(f);
    const int fd = uv_folder_open(f->store.folder, UV_FILE_STORE, flags, error);

    if (fd < 0)
        return uv_map_folder_error(error);
    close_fd(f);
    raw->fd = fd;
    raw->writable = flags == O_RDWR;
    f->image = uv_image_new_fd(fd, store_path(f), error);
    return f->image != NULL;
}

/* The descriptor is of what the name means now. */
static bool is_current(FlashStore *f)
{
    struct stat named, opened;
    const int fd = raw_of(f)->fd;

    return fd >= 0 && f->image && uv_folder_stat(f->store.folder, UV_FILE_STORE, &named, NULL) &&
           fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino &&
           (S_ISBLK(opened.st_mode) || (uint64_t)opened.st_size == f->image->size_bytes);
}

static bool raw_open(FlashStore *f, GError **error)
{
    return is_current(f) || open_fd(f, O_RDONLY, error);
}

static char *raw_holder(FlashStore *f)
{
    Raw *raw = raw_of(f);
    char *holder = raw->fd < 0 ? NULL : uv_qemulock_holder(raw->fd);

    if (holder || raw->fd < 0 || raw->writable)
        return holder;
    raw->shared =
        uv_filelock_settled(raw->fd, raw->shared ? 0 : UV_FILELOCK_SETTLE_MS) == UV_FILELOCK_SHARED;
    if (!raw->shared)
        return NULL;
    return g_strdup("another program, which has it open for writing and takes no lock");
}

/* For reading only: so that a look for others sees their writing, and theirs not ours. */
static void raw_idle(FlashStore *f)
{
    if (raw_of(f)->writable)
        open_fd(f, O_RDONLY, NULL);
}

/* Not every QEMU takes lock bytes, but all have an image open that they write. */
static bool nobody_writes(FlashStore *f, GError **error)
{
    g_autofree char *holder = raw_holder(f);

    if (!holder)
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: in use by %s",
                   store_path(f), holder);
}

static bool raw_lock(FlashStore *f, GError **error)
{
    if ((!is_current(f) && !open_fd(f, O_RDONLY, error)) || !nobody_writes(f, error) ||
        !open_fd(f, O_RDWR, error))
        return false;
    if (!uv_qemulock_take(raw_of(f)->fd, store_path(f), error))
        return false;
    if (is_current(f))
        return true;
    uv_qemulock_drop(raw_of(f)->fd);
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED, "%s: replaced by another program",
                   store_path(f));
}

static void raw_unlock(FlashStore *f)
{
    Raw *raw = raw_of(f);

    uv_qemulock_drop(raw->fd);
    for (guint i = 0; i < raw->replaced->len; i++)
        uv_fd_clear(&g_array_index(raw->replaced, int, i));
    g_array_set_size(raw->replaced, 0);
}

/* No question to the keeper for each write. */
static bool raw_stat(FlashStore *f, struct stat *ret_stat)
{
    return fstat(raw_of(f)->fd, ret_stat) == 0;
}

/* The new file, whole and durable, with the attributes and locks of the old one. */
static UvImage *prepare(FlashStore *f, const uint8_t *store, int fd, GError **error)
{
    const char *name = uv_folder_path(f->store.folder, UV_FILE_TEMP);
    g_autoptr(UvImage) copy = NULL;

    if (!uv_store_flash_copy(f->image, fd, name, error))
        return NULL;
    copy = uv_image_new_fd(fd, store_path(f), error);
    if (!copy || !uv_flash_write_copy(f->flash, copy, store, error) ||
        !uv_copy_attributes(raw_of(f)->fd, fd, error) || !uv_sync_file(fd, name, false, error) ||
        !uv_qemulock_take(fd, name, error))
        return NULL;
    return g_steal_pointer(&copy);
}

static bool rename_new(FlashStore *f, const uint8_t *store, GError **error)
{
    Raw *raw = raw_of(f);
    uv_autofd int fd =
        uv_folder_open(f->store.folder, UV_FILE_TEMP, O_RDWR | O_CREAT | O_EXCL, error);
    UvImage *image;

    if (fd < 0)
        return false;
    image = prepare(f, store, fd, error);
    if (!image || !uv_publish(f->store.folder, error)) {
        g_clear_pointer(&image, uv_image_free);
        uv_publish_abort(f->store.folder);
        return false;
    }
    g_array_append_val(raw->replaced, raw->fd);
    uv_image_free(f->image);
    raw->fd = uv_fd_steal(&fd);
    raw->writable = true;
    f->image = image;
    uv_flash_set_image(f->flash, image);
    return true;
}

static bool raw_reclaim(UvFlash *flash, const uint8_t *store, void *data, GError **error)
{
    FlashStore *f = data;
    Raw *raw = raw_of(f);
    g_autoptr(GError) local = NULL;
    struct stat st;

    if (fstat(raw->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        raw->in_place = true;
    if (!raw->in_place && rename_new(f, store, &local))
        return true;
    /* A rename whose durability is in doubt has happened: never write the old file then. */
    if (!raw->in_place && !is_current(f)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return uv_map_folder_error(error);
    }
    if (local)
        uv_store_warn(&f->store, "reclaimed in place: %s", local->message);
    raw->in_place = true;
    return uv_flash_reclaim_in_place(flash, store, NULL, error);
}

static void raw_free(FlashStore *f)
{
    Raw *raw = raw_of(f);

    close_fd(f);
    g_array_unref(raw->replaced);
    g_free(raw);
}

UvStore *uv_store_flash_open(UvFolder *folder, const UvStoreOptions *options, GError **error)
{
    static const FlashBacking backing = {
        .format = "flash",
        .open = raw_open,
        .idle = raw_idle,
        .lock = raw_lock,
        .unlock = raw_unlock,
        .stat = raw_stat,
        .holder = raw_holder,
        .reclaim = raw_reclaim,
        .free = raw_free,
    };
    Raw *raw = g_new0(Raw, 1);

    raw->fd = -1;
    raw->in_place = options->in_place;
    raw->replaced = g_array_new(FALSE, FALSE, sizeof(int));
    return uv_store_flash_new(folder, options, &backing, raw, error);
}
