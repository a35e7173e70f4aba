/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * vars/: a guest's variables as the replica has them, and two kinds of files that are only here:
 * staging files, and zero-length files of variables that are not set yet (dropped at last close).
 * Neither is listed. Offsets are the entries' sequences.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "folder-times.h"
#include "names.h"
#include "restore.h"
#include "tree-parts.h"
#include "wire.h"

static const char hidden[] = "programs act on what is in that variable: it is not shown here";
static const char out_of_view[] = "it is there, but the guest's OS does not see it";

static bool is_hidden(const FsTree *tree, const char *name)
{
    return fs_name_is_hidden(name, tree->options->guest_view);
}

/* With view=guest only what the guest's OS sees. */
static bool is_visible(const FsTree *tree, const FsEntry *entry)
{
    if (tree->options->guest_view && !(entry->attributes & EFI_VARIABLE_RUNTIME_ACCESS))
        return false;
    return !is_hidden(tree, entry->name);
}

static bool vars_known(FsTree *tree, FsNode *node, struct stat *ret_attr, FsKeep *ret_keep)
{
    *ret_keep = fs_folder_fill(tree, node, 0777, FS_FOLDER_VARS, ret_attr);
    return true;
}

/* Looking up */

/* The visible entry of that name. `ret_name` gets its spelling, or "" if no variable can have that
 * name. Inside a step that has the replica. */
static const FsEntry *find_entry(const FsTree *tree, const FsNode *vars, const char *name,
                                 char ret_name[UV_FILE_NAME_MAX + 1])
{
    const FsReplica *replica = fs_guest_replica(vars->guest);
    const FsEntry *entry;

    if (!fs_name_fold(name, ret_name)) {
        ret_name[0] = '\0';
        return NULL;
    }
    entry = fs_replica_lookup(replica, ret_name);
    if (!entry && fs_name_canonical(name, ret_name))
        entry = fs_replica_lookup(replica, ret_name);
    return entry && is_visible(tree, entry) ? entry : NULL;
}

/* The hashed child: a variable's node if the kernel has one, a zero-length or a staging file. */
static FsNode *find_child(const FsTree *tree, const FsNode *vars, const char *spelling,
                          const char *name)
{
    return fs_nodes_child(tree->nodes, vars, spelling[0] ? spelling : name);
}

static void lookup_there(FsOp *op)
{
    char spelling[UV_FILE_NAME_MAX + 1];
    const FsEntry *entry = find_entry(op->tree, op->node, op->name, spelling);
    FsNode *child;
    struct stat attr;

    if (!entry) { /* gone meanwhile */
        fs_op_error(op, ENOENT);
        return;
    }
    child = fs_variable_node(op->tree, op->node, entry->name);
    fs_variable_fill(op->tree, child, entry, &attr);
    fs_op_reply_entry(op, child, &attr, FS_KEEP_ALL);
}

static void vars_lookup(FsOp *op)
{
    char spelling[UV_FILE_NAME_MAX + 1];
    const FsEntry *entry = find_entry(op->tree, op->node, op->name, spelling);
    FsNode *child;
    struct stat attr;

    if (entry) {
        fs_restore_lookup(op, lookup_there);
        return;
    }
    child = find_child(op->tree, op->node, spelling, op->name);
    if (child && child->class == &fs_staging_class) {
        fs_staging_fill(op->tree, child, &attr);
        fs_op_reply_entry(op, child, &attr, FS_KEEP_NOTHING);
    } else if (child && !child->existed) {
        fs_variable_fill(op->tree, child, NULL, &attr);
        fs_op_reply_entry(op, child, &attr, FS_KEEP_NOTHING);
    } else {
        if (child)
            fs_tree_node_gone(op->tree, child, true);
        fs_op_error(op, ENOENT);
    }
}

/* Listing */

static bool list_entry(FsOp *op, const FsEntry *entry)
{
    struct stat attr = {.st_mode = S_IFREG};
    FsNode *child = NULL;

    attr.st_ino = fs_inode(op->node->guest, FS_SLOT_VARIABLES + entry->sequence);
    if (op->plus) {
        child = fs_variable_node(op->tree, op->node, entry->name);
        fs_variable_fill(op->tree, child, entry, &attr);
    }
    return fs_op_add(op, entry->name, &attr, FS_FIRST_OFFSET + entry->sequence - 1, child,
                     FS_KEEP_ALL);
}

