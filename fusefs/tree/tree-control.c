/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control files of a guest, as nodes: which there are is in control-files.c. A file is read as
 * it was when it was opened. A text is collected per open file (textfile.h) and committed by the
 * write that ends it, or by a staging file's rename.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "control-private.h"
#include "refused.h"
#include "restore.h"

/* What can always be read, whatever else is open. */
#define SMALL_BYTES (64u * 1024)

static const FsControl *control_of(const FsNode *node)
{
    return node->data;
}

static void fill(FsTree *tree, const FsNode *node, const FsMeasure *measure, struct stat *ret_attr)
{
    fs_tree_fill(tree, node, control_of(node)->type_and_mode, ret_attr);
    ret_attr->st_size = measure->bytes;
    ret_attr->st_blocks = (measure->bytes + 511) / 512;
    fs_stat_set_mtime(ret_attr, measure->mtime_ns);
}

void fs_control_reply_attr(FsOp *op, const FsMeasure *measure)
{
    struct stat attr;

    fill(op->tree, op->node, measure, &attr);
    fs_op_reply_attr(op, &attr, FS_KEEP_LOOKED_UP);
}

static void collect_from(const FsOp *op, FsHandle *handle, const FsControl *control)
{
    if (control->collected_max && (op->file.flags & O_ACCMODE) != O_RDONLY)
        handle->collected = fs_collected_new(control->collected_max);
}

void fs_control_reply_opened(FsOp *op)
{
    FsHandle *handle = fs_handle_new(op->tree, op->node);
    size_t bytes = op->content ? g_bytes_get_size(op->content) : 0;

    if (bytes > SMALL_BYTES && !fs_handle_hold(op->tree, handle, bytes)) {
        fs_handle_free(op->tree, handle);
        fs_guest_log(op->node->guest, "%s: too much of the guest is open", op->node->name);
        fs_op_error(op, EMFILE);
        return;
    }
    handle->snapshot = op->content ? g_bytes_ref(op->content) : NULL;
    collect_from(op, handle, control_of(op->node));
    fs_op_reply_open(op, handle);
}

/* The reason of a refusal, where a user looks for it: an error of write() is one word. */
static void tell(FsGuest *guest, const char *name, const char *reason)
{
    bool named = g_str_has_prefix(reason, name);
    g_autofree char *text = g_strdup_printf("%s%s%s", named ? "" : name, named ? "" : ": ", reason);
    fs_guest_set_warning(guest, name, text);
    fs_guest_log(guest, "%s", text);
}

static bool control_known(FsTree *tree, FsNode *node, struct stat *ret_attr, FsKeep *ret_keep)
{
    const FsControl *control = control_of(node);
    FsMeasure measure;

    if (!control->measure || !fs_guest_has(node->guest, control->needs) ||
        !control->measure(tree, node->guest, &measure))
        return false;
    fill(tree, node, &measure, ret_attr);
    *ret_keep = FS_KEEP_LOOKED_UP;
    return true;
}

static void getattr_ready(FsOp *op)
{
    const FsControl *control = control_of(op->node);
    FsMeasure measure;

    if (control->measure && control->measure(op->tree, op->node->guest, &measure))
        fs_control_reply_attr(op, &measure);
    else
        control->getattr(op);
}

static void control_getattr(FsOp *op)
{
    fs_op_need(op, control_of(op->node)->needs, getattr_ready);
}

static void control_setattr(FsOp *op)
{
    if (op->flags & FUSE_SET_ATTR_SIZE && op->handle && op->handle->text)
        fs_textfile_truncate(op->handle->text, op->attr.st_size);
    else if (op->flags & FUSE_SET_ATTR_SIZE && op->handle && op->handle->collected)
        fs_collected_resize(op->handle->collected, op->attr.st_size);
    control_getattr(op);
}

static void control_readlink(FsOp *op)
{
    g_autofree char *target = control_of(op->node)->link(op->node->guest);
    fs_op_reply_text(op, target);
}

static void control_open(FsOp *op)
{
    const FsControl *control = control_of(op->node);
    int access = op->file.flags & O_ACCMODE;

    if (access == O_WRONLY)
        fs_control_reply_opened(op);
    else
        fs_op_need(op, control->needs, control->open);
}

