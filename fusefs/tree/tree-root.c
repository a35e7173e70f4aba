/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The root of a mounted directory, and guests/ in it. Nothing here starts an engine. */

#include <errno.h>
#include <string.h>

#include "restore.h"
#include "tree-parts.h"

/* The root: a table of directories. */

static void root_fill(FsTree *tree, const FsNode *node, struct stat *attr)
{
    fs_tree_fill(tree, node, S_IFDIR | 0777, attr);
    fs_stat_set_mtime(attr, tree->mtime_ns);
}

static void root_getattr(FsOp *op)
{
    struct stat attr;
    root_fill(op->tree, op->node, &attr);
    fs_op_reply_attr(op, &attr, FS_KEEP_FOLDER);
}

/* Times, modes and owners are accepted and ignored. */
static void root_setattr(FsOp *op)
{
    root_getattr(op);
}

/* The nodes of the root's directories stay for the life of the mount. */
static FsNode *root_child_at(FsTree *tree, size_t index)
{
    return index == 0 ? tree->guests : index == 1 ? fs_virtual_top(tree) : NULL;
}

static void root_lookup(FsOp *op)
{
    struct stat attr;
    FsNode *child;

    for (size_t i = 0; (child = root_child_at(op->tree, i)); i++) {
        if (strcmp(child->name, op->name) == 0) {
            root_fill(op->tree, child, &attr);
            fs_op_reply_entry(op, child, &attr, FS_KEEP_FOLDER);
            return;
        }
    }
    fs_op_error(op, ENOENT);
}

static void root_readdir(FsOp *op)
{
    FsNode *child;
    struct stat attr;
    bool room = fs_op_begin_directory(op);

    for (size_t i = fs_op_told_entries(op); room && (child = root_child_at(op->tree, i)); i++) {
        root_fill(op->tree, child, &attr);
        room = fs_op_add(op, child->name, &attr, FS_FIRST_OFFSET + i, child, FS_KEEP_FOLDER);
    }
    fs_op_reply_directory(op);
}

static const FsNodeClass root_class = {
    .type = S_IFDIR,
    .lookup = root_lookup,
    .getattr = root_getattr,
    .setattr = root_setattr,
    .readdir = root_readdir,
};

/* guests/: offsets are the guests' sequences. */

static void guests_lookup(FsOp *op)
{
    FsNode *child = fs_guest_node(op->tree, op->found);
    struct stat attr;
    const FsKeep keep = fs_guest_fill(op->tree, child, &attr);

    fs_op_reply_entry(op, child, &attr, keep);
}

static void readdir_ready(FsOp *op)
{
    FsTree *tree = op->tree;
    uint64_t after = fs_op_told_entries(op);
    FsGuest *guest;
    bool room = fs_op_begin_directory(op);

    while (room && (guest = fs_fleet_next(tree->fleet, after))) {
        struct stat attr = {.st_ino = fs_inode(guest, FS_SLOT_GUEST), .st_mode = S_IFDIR};
        FsKeep keep = FS_KEEP_NOTHING;
        FsNode *child = NULL;

        after = fs_guest_sequence(guest);
        if (op->plus && fs_guest_look_serves(guest)) {
            child = fs_guest_node(tree, guest);
            keep = fs_guest_fill(tree, child, &attr);
        }
        room = fs_op_add(op, fs_guest_name(guest), &attr, FS_FIRST_OFFSET + after - 1, child, keep);
    }
    fs_op_reply_directory(op);
}

/* The kernel asks for attributes with the first names (`plus`), and with others only where a
 * process has asked for those: who wants names only does not wait for looks at many. */
static void guests_readdir(FsOp *op)
{
    const bool looks = op->offset > 0 && op->plus && fs_fleet_has_many(op->tree->fleet);

    if (op->offset > 0 && !looks)
        readdir_ready(op);
    else
        fs_op_need_list(op, looks, readdir_ready);
}

static void guests_mkdir(FsOp *op)
{
    fs_restore_begin(op, op->found);
    guests_lookup(op);
}

static void guests_rename(FsOp *op)
{
    op->child = fs_guest_node(op->tree, op->found);
    fs_node_hold(op->child);
    fs_op_rename_guest(op);
}

static void guests_rmdir(FsOp *op)
{
    op->child = fs_guest_node(op->tree, op->found);
    fs_node_hold(op->child);
    fs_op_remove_guest(op);
}

static const FsNodeClass guests_class = {
    .type = S_IFDIR,
    .first = {.lookup = fs_op_find_guest,
              .mkdir = fs_op_make_guest,
              .rmdir = fs_op_find_guest,
              .rename = fs_op_find_guest},
    .lookup = guests_lookup,
    .getattr = root_getattr,
    .setattr = root_setattr,
    .readdir = guests_readdir,
    .mkdir = guests_mkdir,
    .rmdir = guests_rmdir,
    .rename = guests_rename,
};

FsNode *fs_root_node(FsTree *tree)
{
    FsNode *root = fs_nodes_add(tree->nodes, &root_class, NULL, "", fs_inode(NULL, FS_SLOT_ROOT));

    tree->guests =
        fs_nodes_add(tree->nodes, &guests_class, root, "guests", fs_inode(NULL, FS_SLOT_GUESTS));
    fs_node_hold(tree->guests);
    return root;
}