static void vars_readdir(FsOp *op)
{
    const FsReplica *replica = fs_guest_replica(op->node->guest);
    uint64_t after = fs_op_told_entries(op);
    const FsEntry *entry;
    bool room = fs_op_begin_directory(op);

    while (room && (entry = fs_replica_next(replica, after))) {
        after = entry->sequence;
        room = !is_visible(op->tree, entry) || list_entry(op, entry);
    }
    fs_op_reply_directory(op);
}

/* Creating: an empty file that no SetVariable was made for yet, or a staging file */

static void reply_created(FsOp *op, FsNode *child, const FsEntry *entry)
{
    FsHandle *handle = fs_handle_new(op->tree, child);
    struct stat attr;

    fs_variable_collect(op, handle);
    fs_restore_made(op);
    fs_variable_fill(op->tree, child, entry, &attr);
    fs_op_reply_create(op, child, &attr, handle);
}

static void vars_create(FsOp *op)
{
    char spelling[UV_FILE_NAME_MAX + 1];
    const FsEntry *entry = find_entry(op->tree, op->node, op->name, spelling);
    FsNode *child;

    if (!fs_name_canonical(op->name, spelling)) {
        fs_staging_create(op);
        return;
    }
    if (is_hidden(op->tree, spelling)) {
        fs_op_refuse(op, EPERM, hidden);
        return;
    }
    if (!entry && fs_replica_lookup(fs_guest_replica(op->node->guest), spelling)) {
        fs_op_refuse(op, EROFS, out_of_view);
        return;
    }
    child = fs_nodes_child(op->tree->nodes, op->node, spelling);
    if (entry || child) {
        if (op->file.flags & O_EXCL && !fs_restore_is_by(op)) {
            fs_op_error(op, EEXIST);
            return;
        }
        child = fs_variable_node(op->tree, op->node, spelling);
        if (fs_variable_is_immutable(op->tree, child) && (op->file.flags & O_ACCMODE) != O_RDONLY) {
            fs_op_refuse(op, EPERM, fs_variable_immutable);
            return;
        }
    } else {
        child = fs_variable_node(op->tree, op->node, spelling);
    }
    reply_created(op, child, entry);
}

/* Removing */

static void unlink_done(FsOp *op)
{
    int error = op->error;

    op->child->unlinking = false;
    if (error && error != ENOENT) {
        fs_op_error(op, error);
        return;
    }
    /* The kernel drops the name itself. */
    fs_tree_node_gone(op->tree, op->child, false);
    fs_op_error(op, 0);
}

static void vars_unlink(FsOp *op)
{
    char spelling[UV_FILE_NAME_MAX + 1];
    const FsEntry *entry = find_entry(op->tree, op->node, op->name, spelling);
    FsNode *child;

    if (!entry) {
        child = find_child(op->tree, op->node, spelling, op->name);
        if (!child) {
            fs_op_error(op, ENOENT);
        } else if (child->class == &fs_staging_class) {
            fs_staging_remove(op->tree, child);
            fs_op_error(op, 0);
        } else {
            fs_tree_node_gone(op->tree, child, false);
            fs_op_error(op, 0);
        }
        return;
    }
    child = fs_variable_node(op->tree, op->node, entry->name);
    fs_node_hold(child);
    op->child = child;
    if (fs_variable_is_immutable(op->tree, child)) {
        fs_op_refuse(op, EPERM, fs_variable_immutable);
        return;
    }
    child->unlinking = true;
    fs_op_set(op, child->name, NULL, UV_HOST_SET_DELETE, 0, unlink_done, unlink_done);
}

/* Renaming: only a staging file can be, onto a variable's name or another staging name. */

static void rename_done(FsOp *op)
{
    const FsEntry *entry = fs_replica_lookup(fs_guest_replica(op->node->guest), op->new_name);

    /* No entry: what was set deleted the variable. The node is an empty file then, and gone. */
    fs_staging_become(op->tree, op->child, &fs_variable_class, op->new_name,
                      entry ? fs_inode(op->node->guest, FS_SLOT_VARIABLES + entry->sequence)
                            : op->child->inode);
    op->child->existed = true;
    fs_tree_invalidate(op->tree, op->child);
    if (!entry)
        fs_tree_node_gone(op->tree, op->child, true);
    fs_op_error(op, 0);
}

static void rename_is_set(FsOp *op)
{
    const FsEntry *entry = fs_replica_lookup(fs_guest_replica(op->node->guest), op->new_name);

    /* What was there already keeps its time where nothing changed; rsync wants the one it set. */
    if (entry && op->mtime_ns && entry->mtime_ns != op->mtime_ns)
        fs_op_touch(op, op->new_name, op->mtime_ns, rename_done, rename_done);
    else
        rename_done(op);
}