static void committed(FsOp *op)
{
    fs_guest_set_warning(op->node->guest, control_of(op->node)->name, NULL);
    fs_op_reply_written(op);
}

static void refuse(FsOp *op, const FsControl *control, int error, const char *reason)
{
    tell(op->node->guest, control->name, reason);
    fs_op_refuse(op, error, reason);
}

static void refused_as(FsOp *op, const FsControl *control)
{
    g_autofree char *reason = g_strdup(fs_op_reason(op));

    refuse(op, control, op->error, reason ? reason : g_strerror(op->error));
}

static void refused(FsOp *op)
{
    refused_as(op, control_of(op->node));
}

static void spoiled(FsOp *op, const FsControl *control, const FsTextFile *text)
{
    g_autofree char *reason = fs_textfile_reason(text, control->name);

    refuse(op, control, EINVAL, reason);
}

/* What is read, what is written, and what comes now, wherever in it that goes. */
static bool hold_text(FsTree *tree, FsHandle *handle, size_t more_bytes)
{
    size_t read_bytes = handle->snapshot ? g_bytes_get_size(handle->snapshot) : 0;

    return fs_handle_hold(tree, handle, read_bytes + fs_textfile_bytes(handle->text) + more_bytes);
}

static void control_write(FsOp *op)
{
    const FsControl *control = control_of(op->node);
    FsHandle *handle = op->handle;
    g_autoptr(GBytes) text = NULL;
    gsize size;
    const void *bytes = g_bytes_get_data(op->content, &size);

    if (control->by_write) {
        control->commit(op, op->content, committed, refused);
        return;
    }
    if (handle->collected || control->ignored) {
        int error =
            control->ignored ? 0 : fs_collected_write(handle->collected, op->content, op->offset);
        if (error)
            refuse(op, control, error, "what was written is too large");
        else
            fs_op_reply_written(op);
        return;
    }
    if (!handle->text)
        handle->text = fs_textfile_new(control->rules, control->text_max);
    if (!hold_text(op->tree, handle, size)) {
        refuse(op, control, ENOSPC, "too much is being written at once");
        return;
    }
    switch (fs_textfile_write(handle->text, bytes, size, op->offset, op->file.flags & O_APPEND)) {
    case FS_TEXTFILE_INCOMPLETE:
    case FS_TEXTFILE_AFTER:
        fs_op_reply_written(op);
        break;
    case FS_TEXTFILE_COMPLETE:
        text = fs_textfile_content(handle->text);
        control->commit(op, text, committed, refused);
        break;
    case FS_TEXTFILE_SPOILED:
        spoiled(op, control, handle->text);
        break;
    case FS_TEXTFILE_GAP:
        refuse(op, control, EINVAL, "written with a gap");
        break;
    case FS_TEXTFILE_TOO_LARGE:
        refuse(op, control, EFBIG, "what was written is too large");
        break;
    case FS_TEXTFILE_TOO_OFTEN:
        refuse(op, control, EINVAL, "written over too often");
        break;
    }
}

static void flush_committed(FsOp *op)
{
    fs_guest_set_warning(op->node->guest, control_of(op->node)->name, NULL);
    fs_op_error(op, 0);
}

static void control_flush(FsOp *op)
{
    g_autoptr(GBytes) bytes =
        op->handle->collected ? fs_collected_take(op->handle->collected) : NULL;

    if (bytes)
        control_of(op->node)->commit(op, bytes, flush_committed, refused);
    else
        fs_op_error(op, 0);
}

static void control_release(FsTree *tree, FsHandle *handle)
{
    static const char unfinished[] = "closed before the JSON object was complete: dropped";

    if (!handle->text)
        return;
    if (fs_textfile_is_unfinished(handle->text) && handle->node->guest) {
        tell(handle->node->guest, control_of(handle->node)->name, unfinished);
        fs_refused_late(tree, handle->node, NULL, "close", EINVAL, unfinished);
    }
    fs_textfile_free(handle->text);
    handle->text = NULL;
}

