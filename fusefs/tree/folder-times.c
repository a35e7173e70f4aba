/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "folder-times.h"

#include <string.h>

#include "op.h"
#include "tree-parts.h"

/* An engine's store has every change by then. */
#define COMPLETE_AFTER_NS (10 * INT64_C(1000000000))

static void fill_times(FsTree *tree, FsGuest *guest, FsFolder folder, struct stat *attr)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, guest);
    int64_t mtime_ns = fs_tree_guest_mtime_ns(guest);
    struct stat source;

    if (guest_tree->times_taken[folder])
        mtime_ns = guest_tree->taken_ns[folder];
    else if (mtime_ns < guest_tree->changed_ns + COMPLETE_AFTER_NS)
        mtime_ns = guest_tree->changed_ns;
    fs_stat_set_mtime(attr, mtime_ns);
    fs_stat_set_mtime(&source, tree->mtime_ns);
    attr->st_ctim = source.st_mtim;
}

FsKeep fs_folder_fill(FsTree *tree, const FsNode *node, mode_t access, FsFolder folder,
                      struct stat *ret_attr)
{
    if (node->guest)
        fs_tree_follow_owner(tree, node->guest);
    fs_tree_fill(tree, node, S_IFDIR | access, ret_attr);
    if (node->guest) /* it may be gone */
        fill_times(tree, node->guest, folder, ret_attr);
    return FS_KEEP_TOLD;
}

void fs_folder_changed(FsTree *tree, FsGuest *guest)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, guest);

    guest_tree->changed_ns = g_get_real_time() * 1000;
    memset(guest_tree->times_taken, 0, sizeof(guest_tree->times_taken));
    fs_tree_contents_changed(tree, guest);
}

void fs_folder_take_times(FsOp *op, FsFolder folder)
{
    FsGuestTree *guest_tree = fs_tree_guest(op->tree, op->node->guest);

    if (!(op->flags & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)))
        return;
    guest_tree->times_taken[folder] = true;
    guest_tree->taken_ns[folder] = op->flags & FUSE_SET_ATTR_MTIME_NOW
                                       ? g_get_real_time() * 1000
                                       : fs_stat_mtime_ns(&op->attr);
}
