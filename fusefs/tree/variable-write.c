/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Writing to a variable.
 *
 * One write() is one SetVariable, wherever it says it goes: efivarfs ignores the offset. Only the
 * second part of a write that the kernel or a program split can be told apart (no O_APPEND, and it
 * goes on where the last one ended), and it is refused: a part of a value is never set.
 *
 * An archiver's writes are collected instead, and are one SetVariable when the file is closed.
 *
 * Attributes alone delete. Where a shell opened the file (it truncates or appends) they may be the
 * first part of a value that several programs write: what is asked of the engine then is only
 * whether it would delete. It is deleted when who opened the file closes a descriptor of it, or at
 * the last close, if nothing else was written meanwhile.
 */

#include <errno.h>

#include "bytes.h"
#include "efi-abi.h"
#include "refused.h"
#include "restore.h"
#include "variable-private.h"
#include "wire.h"

#define ATTRIBUTES_BYTES 4
#define ATTRIBUTES_MASK 0x7fu

static const char too_large[] = "more than 65536 bytes behind the attributes";

static int refuse(FsGuest *guest, const char *reason)
{
    fs_guest_refused(guest, reason);
    return EINVAL;
}

int fs_variable_check(const FsTree *tree, FsGuest *guest, GBytes *content)
{
    const size_t size = g_bytes_get_size(content);
    UvReader reader = uv_reader_of(content);
    const uint32_t attributes = uv_read_u32(&reader);

    if (size > UV_HOST_CONTENT_MAX)
        return refuse(guest, too_large);
    if (reader.failed)
        return refuse(guest, "shorter than the four bytes of attributes");
    if (attributes & ~ATTRIBUTES_MASK)
        return refuse(guest, "an unknown attribute");
    if (tree->options->guest_view && size > ATTRIBUTES_BYTES &&
        !(attributes & EFI_VARIABLE_RUNTIME_ACCESS))
        return refuse(guest, "not a variable that the guest's OS could write");
    return 0;
}

static void write_seen(FsOp *op)
{
    if (!op->node->gone && !fs_variable_entry(op->node))
        fs_tree_node_gone(op->tree, op->node, true);
    if (op->node->gone) { /* the write deleted it */
        fs_op_need_forgotten(op, fs_op_reply_written);
        return;
    }
    op->node->existed = true;
    op->node->told = false; /* the kernel asks again after a write */
    fs_op_reply_written(op);
}

static void write_done(FsOp *op)
{
    fs_op_need_replica(op, write_seen);
}

/* There was nothing to delete: efivarfs says EIO. The kernel keeps what it was told before. */
static void write_failed(FsOp *op)
{
    op->node->told = true;
    fs_variable_changed(op->tree, op->node, fs_variable_entry(op->node));
    fs_op_error(op, op->error == ENOENT ? EIO : op->error);
}

/* Whether these are attributes alone that delete what is there, from a shell. */
static bool deletes_later(const FsOp *op)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(op->content, &size);

    return op->handle->opener && size == ATTRIBUTES_BYTES &&
           !(bytes[0] & EFI_VARIABLE_APPEND_WRITE) && fs_variable_entry(op->node);
}

static void write_asked(FsOp *op)
{
    op->handle->deletion = g_bytes_ref(op->content);
    fs_op_reply_written(op);
}

static void closed(FsOp *op)
{
    fs_op_error(op, 0);
}

static void flushed(FsOp *op)
{
    if (!op->node->gone && !fs_variable_entry(op->node))
        fs_tree_node_gone(op->tree, op->node, true);
    fs_op_need_forgotten(op, closed);
}

static void flush_done(FsOp *op)
{
    fs_op_need_replica(op, flushed);
}

static void flush_failed(FsOp *op)
{
    fs_op_error(op, op->error == ENOENT ? 0 : op->error);
}

/* What was collected: the whole content is here now. */

static void restored(FsOp *op)
{
    op->node->existed = fs_variable_entry(op->node) != NULL;
    op->node->told = false;
    fs_op_error(op, 0);
}

