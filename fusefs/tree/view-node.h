/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What tree-view.c (folders), view-listing.c and view-files.c (files) share. A node of a view knows
 * which view it is of, and finds its path upwards. */

#include "tree-parts.h"
#include "views.h"

FsViewKind fs_view_of(const FsNode *node);
uint64_t fs_view_inode(const FsGuest *guest, FsViewKind view, const char *path);
/* The step finds the list of op->node's view in op->content. */
void fs_view_need_list(FsOp *op, FsStep step);
/* Made or found. */
FsNode *fs_view_node(FsTree *tree, FsNode *folder, const char *name);
/* A staging file becomes the file of that name in its folder. */
void fs_view_become(FsTree *tree, FsNode *staging, const char *name);
/* `entry` NULL: made, and nothing written to it yet. Returns what the kernel may keep of it. */
FsKeep fs_view_fill(FsOp *op, const FsNode *node, const FsViewEntry *entry, struct stat *attr);
/* What the front itself shows there (the profiles' names); NULL: nothing. A new reference. */
GBytes *fs_view_own_text(const FsTree *tree, FsViewKind view, const char *path);

/* view-listing.c: after fs_view_need_list() */
void fs_view_readdir(FsOp *op);

/* view-files.c */
void fs_view_file_open(FsOp *op); /* as that */
void fs_view_file_write(FsOp *op);
void fs_view_file_flush(FsOp *op);
void fs_view_file_release(FsTree *tree, FsHandle *handle);
void fs_view_file_truncate(FsHandle *handle, size_t size);
FsHandle *fs_view_handle_new(FsOp *op, FsNode *node); /* to write to what is made now */
/* `staging` is to be called op->new_name, which no file of the view is. */
void fs_view_file_rename(FsOp *op, FsNode *staging);
/* op->child is a staging file, to become op->new_name in op->node. `writable`: that file is. */
void fs_view_file_replace(FsOp *op, bool writable);
