/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The files of views. A file is read as it was when it was opened. What is written to it goes to
 * the engine piece by piece (view-text.h), as a whole from a staging file.
 *
 * What can't be written takes what it holds already, and nothing else: who restores a backup writes
 * everything, and is told only of what would be different. A staging file with a time that was
 * set comes from a backup, and a view is no content: it is made of the variables that come back
 * beside it. So it is taken and dropped.
 */

#include <errno.h>
#include <string.h>

#include "names.h"
#include "profiles.h"
#include "view-node.h"
#include "view-text.h"

#define SMALL_BYTES 4096u /* what an open file of that size holds is not counted */

/* Opening and reading */

static bool is_writable(const FsHandle *handle)
{
    return handle->text != NULL;
}

static bool wants_to_write(const FsOp *op)
{
    return (op->file.flags & O_ACCMODE) != O_RDONLY;
}

/* A piece that is written to it is a change of its own. */
static bool each_anew(FsViewKind view, const char *path)
{
    return view == FS_VIEW_NEXT_BOOT || g_str_has_suffix(path, "/append");
}

static FsHandle *new_handle(FsOp *op, FsNode *node, GBytes *before)
{
    g_autofree char *path = fs_node_path(node);
    FsHandle *handle = fs_handle_new(op->tree, node);

    handle->text = fs_view_text_new(before, each_anew(fs_view_of(node), path));
    handle->opener = MAX(fuse_req_ctx(op->req)->pid, 1); /* its closes are told */
    return handle;
}

FsHandle *fs_view_handle_new(FsOp *op, FsNode *node)
{
    return new_handle(op, node, NULL);
}

/* Charges the guest with what is read, what is written, and what comes now. */
static bool hold(FsTree *tree, FsHandle *handle, GBytes *read, size_t more_bytes)
{
    size_t bytes = more_bytes + (read ? g_bytes_get_size(read) : 0);

    bytes += handle->text ? fs_view_text_bytes(handle->text) : 0;
    return bytes <= SMALL_BYTES || fs_handle_hold(tree, handle, bytes);
}

static void reply_opened(FsOp *op, GBytes *text)
{
    FsHandle *handle;

    if (op->needs & 0222 && wants_to_write(op))
        handle = new_handle(op, op->node, op->file.flags & O_APPEND ? text : NULL);
    else
        handle = fs_handle_new(op->tree, op->node);
    if (!hold(op->tree, handle, text, 0)) {
        fs_view_file_release(op->tree, handle);
        fs_handle_free(op->tree, handle);
        fs_guest_log(op->node->guest, "%s: too much of the guest is open", op->node->name);
        fs_op_error(op, EMFILE);
        return;
    }
    handle->snapshot = text ? g_bytes_ref(text) : NULL;
    fs_op_reply_open(op, handle);
}

static void read_ready(FsOp *op)
{
    reply_opened(op, op->content);
}

/* op->needs keeps the file's mode. */
void fs_view_file_open(FsOp *op)
{
    g_autofree char *path = fs_node_path(op->node);
    FsViewEntry entry;
    bool there = fs_view_list_find(op->content, path, &entry);
    g_autoptr(GBytes) own = fs_view_own_text(op->tree, fs_view_of(op->node), path);

    if (!there || S_ISDIR(entry.mode)) {
        fs_op_error(op, there ? EISDIR : ESTALE);
        return;
    }
    op->needs = entry.mode & 0777;
    if (own || !(entry.mode & 0444))
        reply_opened(op, own);
    else
        fs_op_view_read(op, fs_view_of(op->node), path, read_ready);
}

void fs_view_file_truncate(FsHandle *handle, size_t size)
{
    if (is_writable(handle))
        fs_view_text_truncate(handle->text, size);
}

/* Writing */

static bool is_enroll(const char *path)
{
    return strcmp(path, "enroll") == 0 || strcmp(path, "secure-boot/enroll") == 0;
}

/* A profile's files for its name; NULL: refused. */
static GBytes *profile_named(const FsTree *tree, FsGuest *guest, GBytes *content)
{
    gsize size;
    const char *bytes = g_bytes_get_data(content, &size);
    g_autofree char *name = g_strstrip(g_strndup(bytes ? bytes : "", MIN(size, NAME_MAX)));
    g_autofree char *why = NULL, *reason = NULL;
    GBytes *profile = fs_profile_read(tree->options->keys, name, &why);

    if (!profile) {
        reason = g_strdup_printf("%s: %s", name, why);
        fs_guest_refused(guest, reason);
    }
    return profile;
}

