/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * boot/, secure-boot/ and next-boot/ in a guest's directory: what its engine makes of its
 * variables, as files (views.h). Nothing of it is kept here. The folders themselves are always
 * there and cost no engine; what is in them is listed by one, once for each state of the store.
 *
 * The kernel keeps no names of files in them but for a moment after a listing, nor attributes for
 * longer: a write to one file changes others. Besides there are staging files, not listed.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "folder-times.h"
#include "names.h"
#include "profiles.h"
#include "restore.h"
#include "view-away.h"
#include "view-node.h"

static const FsViewKind kinds[FS_VIEWS] = {FS_VIEW_BOOT, FS_VIEW_SECURE_BOOT, FS_VIEW_NEXT_BOOT};
static const FsNodeClass view_class;

FsViewKind fs_view_of(const FsNode *node)
{
    return *(const FsViewKind *)node->data;
}

static bool is_top(const FsNode *node)
{
    return node->parent->data != node->data;
}

uint64_t fs_view_inode(const FsGuest *guest, FsViewKind view, const char *path)
{
    g_autofree char *whole = g_strconcat(fs_view_name(view), "/", path, NULL);

    return fs_inode(guest, FS_SLOT_VIRTUAL + (g_str_hash(whole) >> 1));
}

FsNode *fs_view_node(FsTree *tree, FsNode *folder, const char *name)
{
    g_autofree char *path = fs_node_child_path(folder, name);

    return fs_nodes_make(tree->nodes, &view_class, folder, name,
                         fs_view_inode(folder->guest, fs_view_of(folder), path), folder->data);
}

void fs_view_become(FsTree *tree, FsNode *staging, const char *name)
{
    g_autofree char *path = fs_node_child_path(staging->parent, name);

    fs_staging_become(tree, staging, &view_class, name,
                      fs_view_inode(staging->guest, fs_view_of(staging->parent), path));
    staging->data = staging->parent->data;
    staging->existed = true;
    fs_tree_invalidate(tree, staging);
}

/* next-boot/ keeps what is written under that name, which nothing has now. */
static bool keeps(FsViewKind view, const char *path)
{
    char spelling[UV_FILE_NAME_MAX + 1];
    const char *name = strrchr(path, '/');

    if (view != FS_VIEW_NEXT_BOOT || !name)
        return false;
    if (g_str_has_prefix(path, "vars/"))
        return fs_name_canonical(path + strlen("vars/"), spelling);
    return strcmp(path, "secure-boot/enroll") == 0 || strcmp(name, "/append") == 0 ||
           strcmp(name, "/replace") == 0;
}

GBytes *fs_view_own_text(const FsTree *tree, FsViewKind view, const char *path)
{
    return view == FS_VIEW_SECURE_BOOT && strcmp(path, "enroll") == 0
               ? fs_profiles_list(tree->options->keys)
               : NULL;
}

/* Attributes */

/* What is only written to reads as nothing, so that no archiver stumbles over it. */
FsKeep fs_view_fill(FsOp *op, const FsNode *node, const FsViewEntry *entry, struct stat *attr)
{
    const bool folder = entry && S_ISDIR(entry->mode);
    const bool writable = !entry || entry->mode & 0222;
    g_autofree char *path = fs_node_path(node);
    g_autoptr(GBytes) own = fs_view_own_text(op->tree, fs_view_of(node), path);

    fs_tree_fill(op->tree, node, folder ? S_IFDIR | 0777 : S_IFREG | (writable ? 0666 : 0444),
                 attr);
    if (!folder && entry)
        attr->st_size = (off_t)(own ? g_bytes_get_size(own) : entry->size_bytes);
    attr->st_blocks = (attr->st_size + 511) / 512;
    fs_stat_set_mtime(attr, fs_guest_view_mtime_ns(node->guest, fs_view_of(node)));
    if (folder && fs_view_of(node) == FS_VIEW_SECURE_BOOT) /* they are always there */
        return FS_KEEP_TOLD;
    return entry ? FS_KEEP_LOOKED_UP : FS_KEEP_NOTHING;
}

void fs_view_need_list(FsOp *op, FsStep step)
{
    fs_op_view_read(op, fs_view_of(op->node), "", step);
}

/* Of op->node, in the list that op->content is. */
static bool find_self(const FsOp *op, FsViewEntry *ret_entry)
{
    g_autofree char *path = fs_node_path(op->node);

    return fs_view_list_find(op->content, path, ret_entry);
}