static void rename_set_done(FsOp *op)
{
    fs_op_need_replica(op, rename_is_set);
}

static void vars_rename(FsOp *op)
{
    FsNode *staging = fs_nodes_child(op->tree->nodes, op->node, op->name);
    char spelling[UV_FILE_NAME_MAX + 1];
    const FsEntry *entry;
    FsNode *target;

    if (!staging || staging->class != &fs_staging_class) {
        fs_op_error(op, EPERM);
        return;
    }
    entry = find_entry(op->tree, op->node, op->new_name, spelling);
    if (!fs_name_canonical(op->new_name, spelling)) {
        fs_staging_rename(op);
        return;
    }
    target = fs_nodes_child(op->tree->nodes, op->node, spelling);
    if (is_hidden(op->tree, spelling)) {
        fs_op_refuse(op, EPERM, hidden);
    } else if (target && fs_variable_is_immutable(op->tree, target)) {
        fs_op_refuse(op, EPERM, fs_variable_immutable);
    } else if (!entry && fs_replica_lookup(fs_guest_replica(op->node->guest), spelling)) {
        fs_op_refuse(op, EROFS, out_of_view);
    } else if (entry && (op->flags & RENAME_NOREPLACE)) {
        fs_op_error(op, EEXIST);
    } else {
        uint32_t flags = op->flags & RENAME_NOREPLACE ? UV_HOST_SET_EXCLUSIVE : 0;
        int error;
        g_strlcpy(op->new_name, spelling, sizeof(op->new_name));
        op->child = staging;
        fs_node_hold(staging);
        op->mtime_ns = fs_staging_mtime(staging);
        op->content = fs_staging_content(staging);
        error = fs_variable_check(op->tree, op->node->guest, op->content);
        if (error)
            fs_op_error(op, error);
        else
            fs_op_set(op, op->new_name, op->content, flags, op->mtime_ns, rename_set_done, NULL);
    }
}

/* Storage, as QueryVariableInfo tells it */

static void statfs_ready(FsOp *op)
{
    fs_op_reply_statfs(op, op->node->guest ? fs_guest_usage(op->node->guest) : NULL);
}

static void statfs_failed(FsOp *op)
{
    fs_op_reply_statfs(op, NULL);
}

void fs_vars_statfs(FsOp *op)
{
    fs_op_try(op, FS_NEED_REPLICA, statfs_ready, statfs_failed);
}

static void vars_setattr(FsOp *op)
{
    if (op->node->guest)
        fs_folder_take_times(op, FS_FOLDER_VARS);
    fs_op_getattr(op);
}

static const FsNodeClass vars_class = {
    .type = S_IFDIR,
    .first = {.lookup = fs_op_need_names,
              .getattr = fs_op_need_look,
              .readdir = fs_op_need_names,
              .create = fs_op_need_replica,
              .unlink = fs_op_need_replica,
              .rename = fs_op_need_replica},
    .lookup = vars_lookup,
    .getattr = fs_op_reply_known,
    .known = vars_known,
    .setattr = vars_setattr,
    .readdir = vars_readdir,
    .create = vars_create,
    .unlink = vars_unlink,
    .rename = vars_rename,
    .statfs = fs_vars_statfs,
};

static void vars_node_freed(void *data)
{
    FsNode **place = data;
    *place = NULL;
}

FsNode *fs_vars_node(FsTree *tree, FsGuest *guest, FsNode *parent)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, guest);

    if (!guest_tree->vars) {
        FsNode *node =
            fs_nodes_add(tree->nodes, &vars_class, parent, "vars",
                         parent ? fs_inode(guest, FS_SLOT_VARS) : fs_inode(NULL, FS_SLOT_ROOT));
        if (!parent)
            fs_nodes_join_guest(node, guest, &guest_tree->nodes);
        guest_tree->vars = node;
        node->data = &guest_tree->vars;
        node->data_free = vars_node_freed;
    }
    return guest_tree->vars;
}

/* Changes by the other door */

void fs_vars_entry_changed(FsTree *tree, FsNode *vars, const char *name, FsEntryEvent event)
{
    FsNode *node = fs_nodes_child(tree->nodes, vars, name);
    const FsEntry *entry;

    if (!node || node->class != &fs_variable_class)
        return;
    if (event == FS_ENTRY_REMOVED) {
        fs_variable_set_immutable(tree, node, fs_variable_default_immutable(tree, node->name));
        if (node->existed && !node->unlinking)
            fs_tree_node_gone(tree, node, true);
        return;
    }
    entry = fs_replica_lookup(fs_guest_replica(vars->guest), name);
    fs_variable_changed(tree, node, entry);
}
