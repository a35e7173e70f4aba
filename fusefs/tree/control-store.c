/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * store.json. It is as large and as old as the store's file where that is JSON (the engine exports
 * that file's own text), and is that file where no engine has the guest; of other stores the size
 * of the last export is kept beside the store.
 */

#include "control-private.h"
#include "restore.h"
#include "wire.h"

#include <string.h>

/* As it was exported last. */
static void measure_export(FsTree *tree, FsGuest *guest, FsMeasure *ret)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, guest);
    const FsGuestLook *look = fs_guest_look(guest);

    *ret = (FsMeasure){0, look->mtime_ns};
    if (!fs_guest_has_store(guest))
        return;
    if (!fs_identity_equal(&guest_tree->export_of, &look->store)) {
        guest_tree->export_of = look->store;
        guest_tree->export_bytes = 0;
        if (look->format == FS_FORMAT_JSON)
            guest_tree->export_bytes = look->size_bytes;
        else
            fs_guest_export_bytes(guest, &guest_tree->export_bytes);
    }
    ret->bytes = guest_tree->export_bytes;
}

bool fs_store_measure(FsTree *tree, FsGuest *guest, FsMeasure *ret)
{
    measure_export(tree, guest, ret);
    return !fs_tree_guest(tree, guest)->export_stale;
}

static void store_reply_attr(FsOp *op)
{
    FsMeasure measure;

    measure_export(op->tree, op->node->guest, &measure);
    fs_control_reply_attr(op, &measure);
}

/* The look is that of the store as the export left it. */
static void store_exported(FsOp *op)
{
    FsGuest *guest = op->node->guest;
    FsGuestTree *guest_tree = fs_tree_guest(op->tree, guest);
    const FsGuestLook *look = fs_guest_look(guest);
    size_t bytes = g_bytes_get_size(op->content);

    guest_tree->export_stale = false;
    if (!fs_guest_has_store(guest))
        return;
    if (look->format != FS_FORMAT_JSON)
        fs_guest_set_export_bytes(guest, bytes);
    guest_tree->export_bytes = bytes;
    guest_tree->export_of = look->store;
}

static void exported_looked(FsOp *op)
{
    store_exported(op);
    op->done(op);
}

static void exported(FsOp *op)
{
    fs_guest_files_changed(op->node->guest);
    fs_op_need(op, FS_NEED_LOOK, exported_looked);
}

static void export(FsOp *op, FsStep done, FsStep or_else)
{
    op->done = done;
    fs_op_call(op, UV_HOST_EXPORT, NULL, exported, or_else);
}

/* After a change the store's file is not what it will be: an export makes the engine finish it. */
void fs_store_getattr(FsOp *op)
{
    export(op, store_reply_attr, store_reply_attr);
}

static void export_for_open(FsOp *op)
{
    export(op, fs_control_reply_opened, NULL);
}

/* Whose content is not what its name says, an engine exports. */
static void read_for_open(FsOp *op)
{
    gsize size;
    const char *text = g_bytes_get_data(op->content, &size);
    gsize at = 0;

    while (at < size && g_ascii_isspace(text[at]))
        at++;
    if (at < size && text[at] == '{') {
        fs_control_reply_opened(op);
    } else {
        g_clear_pointer(&op->content, g_bytes_unref);
        export_for_open(op);
    }
}

void fs_store_open(FsOp *op)
{
    const FsGuestLook *look = fs_guest_look(op->node->guest);

    if (!fs_guest_has_store(op->node->guest))
        fs_control_reply_opened(op);
    else if (look->format == FS_FORMAT_JSON && fs_guest_is_at_rest(op->node->guest) &&
             !fs_tree_guest(op->tree, op->node->guest)->export_stale)
        fs_op_read_store(op, read_for_open, export_for_open);
    else
        export_for_open(op);
}

static void store_came(FsOp *op)
{
    fs_restore_store_came(op->node->guest);
    op->done(op);
}

void fs_store_commit(FsOp *op, GBytes *text, FsStep done, FsStep failed)
{
    fs_tree_guest(op->tree, op->node->guest)->export_stale = true;
    op->done = done;
    fs_op_import(op, text, store_came, failed);
}