static void getattr_ready(FsOp *op)
{
    FsViewEntry entry;
    bool there = find_self(op, &entry);
    struct stat attr;

    if (!there && op->node->existed) {
        fs_tree_node_gone(op->tree, op->node, true);
        fs_op_error(op, ESTALE);
        return;
    }
    const FsKeep keep = fs_view_fill(op, op->node, there ? &entry : NULL, &attr);
    fs_op_reply_attr(op, &attr, keep);
}

static bool view_known(FsTree *tree, FsNode *node, struct stat *ret_attr, FsKeep *ret_keep)
{
    if (is_top(node))
        *ret_keep = fs_folder_fill(tree, node, 0777, FS_FOLDER_VIEWS, ret_attr);
    return is_top(node);
}

static void view_getattr(FsOp *op)
{
    if (is_top(op->node))
        fs_op_need(op, FS_NEED_LOOK, fs_op_reply_known);
    else
        fs_view_need_list(op, getattr_ready);
}

/* Modes, owners and times are accepted and ignored, but for the folders' times. */
static void view_setattr(FsOp *op)
{
    if (op->flags & FUSE_SET_ATTR_SIZE && op->handle)
        fs_view_file_truncate(op->handle, (size_t)op->attr.st_size);
    if (is_top(op->node))
        fs_folder_take_times(op, FS_FOLDER_VIEWS);
    view_getattr(op);
}

/* Looking up and listing */

static void reply_found(FsOp *op, const char *path, const FsViewEntry *entry)
{
    FsNode *child = fs_view_node(op->tree, op->node, op->name);
    struct stat attr;

    child->existed = true;
    if (S_ISREG(entry->mode) && entry->mode & 0444)
        fs_guest_view_expect(op->node->guest, fs_view_of(child), path);
    const FsKeep keep = fs_view_fill(op, child, entry, &attr);
    fs_op_reply_entry(op, child, &attr, keep);
}

static void lookup_ready(FsOp *op)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);
    FsNode *child = fs_nodes_child(op->tree->nodes, op->node, op->name);
    FsNode *made = fs_staging_child(op);
    FsViewEntry entry;
    struct stat attr;

    if (fs_view_list_find(op->content, path, &entry) && !fs_view_is_away(op, path)) {
        if (made) /* by a restore, before it was there */
            fs_staging_remove(op->tree, made);
        reply_found(op, path, &entry);
    } else if (made) {
        fs_op_reply_lookup_of(op, made);
    } else if (child && !child->existed && child->opens > 0) {
        fs_view_fill(op, child, NULL, &attr);
        fs_op_reply_entry(op, child, &attr, FS_KEEP_NOTHING);
    } else {
        if (child)
            fs_tree_node_gone(op->tree, child, true);
        fs_op_error(op, ENOENT);
    }
}

static void lookup_there(FsOp *op)
{
    fs_view_need_list(op, lookup_ready);
}

/* Who restores the guest finds what it has made, and not what it is about to make. */
static void view_lookup(FsOp *op)
{
    FsNode *made = fs_staging_child(op);

    if (made && fs_restore_is_by(op))
        fs_op_reply_lookup_of(op, made);
    else
        fs_restore_lookup(op, lookup_there);
}

/* Making and removing */

/* By who has removed it. */
static void create_again(FsOp *op, const char *path, const FsViewEntry *entry)
{
    FsHandle *handle;
    FsNode *child;
    struct stat attr;

    fs_view_bring_back(op, path);
    fs_restore_made(op);
    child = fs_view_node(op->tree, op->node, op->name);
    child->existed = true;
    handle = fs_view_handle_new(op, child);
    handle->made_again = true;
    fs_view_fill(op, child, entry, &attr);
    fs_op_reply_create(op, child, &attr, handle);
}

static void create_there(FsOp *op, const char *path, const FsViewEntry *entry)
{
    if ((fs_view_is_away(op, path) || fs_restore_took(op)) && entry->mode & 0222)
        create_again(op, path, entry);
    else /* looked up again, and opened */
        fs_op_error(op, op->file.flags & O_EXCL ? EEXIST : ESTALE);
}

static void create_ready(FsOp *op)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);
    FsNode *child = fs_nodes_child(op->tree->nodes, op->node, op->name);
    FsViewEntry entry;
    struct stat attr;

    if (fs_view_list_find(op->content, path, &entry)) {
        create_there(op, path, &entry);
        return;
    }
    if (!keeps(fs_view_of(op->node), path) || (child && child->class != &view_class)) {
        fs_staging_create(op);
        return;
    }
    child = fs_view_node(op->tree, op->node, op->name);
    child->existed = false;
    fs_view_fill(op, child, NULL, &attr);
    fs_op_reply_create(op, child, &attr, fs_view_handle_new(op, child));
}

