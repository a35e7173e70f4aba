/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a program does to a staging file, or to a sink (staging.c): its class, and that of the links
 * and folders that a restore makes. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "staging-private.h"

void fs_staging_fill(FsTree *tree, const FsNode *node, struct stat *attr)
{
    const FsStaging *staging = fs_staging_of(node);

    fs_tree_fill(tree, node, node->class->type, attr);
    attr->st_mode = node->class->type | staging->mode;
    attr->st_size = staging->target ? strlen(staging->target) : staging->bytes->len;
    attr->st_blocks = (attr->st_size + 511) / 512;
    fs_stat_set_mtime(attr, staging->mtime_ns);
}

GBytes *fs_staging_content(const FsNode *node)
{
    const FsStaging *staging = fs_staging_of(node);
    return g_bytes_new(staging->bytes->data, staging->bytes->len);
}

int64_t fs_staging_mtime(const FsNode *node)
{
    const FsStaging *staging = fs_staging_of(node);
    return staging->mtime_set ? staging->mtime_ns : 0;
}

/* 0 or an errno; what is new is zeros. */
static int resize(FsNode *node, size_t size)
{
    FsStaging *staging = fs_staging_of(node);
    FsGuestTree *guest_tree = fs_guest_data(node->guest, FS_ROOM_TREE);
    size_t old = staging->bytes->len;

    if (size > staging->max_bytes)
        return EFBIG;
    if (staging->sink)
        return 0;
    if (size > old && size - old > FS_STAGING_GUEST_MAX - guest_tree->staging_bytes)
        return ENOSPC;
    g_byte_array_set_size(staging->bytes, size);
    if (size > old)
        memset(staging->bytes->data + old, 0, size - old);
    guest_tree->staging_bytes += size - old;
    return 0;
}

static void staging_getattr(FsOp *op)
{
    struct stat attr;
    fs_staging_fill(op->tree, op->node, &attr);
    fs_op_reply_attr(op, &attr, FS_KEEP_NOTHING);
}

static void staging_setattr(FsOp *op)
{
    FsStaging *staging = fs_staging_of(op->node);

    fs_staging_use(op->tree, staging);
    if (op->flags & FUSE_SET_ATTR_SIZE) {
        int error = resize(op->node, op->attr.st_size);
        if (error) {
            fs_op_error(op, error);
            return;
        }
    }
    if (op->flags & FUSE_SET_ATTR_MODE)
        staging->mode = op->attr.st_mode & 07777;
    if (op->flags & FUSE_SET_ATTR_MTIME_NOW) {
        staging->mtime_ns = g_get_real_time() * 1000;
        staging->mtime_set = false;
    } else if (op->flags & FUSE_SET_ATTR_MTIME) {
        staging->mtime_ns = fs_stat_mtime_ns(&op->attr);
        staging->mtime_set = true;
    }
    staging_getattr(op);
}

static void staging_open(FsOp *op)
{
    FsHandle *handle = fs_handle_new(op->tree, op->node);

    fs_staging_use(op->tree, fs_staging_of(op->node));
    if (op->file.flags & O_TRUNC)
        resize(op->node, 0);
    fs_op_reply_open(op, handle);
}

static void staging_read(FsOp *op)
{
    FsStaging *staging = fs_staging_of(op->node);
    size_t offset = MIN(op->offset, staging->bytes->len);

    fs_staging_use(op->tree, staging);
    op->size = MIN(op->size, staging->bytes->len - offset);
    op->offset = 0;
    op->content = g_bytes_new(staging->bytes->data + offset, op->size);
    fs_op_reply_slice(op, op->content);
}