static void restore_set(FsOp *op)
{
    fs_op_need_replica(op, restored);
}

static void restore_refused(FsOp *op)
{
    fs_op_error(op, fs_restore_forgives(op, op->content) ? 0 : op->error);
}

static void flush_restored(FsOp *op)
{
    op->content = fs_collected_take(op->handle->collected);
    if (!op->content || op->node->gone) {
        fs_op_error(op, op->node->gone && op->content ? EIO : 0);
        return;
    }
    op->error = fs_variable_check(op->tree, op->node->guest, op->content);
    if (op->error)
        restore_refused(op);
    else
        fs_op_set(op, op->node->name, op->content, 0, op->handle->collected->mtime_ns, restore_set,
                  restore_refused);
}

/* Programs that a shell started close what they were given, too: they are not who opened it. */
void fs_variable_flush(FsOp *op)
{
    FsHandle *handle = op->handle;

    if (handle->collected) {
        flush_restored(op);
        return;
    }
    if (!handle->deletion || op->node->gone || fuse_req_ctx(op->req)->pid != handle->opener) {
        fs_op_error(op, 0);
        return;
    }
    op->content = g_steal_pointer(&handle->deletion);
    fs_op_set(op, op->node->name, op->content, 0, 0, flush_done, flush_failed);
}

static void write_collected(FsOp *op)
{
    int error = fs_collected_write(op->handle->collected, op->content, op->offset);

    if (error)
        fs_op_refuse(op, error, too_large);
    else
        fs_op_reply_written(op);
}

void fs_variable_write(FsOp *op)
{
    FsHandle *handle = op->handle;
    bool goes_on =
        op->offset > 0 && (off_t)op->offset == handle->write_end && !(op->file.flags & O_APPEND);
    int error;

    if (handle->collected) {
        write_collected(op);
        return;
    }
    error = fs_variable_check(op->tree, op->node->guest, op->content);
    if (goes_on) {
        fs_guest_refused(op->node->guest, "a value is set by one write, and this is a second one");
        error = EFBIG;
    }
    handle->write_end = op->offset + op->size;
    g_clear_pointer(&handle->deletion, g_bytes_unref); /* something follows */
    if (error) {
        fs_op_error(op, error);
        return;
    }
    g_clear_pointer(&handle->snapshot, g_bytes_unref);
    if (deletes_later(op)) {
        fs_op_set(op, op->node->name, op->content, UV_HOST_SET_ASK, 0, write_asked, write_failed);
        return;
    }
    op->node->told = false; /* the kernel asks again after a write, and need not be told */
    fs_op_set(op, op->node->name, op->content, 0, 0, write_done, write_failed);
}

/* A deletion that no request waits for. */
typedef struct {
    FsTree *tree;
    FsNode *node; /* held */
} Deletion;

static void deleted_at_last(FsGuest *guest, int error, void *data)
{
    g_autofree Deletion *deletion = data;
    g_autofree char *reason = guest ? fs_guest_take_reason(guest) : NULL;
    const char *text = reason ? reason : g_strerror(error);

    if (guest && error) {
        fs_guest_log(guest, "%s was not deleted: %s", deletion->node->name, text);
        fs_refused_late(deletion->tree, deletion->node, NULL, "close", error, text);
    }
    fs_nodes_drop(deletion->tree->nodes, deletion->node);
}

static void delete_at_last(FsTree *tree, FsHandle *handle)
{
    FsNode *node = handle->node;
    Deletion *deletion = g_new(Deletion, 1);

    *deletion = (Deletion){tree, node};
    fs_node_hold(node);
    fs_guest_set(node->guest, NULL, node->name, handle->deletion, 0, 0, deleted_at_last, deletion);
}

void fs_variable_release(FsTree *tree, FsHandle *handle)
{
    FsNode *node = handle->node;

    if (handle->deletion && !node->gone)
        delete_at_last(tree, handle);
    if (node->opens == 1 && !node->existed && !node->gone)
        fs_tree_node_gone(tree, node, false);
}
