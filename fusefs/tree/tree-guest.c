/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * guests/G/: vars/, the control files and links (tree-control.c), the generated subtrees, and
 * staging files that are on their way to a control file.
 */

#include <errno.h>
#include <string.h>

#include "control-private.h"
#include "folder-times.h"
#include "names.h"
#include "restore.h"

FsKeep fs_guest_fill(FsTree *tree, const FsNode *node, struct stat *ret_attr)
{
    return fs_folder_fill(tree, node, 0755, FS_FOLDER_GUEST, ret_attr);
}

static bool guest_known(FsTree *tree, FsNode *node, struct stat *ret_attr, FsKeep *ret_keep)
{
    *ret_keep = fs_guest_fill(tree, node, ret_attr);
    return true;
}

static void guest_setattr(FsOp *op)
{
    fs_folder_take_times(op, FS_FOLDER_GUEST);
    fs_op_getattr(op);
}

/* What is generated under that name, made or found; NULL: nothing. */
static FsNode *generated_child(FsTree *tree, FsNode *node, const char *name)
{
    const FsControl *control;

    if (strcmp(name, "vars") == 0)
        return fs_vars_node(tree, node->guest, node);
    control = fs_control_find(name);
    if (control)
        return fs_control_exists(control, node->guest) ? fs_control_node(tree, node, control)
                                                       : NULL;
    if (strcmp(name, FS_CHANGES_NAME) == 0)
        return fs_changes_node(tree, node);
    if (fs_trace_file_is(name))
        return fs_trace_file_node(tree, node, name);
    FsNode *view = fs_view_folder(tree, node, name);
    return view ? view : fs_virtual_guest(tree, node, name);
}

/* The child tells its own attributes: the op goes on with the child as its node. */
static void lookup_there(FsOp *op)
{
    FsNode *child = generated_child(op->tree, op->node, op->name);

    if (child)
        fs_op_reply_lookup_of(op, child);
    else
        fs_op_error(op, ENOENT);
}

/* The name of a generated file. */
static bool is_file(const char *name)
{
    return fs_control_find(name) || strcmp(name, FS_CHANGES_NAME) == 0 || fs_trace_file_is(name);
}

static void guest_lookup(FsOp *op)
{
    FsNode *made = fs_staging_child(op);

    if (made && (fs_restore_is_by(op) || !is_file(op->name))) {
        fs_op_reply_lookup_of(op, made);
        return;
    }
    if (made) /* a restore's, in a link's place: no other process is shown it */
        fs_staging_remove(op->tree, made);
    fs_restore_lookup(op, lookup_there);
}

/* The name at that place of a listing; NULL: no more. */
static const char *name_at(const FsTree *tree, size_t index)
{
    const FsControl *control;
    size_t n_controls = 0;

    if (index == 0)
        return "vars";
    while ((control = fs_control_at(n_controls))) {
        if (index == ++n_controls)
            return control->name;
    }
    index -= 1 + n_controls;
    return index == 0   ? FS_FIRMWARE_FOLDER
           : index == 1 ? FS_CHANGES_NAME
                        : fs_view_folder_at(tree, index - 2);
}

/* With the attributes that are known: sizes can take an engine's answer, which only lookups wait
 * for. false: there is no room for it. */
static bool list_child(FsOp *op, const char *name, FsNode *child, uint64_t next_offset)
{
    struct stat attr = {.st_ino = child->inode, .st_mode = child->class->type};
    FsKeep keep = FS_KEEP_NOTHING;

    if (fs_op_tells_all(op) && child->class->known &&
        child->class->known(op->tree, child, &attr, &keep))
        return fs_op_add(op, name, &attr, next_offset, child, keep);
    fs_nodes_discard(op->tree->nodes, child);
    return fs_op_add(op, name, &attr, next_offset, NULL, keep);
}

static void guest_readdir(FsOp *op)
{
    const char *name;
    bool room = fs_op_begin_directory(op);

    for (size_t i = fs_op_told_entries(op); room && (name = name_at(op->tree, i)); i++) {
        FsNode *child = generated_child(op->tree, op->node, name);
        room = !child || list_child(op, name, child, FS_FIRST_OFFSET + i);
    }
    fs_op_reply_directory(op);
}

/* Making: what is generated can be made by who restores it, and staging files by all. */

static void guest_create(FsOp *op)
{
    const FsControl *control = fs_control_find(op->name);

    if (control && control->link) {
        fs_staging_create_sink(op, false); /* tar's, until it makes the link */
    } else if (control) {
        fs_control_create(op, control);
    } else if (is_file(op->name)) {
        fs_restore_made(op);
        fs_staging_create_sink(op, true);
    } else {
        fs_staging_create(op);
    }
}

static void guest_mkdir(FsOp *op)
{
    FsNode *child = generated_child(op->tree, op->node, op->name);

    if (child && child->class->type == S_IFDIR) {
        fs_restore_made(op);
        fs_op_reply_lookup_of(op, child);
    } else {
        fs_op_error(op, EPERM);
    }
}

static void guest_symlink(FsOp *op)
{
    const FsControl *control = fs_control_find(op->name);

    if (control)
        fs_control_symlink(op, control);
    else if (fs_name_is_staging(op->name))
        fs_staging_link(op);
    else
        fs_op_error(op, EPERM);
}

/* A link is taken away by who is about to make it anew. */
static void guest_unlink(FsOp *op)
{
    FsNode *made = fs_staging_child(op);
    const FsControl *control = fs_control_find(op->name);

    if (made) {
        if (control)
            fs_restore_took_away(op);
        fs_staging_remove(op->tree, made);
        fs_op_error(op, 0);
    } else if (control && control->link) {
        fs_restore_took_away(op);
        fs_op_error(op, 0);
    } else {
        fs_op_error(op, EPERM);
    }
}

static void guest_rename(FsOp *op)
{
    FsNode *made = fs_staging_child(op);

    if (!made) {
        fs_op_error(op, EPERM);
    } else if (fs_control_find(op->new_name)) {
        fs_control_rename_onto(op, made);
    } else if (is_file(op->new_name)) {
        fs_staging_remove(op->tree, made);
        fs_op_error(op, 0);
    } else if (strcmp(op->new_name, "vars") == 0 ||
               fs_view_folder(op->tree, op->node, op->new_name) ||
               fs_virtual_guest(op->tree, op->node, op->new_name)) {
        fs_op_error(op, EPERM);
    } else {
        fs_staging_rename(op);
    }
}

static const FsNodeClass guest_class = {
    .type = S_IFDIR,
    .first = {.lookup = fs_op_need_look, .getattr = fs_op_need_look, .readdir = fs_op_need_look},
    .lookup = guest_lookup,
    .getattr = fs_op_reply_known,
    .known = guest_known,
    .setattr = guest_setattr,
    .readdir = guest_readdir,
    .create = guest_create,
    .mkdir = guest_mkdir,
    .symlink = guest_symlink,
    .unlink = guest_unlink,
    .rename = guest_rename,
    .statfs = fs_vars_statfs,
};

FsNode *fs_guest_node(FsTree *tree, FsGuest *guest)
{
    FsNode *node = fs_nodes_child(tree->nodes, tree->guests, fs_guest_name(guest));

    if (node && node->guest == guest)
        return node;
    if (node) {
        fs_tree_node_gone(tree, node, true); /* an earlier guest of that name */
    }
    node = fs_nodes_add(tree->nodes, &guest_class, tree->guests, fs_guest_name(guest),
                        fs_inode(guest, FS_SLOT_GUEST));
    fs_nodes_join_guest(node, guest, &fs_tree_guest(tree, guest)->nodes);
    return node;
}