static const FsNodeClass control_class = {
    .type = S_IFREG,
    .getattr = control_getattr,
    .known = control_known,
    .setattr = control_setattr,
    .open = control_open,
    .read = fs_op_reply_snapshot,
    .write = control_write,
    .flush = control_flush,
    .release = control_release,
    .statfs = fs_vars_statfs,
};

static const FsNodeClass link_class = {
    .type = S_IFLNK,
    .getattr = control_getattr,
    .known = control_known,
    .setattr = control_setattr,
    .readlink = control_readlink,
    .statfs = fs_vars_statfs,
};

FsNode *fs_control_node(FsTree *tree, FsNode *guest_node, const FsControl *control)
{
    return fs_nodes_make(
        tree->nodes, control->link ? &link_class : &control_class, guest_node, control->name,
        fs_inode(guest_node->guest, FS_SLOT_FILES + fs_control_index(control)), control);
}

/* Made by who expects it not to be there: it is written as one that is. */
void fs_control_create(FsOp *op, const FsControl *control)
{
    FsNode *child = fs_control_node(op->tree, op->node, control);
    FsHandle *handle;
    struct stat attr;

    handle = fs_handle_new(op->tree, child);
    collect_from(op, handle, control);
    fs_tree_fill(op->tree, child, control->type_and_mode, &attr);
    fs_stat_set_mtime(&attr, fs_tree_guest_mtime_ns(op->node->guest));
    fs_restore_made(op);
    fs_op_reply_create(op, child, &attr, handle);
}

/* A link is as it is, whatever it was where the backup was made. */
void fs_control_symlink(FsOp *op, const FsControl *control)
{
    if (control->link) {
        fs_restore_made(op);
        fs_op_reply_lookup_of(op, fs_control_node(op->tree, op->node, control));
    } else {
        fs_op_error(op, EEXIST);
    }
}

/* A staging file renamed onto a control file commits its text, and is that file from then on. */

static const FsControl *rename_target(const FsOp *op)
{
    return fs_control_find(op->new_name);
}

static void rename_committed(FsOp *op)
{
    const FsControl *control = rename_target(op);

    fs_guest_set_warning(op->node->guest, control->name, NULL);
    fs_staging_become(op->tree, op->child, &control_class, control->name,
                      fs_inode(op->node->guest, FS_SLOT_FILES + fs_control_index(control)));
    op->child->data = (void *)control;
    fs_tree_invalidate(op->tree, op->child);
    fs_op_error(op, 0);
}

static void rename_refused(FsOp *op)
{
    refused_as(op, rename_target(op));
}

/* Of a backup of a guest without a store, or without a configuration. */
static void rename_empty(FsOp *op, const FsControl *control)
{
    g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);

    if (control->rules == &uv_json_config)
        control->commit(op, nothing, rename_committed, rename_refused);
    else if (!fs_guest_has_store(op->node->guest))
        rename_committed(op);
    else
        refuse(op, control, EINVAL, "it is empty, and the guest has a store");
}

void fs_control_rename_onto(FsOp *op, FsNode *staging)
{
    const FsControl *control = rename_target(op);
    g_autoptr(GBytes) content = fs_staging_content(staging);
    g_autoptr(FsTextFile) text = NULL;
    gsize size;
    const void *bytes = g_bytes_get_data(content, &size);

    if (op->flags & RENAME_NOREPLACE) {
        fs_op_error(op, EEXIST);
        return;
    }
    if (control->ignored || control->link) {
        fs_staging_remove(op->tree, staging);
        fs_op_error(op, 0);
        return;
    }
    op->child = staging;
    fs_node_hold(staging);
    if (size == 0) {
        rename_empty(op, control);
        return;
    }
    if (control->collected_max) {
        control->commit(op, content, rename_committed, rename_refused);
        return;
    }
    text = fs_textfile_new(control->rules, control->text_max);
    if (fs_textfile_write(text, bytes, size, 0, false) != FS_TEXTFILE_COMPLETE) {
        spoiled(op, control, text);
        return;
    }
    control->commit(op, content, rename_committed, rename_refused);
}
