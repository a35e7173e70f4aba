/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store-image.h"

#include <errno.h>

#include "descriptors.h"
#include "restore.h"
#include "wire.h"

bool fs_store_image_exists(const FsGuest *guest)
{
    return fs_guest_has_store(guest) && fs_guest_look(guest)->format != FS_FORMAT_JSON;
}

/* Reading */

static void exported(FsOp *op)
{
    fs_op_read_store(op, op->done, NULL);
}

void fs_store_image_read(FsOp *op, FsStep step)
{
    op->done = step;
    if (!fs_store_image_exists(op->node->guest)) {
        step(op);
    } else if (fs_tree_guest(op->tree, op->node->guest)->export_stale) {
        fs_op_call(op, UV_HOST_EXPORT, NULL, exported, exported); /* the engine completes it */
    } else {
        exported(op);
    }
}

/* Writing */

static void fail(FsOp *op, int error, const char *reason)
{
    fs_guest_refused(op->node->guest, reason);
    op->error = error;
    op->failed(op);
}

/* false: it is no store of a kind that has an image. */
static bool format_of(GBytes *image, FsFormat *ret_format)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(image, &size);
    DescImage found = desc_image_parse(bytes, MIN(size, DESC_IMAGE_HEAD), size);

    *ret_format = found.kind == DESC_IMAGE_QCOW2 ? FS_FORMAT_QCOW2 : FS_FORMAT_FLASH;
    return found.kind == DESC_IMAGE_QCOW2 ||
           (found.kind == DESC_IMAGE_RAW && found.volume_bytes > 0);
}

static void replica_seen(FsOp *op)
{
    fs_restore_store_came(op->node->guest);
    op->done(op);
}

/* What the kernel was told of the variables is put right by the new store's engine. */
static void made(FsOp *op)
{
    fs_tree_guest(op->tree, op->node->guest)->export_stale = true;
    fs_op_try(op, FS_NEED_REPLICA, replica_seen, replica_seen);
}

static void engine_ended(FsOp *op)
{
    FsFormat format;

    format_of(op->image, &format);
    fs_op_make_store(op, format, made, op->failed);
}

static void engine_stays(FsOp *op)
{
    fail(op, op->error, op->error == EBUSY ? "a guest is connected" : g_strerror(op->error));
}

static void replace(FsOp *op)
{
    fs_op_try(op, FS_NEED_LOOK | FS_NEED_NO_ENGINE, engine_ended, engine_stays);
}

static void compare(FsOp *op)
{
    if (op->content && g_bytes_equal(op->content, op->image))
        replica_seen(op);
    else
        replace(op);
}

static void looked(FsOp *op)
{
    FsGuest *guest = op->node->guest;
    const FsGuestLook *look = fs_guest_look(guest);
    FsFormat format;

    if (look->format == FS_FORMAT_UBOOT)
        fail(op, EROFS, FS_STORE_IS_UBOOTS);
    else if (!format_of(op->image, &format))
        fail(op, EINVAL, "neither a flash image nor a qcow2 image");
    else if (!(look->flags & FS_LOOK_FOLDER) && look->format != format)
        fail(op, EINVAL, "the guest is a file, whose name says that its store is of another kind");
    else if (fs_store_image_exists(guest))
        fs_op_read_store(op, compare, compare);
    else
        replace(op);
}

static void not_looked(FsOp *op)
{
    fail(op, op->error, g_strerror(op->error));
}

void fs_store_image_commit(FsOp *op, GBytes *image, FsStep done, FsStep failed)
{
    op->image = g_bytes_ref(image);
    op->done = done;
    op->failed = failed;
    fs_op_try(op, FS_NEED_LOOK, looked, not_looked);
}
