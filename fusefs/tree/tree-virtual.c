/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Generated subtrees (virtual.h) as nodes. A node keeps its subtree, and finds its path upwards. */

#include <errno.h>
#include <string.h>

#include "names.h"
#include "restore.h"
#include "tree-parts.h"

static const FsVirtual *virtual_of(const FsNode *node)
{
    return node->data;
}

static mode_t look(const FsNode *node, const char *path)
{
    const FsVirtual *virtual = virtual_of(node);
    mode_t mode = virtual->look(virtual->firmware, node->guest, path);

    return S_ISDIR(mode) ? S_IFDIR | 0755 : S_ISLNK(mode) ? S_IFLNK | 0777 : mode;
}

static char *read_text(const FsNode *node, const char *path)
{
    const FsVirtual *virtual = virtual_of(node);
    char *text = virtual->read(virtual->firmware, node->guest, path);

    return text ? text : g_strdup("");
}

static int64_t mtime_ns(const FsOp *op, const char *path)
{
    const FsVirtual *virtual = virtual_of(op->node);

    return virtual->mtime_ns(virtual->firmware, op->node->guest, path);
}

static void need(FsOp *op, FsStep step)
{
    fs_op_need_virtual(op, virtual_of(op->node), step);
}

/* What is not there must be so now, not a moment ago. */
static void not_there(FsOp *op, FsStep step)
{
    if (op->looked_again) {
        fs_op_error(op, ENOENT);
        return;
    }
    op->looked_again = true;
    fs_firmware_refresh(virtual_of(op->node)->firmware);
    need(op, step);
}

/* Of the node whose path and mode those are. */
static void fill(const FsOp *op, const FsNode *node, const char *path, mode_t mode,
                 struct stat *attr)
{
    fs_tree_fill(op->tree, node, mode, attr);
    if (!S_ISDIR(mode)) {
        g_autofree char *text = read_text(node, path);
        attr->st_size = strlen(text);
    }
    fs_stat_set_mtime(attr, mtime_ns(op, path));
}

static void virtual_getattr(FsOp *op)
{
    g_autofree char *path = fs_node_path(op->node);
    mode_t mode = look(op->node, path);
    struct stat attr;

    if (!mode) {
        not_there(op, virtual_getattr);
        return;
    }
    fill(op, op->node, path, mode, &attr);
    /* What is computed from files may be something else the next time. */
    fs_op_reply_attr(op, &attr, *path ? FS_KEEP_LOOKED_UP : FS_KEEP_FOLDER);
}

static FsNode *virtual_node(FsTree *tree, FsNode *parent, const char *name,
                            const FsVirtual *virtual, uint64_t inode);

static uint64_t inode_of(const FsNode *folder, const char *path)
{
    return fs_inode(folder->guest, FS_SLOT_VIRTUAL + (g_str_hash(path) >> 1));
}

static void lookup_there(FsOp *op)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);
    FsNode *made = fs_staging_child(op); /* by a restore, when nothing was generated there */

    if (made)
        fs_staging_remove(op->tree, made);
    fs_op_reply_lookup_of(op, virtual_node(op->tree, op->node, op->name, virtual_of(op->node),
                                           inode_of(op->node, path)));
}

static void virtual_lookup(FsOp *op)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);
    FsNode *made = fs_staging_child(op);

    if (made && (fs_restore_is_by(op) || !look(op->node, path)))
        fs_op_reply_lookup_of(op, made);
    else if (!look(op->node, path))
        not_there(op, virtual_lookup);
    else
        fs_restore_lookup(op, lookup_there);
}

/* false: there is no room for it. */
static bool list_entry(FsOp *op, const char *name, uint64_t next_offset)
{
    g_autofree char *path = fs_node_child_path(op->node, name);
    struct stat attr = {.st_mode = look(op->node, path), .st_ino = inode_of(op->node, path)};
    FsNode *child = NULL;

    if (attr.st_mode && fs_op_tells_all(op))
        child = virtual_node(op->tree, op->node, name, virtual_of(op->node), attr.st_ino);
    if (child && fs_node_is_staging(child))
        child = NULL;
    if (child)
        fill(op, child, path, attr.st_mode, &attr);
    return fs_op_add(op, name, &attr, next_offset, child, FS_KEEP_LOOKED_UP);
}

static void readdir_ready(FsOp *op)
{
    const FsVirtual *virtual = virtual_of(op->node);
    g_autofree char *path = fs_node_path(op->node);
    g_auto(GStrv) names = virtual->list(virtual->firmware, op->node->guest, path);
    size_t n_names = names ? g_strv_length(names) : 0;
    bool room = fs_op_begin_directory(op);

    for (size_t i = fs_op_told_entries(op); room && i < n_names; i++)
        room = list_entry(op, names[i], FS_FIRST_OFFSET + i);
    fs_op_reply_directory(op);
}