/* A restore brings the variables themselves: what was made of them is dropped. */
static void view_create(FsOp *op)
{
    if (fs_restore_is_by(op) && op->file.flags & O_EXCL) {
        fs_restore_made(op);
        fs_staging_create_sink(op, true);
    } else {
        fs_view_need_list(op, create_ready);
    }
}

static void act(FsOp *op, FsViewAct what, FsStep step, FsStep or_else)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);

    fs_op_view_act(op, fs_view_of(op->node), what, path, NULL, step, or_else);
}

/* Who makes it again must not find it, though the guest's engine always has a file of that name. */
static void removed(FsOp *op)
{
    FsNode *child = fs_nodes_child(op->tree->nodes, op->node, op->name);

    fs_restore_took_away(op);
    if (child)
        fs_tree_node_gone(op->tree, child, false); /* the kernel drops the name itself */
    fs_op_error(op, 0);
}

/* It goes with its folder, or it can't be removed. */
static void not_removed(FsOp *op)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);

    if (op->error == EINPROGRESS && fs_view_take_away(op, path))
        removed(op);
    else
        fs_op_error(op, op->error == EINPROGRESS ? EBUSY : op->error);
}

static void view_unlink(FsOp *op)
{
    FsNode *made = fs_staging_child(op);

    if (made) {
        fs_staging_remove(op->tree, made);
        fs_op_error(op, 0);
    } else {
        act(op, FS_VIEW_REMOVE, removed, not_removed);
    }
}

static void view_rmdir(FsOp *op)
{
    g_autofree char *path = fs_node_child_path(op->node, op->name);

    fs_view_bring_back(op, path); /* gone with it, or there again */
    act(op, FS_VIEW_RMDIR, removed, NULL);
}

static void made(FsOp *op)
{
    fs_view_need_list(op, lookup_ready);
}

static void view_mkdir(FsOp *op)
{
    if (fs_restore_is_by(op)) {
        fs_restore_made(op);
        fs_staging_folder(op);
    } else {
        act(op, FS_VIEW_MKDIR, made, NULL);
    }
}

/* Only a staging file can be renamed. */
static void view_rename(FsOp *op)
{
    FsNode *staging = fs_nodes_child(op->tree->nodes, op->node, op->name);
    g_autofree char *path = fs_node_child_path(op->node, op->new_name);
    FsViewEntry entry;
    bool there = fs_view_list_find(op->content, path, &entry);

    if (!staging || staging->class != &fs_staging_class || (there && S_ISDIR(entry.mode))) {
        fs_op_error(op, EPERM);
    } else if (!there && !keeps(fs_view_of(op->node), path)) {
        fs_view_file_rename(op, staging);
    } else if (there && op->flags & RENAME_NOREPLACE) {
        fs_op_error(op, EEXIST);
    } else {
        fs_view_bring_back(op, path);
        op->child = staging;
        fs_node_hold(staging);
        fs_view_file_replace(op, !there || entry.mode & 0222);
    }
}

static const FsNodeClass view_class = {
    .type = S_IFDIR, /* of the folder; what a file is the list says */
    .first = {.open = fs_view_need_list, .readdir = fs_view_need_list, .rename = fs_view_need_list},
    .lookup = view_lookup,
    .getattr = view_getattr,
    .known = view_known,
    .setattr = view_setattr,
    .open = fs_view_file_open,
    .read = fs_op_reply_snapshot,
    .write = fs_view_file_write,
    .flush = fs_view_file_flush,
    .release = fs_view_file_release,
    .readdir = fs_view_readdir,
    .create = view_create,
    .mkdir = view_mkdir,
    .unlink = view_unlink,
    .rmdir = view_rmdir,
    .rename = view_rename,
    .statfs = fs_vars_statfs,
};

/* The folders in guests/G/ */

const char *fs_view_folder_at(const FsTree *tree, size_t index)
{
    return tree->options->views && index < FS_VIEWS ? fs_view_name(kinds[index]) : NULL;
}

FsNode *fs_view_folder(FsTree *tree, FsNode *guest_node, const char *name)
{
    for (size_t i = 0; i < FS_VIEWS && tree->options->views; i++) {
        if (strcmp(fs_view_name(kinds[i]), name) == 0)
            return fs_nodes_make(tree->nodes, &view_class, guest_node, name,
                                 fs_inode(guest_node->guest, FS_SLOT_VIEWS + i), &kinds[i]);
    }
    return NULL;
}