static void commit(FsOp *op, const FsNode *folder_or_file, const char *path, GBytes *content,
                   FsStep done)
{
    g_autoptr(GBytes) profile = NULL;
    FsViewKind view = fs_view_of(folder_or_file);

    if (view != FS_VIEW_BOOT && is_enroll(path)) {
        profile = profile_named(op->tree, op->node->guest, content);
        if (!profile) {
            fs_op_error(op, EINVAL);
            return;
        }
        content = profile;
    }
    fs_op_view_act(op, view, FS_VIEW_WRITE, path, content, done, NULL);
}

static void committed(FsOp *op)
{
    fs_view_text_committed(op->handle->text);
    op->node->existed = true;
    fs_op_reply_written(op);
}

static void commit_handle(FsOp *op, FsStep done)
{
    g_autofree char *path = fs_node_path(op->node);
    g_autoptr(GBytes) content = fs_view_text_content(op->handle->text);

    commit(op, op->node, path, content, done);
}

static bool holds(GBytes *text, size_t offset, GBytes *piece)
{
    gsize size = 0, piece_size;
    const uint8_t *bytes = text ? g_bytes_get_data(text, &size) : NULL;
    const void *wanted = g_bytes_get_data(piece, &piece_size);

    return offset <= size && piece_size <= size - offset &&
           (piece_size == 0 || memcmp(bytes + offset, wanted, piece_size) == 0);
}

static void refuse_read_only(FsOp *op)
{
    g_autofree char *path = fs_node_path(op->node);
    g_autofree char *reason =
        g_strdup_printf("%s/%s is made of the guest's variables, and can't be written",
                        fs_view_name(fs_view_of(op->node)), path);

    fs_op_refuse(op, EPERM, reason);
}

void fs_view_file_write(FsOp *op)
{
    FsHandle *handle = op->handle;
    gsize size;
    const void *bytes = g_bytes_get_data(op->content, &size);
    int error;

    if (op->file.flags & O_NONBLOCK &&
        !handle->made_again) { /* tar's: the variables themselves come, too */
        fs_op_reply_written(op);
        return;
    }
    if (!is_writable(handle)) {
        if (holds(handle->snapshot, op->offset, op->content))
            fs_op_reply_written(op);
        else
            refuse_read_only(op);
        return;
    }
    if (!hold(op->tree, handle, handle->snapshot, size)) {
        fs_op_refuse(op, ENOSPC, "too much is being written at once");
        return;
    }
    error = fs_view_text_write(handle->text, bytes, size, op->offset, op->file.flags & O_APPEND);
    if (error)
        fs_op_refuse(op, error, error == EFBIG ? "more than 1 MiB" : "written with a gap");
    else if (fs_view_text_is_held(handle->text))
        fs_op_reply_written(op);
    else
        commit_handle(op, committed);
}

static void flushed(FsOp *op)
{
    fs_view_text_committed(op->handle->text);
    op->node->existed = true;
    fs_op_error(op, 0);
}

void fs_view_file_flush(FsOp *op)
{
    if (op->node->gone || !is_writable(op->handle) || !fs_view_text_is_held(op->handle->text))
        fs_op_error(op, 0);
    else
        commit_handle(op, flushed);
}

void fs_view_file_release(FsTree *tree, FsHandle *handle)
{
    FsNode *node = handle->node;

    g_clear_pointer((FsViewText **)&handle->text, fs_view_text_free);
    if (node->opens == 1 && !node->existed && !node->gone)
        fs_tree_node_gone(tree, node, false);
}

/* Staging files that take a file's place */

static void replaced(FsOp *op)
{
    fs_view_become(op->tree, op->child, op->new_name);
    fs_op_error(op, 0);
}

static void compared(FsOp *op)
{
    g_autoptr(GBytes) content = fs_staging_content(op->child);

    if (g_bytes_equal(content, op->content))
        replaced(op);
    else
        fs_op_refuse(op, EPERM, "made of the guest's variables, and can't be written");
}

void fs_view_file_replace(FsOp *op, bool writable)
{
    g_autofree char *path = fs_node_child_path(op->node, op->new_name);

    if (fs_staging_mtime(op->child)) {
        replaced(op);
    } else if (writable) {
        g_autoptr(GBytes) content = fs_staging_content(op->child);
        commit(op, op->node, path, content, replaced);
    } else {
        fs_op_view_read(op, fs_view_of(op->node), path, compared);
    }
}

void fs_view_file_rename(FsOp *op, FsNode *staging)
{
    if (!fs_staging_mtime(staging) || fs_name_is_staging(op->new_name)) {
        fs_staging_rename(op);
        return;
    }
    /* A restore's, of what the guest has no more: dropped, too. */
    fs_tree_node_gone(op->tree, staging, true);
    fs_staging_remove(op->tree, staging);
    fs_op_error(op, 0);
}