static void virtual_readlink(FsOp *op)
{
    g_autofree char *path = fs_node_path(op->node);
    g_autofree char *target = read_text(op->node, path);
    fs_op_reply_text(op, target);
}

static void open_ready(FsOp *op)
{
    g_autofree char *path = fs_node_path(op->node);
    mode_t mode = look(op->node, path);
    bool writable = (op->file.flags & O_ACCMODE) != O_RDONLY;
    FsHandle *handle;
    char *text;

    if (!S_ISREG(mode) || (writable && !virtual_of(op->node)->write)) {
        fs_op_error(op, S_ISREG(mode) ? EPERM : ENOENT);
        return;
    }
    text = read_text(op->node, path);
    handle = fs_handle_new(op->tree, op->node);
    handle->snapshot = g_bytes_new_take(text, strlen(text));
    fs_op_reply_open(op, handle);
}

static void virtual_write(FsOp *op)
{
    g_autofree char *path = fs_node_path(op->node);

    fs_op_write_virtual(op, virtual_of(op->node), path, fs_op_reply_written);
}

/* A restore writes back what was generated: that is taken and dropped. */

static bool may_be_made(const FsOp *op, const char *name)
{
    const FsVirtual *virtual = virtual_of(op->node);
    g_autofree char *path = fs_node_child_path(op->node, name);

    return op->node->guest && virtual->is_generated && virtual->is_generated(path);
}

static void virtual_create(FsOp *op)
{
    if (may_be_made(op, op->name))
        fs_staging_create_sink(op, false);
    else if (op->node->guest)
        fs_staging_create(op);
    else
        fs_op_error(op, EPERM);
}

static void virtual_symlink(FsOp *op)
{
    if (may_be_made(op, op->name) || (op->node->guest && fs_name_is_staging(op->name)))
        fs_staging_link(op);
    else
        fs_op_error(op, EPERM);
}

static void virtual_unlink(FsOp *op)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);
    FsNode *made = fs_staging_child(op);

    if (made) {
        fs_restore_took_away(op);
        fs_staging_remove(op->tree, made);
        fs_op_error(op, 0);
    } else if (op->node->guest && S_ISLNK(look(op->node, path))) {
        fs_restore_took_away(op);
        fs_op_error(op, 0);
    } else {
        fs_op_error(op, EPERM);
    }
}

static void virtual_rename(FsOp *op)
{
    FsNode *made = fs_staging_child(op);

    if (!made) {
        fs_op_error(op, EPERM);
    } else if (may_be_made(op, op->new_name)) {
        fs_staging_remove(op->tree, made);
        fs_op_error(op, 0);
    } else {
        fs_staging_rename(op);
    }
}

/* Each operation finds the guest's files as they are. */

static void virtual_readdir(FsOp *op)
{
    if (op->offset == 0)
        fs_firmware_refresh(virtual_of(op->node)->firmware);
    need(op, readdir_ready);
}

static void virtual_open(FsOp *op)
{
    fs_firmware_refresh(virtual_of(op->node)->firmware);
    if (op->node->guest) {
        fs_guest_files_changed(op->node->guest); /* no engine tells of what lies beside the store */
    }
    need(op, open_ready);
}

/* One class for all three: what a path is can change while the kernel knows the node. */
static const FsNodeClass virtual_class = {
    .type = S_IFDIR,
    .first = {.lookup = need, .getattr = need, .readlink = need, .write = need, .unlink = need},
    .lookup = virtual_lookup,
    .getattr = virtual_getattr,
    .setattr = fs_op_getattr,
    .readlink = virtual_readlink,
    .open = virtual_open,
    .read = fs_op_reply_snapshot,
    .write = virtual_write,
    .readdir = virtual_readdir,
    .create = virtual_create,
    .symlink = virtual_symlink,
    .unlink = virtual_unlink,
    .rename = virtual_rename,
};

static FsNode *virtual_node(FsTree *tree, FsNode *parent, const char *name,
                            const FsVirtual *virtual, uint64_t inode)
{
    return fs_nodes_make(tree->nodes, &virtual_class, parent, name, inode, virtual);
}

static FsNode *subtree(FsTree *tree, FsNode *parent, const FsVirtual *virtual)
{
    return virtual_node(tree, parent, FS_FIRMWARE_FOLDER, virtual,
                        fs_inode(parent->guest, FS_SLOT_VIRTUALS));
}

FsNode *fs_virtual_top(FsTree *tree)
{
    if (!tree->firmware_node) {
        tree->firmware_node = subtree(tree, tree->root, fs_firmware_top_tree(tree->firmware));
        fs_node_hold(tree->firmware_node);
    }
    return tree->firmware_node;
}

FsNode *fs_virtual_guest(FsTree *tree, FsNode *guest_node, const char *name)
{
    return strcmp(name, FS_FIRMWARE_FOLDER) == 0
               ? subtree(tree, guest_node, fs_firmware_guest_tree(tree->firmware))
               : NULL;
}