static void staging_write(FsOp *op)
{
    FsStaging *staging = fs_staging_of(op->node);
    size_t size;
    const void *bytes = g_bytes_get_data(op->content, &size);
    size_t offset = op->file.flags & O_APPEND ? staging->bytes->len : op->offset;
    int error = 0;

    fs_staging_use(op->tree, staging);
    if (staging->sink) {
        fs_op_reply_written(op);
        return;
    }
    if (offset > staging->max_bytes)
        error = EFBIG;
    else if (offset + size > staging->bytes->len)
        error = resize(op->node, offset + size);
    if (error) {
        fs_op_error(op, error);
        return;
    }
    memcpy(staging->bytes->data + offset, bytes, size);
    staging->mtime_ns = g_get_real_time() * 1000;
    staging->mtime_set = false;
    fs_op_reply_written(op);
}

void fs_staging_rename(FsOp *op)
{
    FsNode *node = fs_nodes_child(op->tree->nodes, op->node, op->name);
    FsNode *target = fs_nodes_child(op->tree->nodes, op->node, op->new_name);

    if (target == node) {
        fs_op_error(op, 0);
    } else if (target && !fs_node_is_staging(target)) {
        fs_op_error(op, EPERM);
    } else if (!fs_name_is_staging(op->new_name)) {
        fs_staging_refuse_name(op);
    } else if (target && op->flags & RENAME_NOREPLACE) {
        fs_op_error(op, EEXIST);
    } else {
        if (target)
            fs_staging_remove(op->tree, target);
        fs_staging_use(op->tree, fs_staging_of(node));
        fs_nodes_rename(op->tree->nodes, node, op->new_name);
        fs_op_error(op, 0);
    }
}

static void staging_release(FsTree *tree, FsHandle *handle)
{
    FsNode *node = handle->node;

    if (node->data && node->opens == 1 && fs_node_is_staging(node) && fs_staging_of(node)->brief)
        fs_staging_remove(tree, node);
}

static void staging_readlink(FsOp *op)
{
    fs_op_reply_text(op, fs_staging_of(op->node)->target);
}

/* Folders: what is made in them is sinks. */

static void folder_lookup(FsOp *op)
{
    FsNode *child = fs_staging_child(op);

    if (child)
        fs_op_reply_lookup_of(op, child);
    else
        fs_op_error(op, ENOENT);
}

static void folder_readdir(FsOp *op)
{
    fs_op_begin_directory(op);
    fs_op_reply_directory(op);
}

static void folder_create(FsOp *op)
{
    fs_staging_create_sink(op, !fs_name_is_staging(op->name));
}

static void folder_remove(FsOp *op)
{
    FsNode *child = fs_staging_child(op);

    if (child)
        fs_staging_remove(op->tree, child);
    fs_op_error(op, child ? 0 : ENOENT);
}

bool fs_node_is_staging(const FsNode *node)
{
    return node->class == &fs_staging_class || node->class == &fs_staging_link_class ||
           node->class == &fs_staging_folder_class;
}

FsNode *fs_staging_child(const FsOp *op)
{
    FsNode *child = fs_nodes_child(op->tree->nodes, op->node, op->name);

    return child && fs_node_is_staging(child) ? child : NULL;
}

const FsNodeClass fs_staging_link_class = {
    .type = S_IFLNK,
    .getattr = staging_getattr,
    .setattr = staging_setattr,
    .readlink = staging_readlink,
    .statfs = fs_vars_statfs,
};

const FsNodeClass fs_staging_folder_class = {
    .type = S_IFDIR,
    .lookup = folder_lookup,
    .getattr = staging_getattr,
    .setattr = staging_setattr,
    .readdir = folder_readdir,
    .create = folder_create,
    .mkdir = fs_staging_folder,
    .symlink = fs_staging_link,
    .unlink = folder_remove,
    .rmdir = folder_remove,
    .rename = folder_remove, /* whatever it becomes is generated */
    .statfs = fs_vars_statfs,
};

const FsNodeClass fs_staging_class = {
    .type = S_IFREG,
    .getattr = staging_getattr,
    .setattr = staging_setattr,
    .open = staging_open,
    .read = staging_read,
    .write = staging_write,
    .release = staging_release,
    .statfs = fs_vars_statfs,
};
