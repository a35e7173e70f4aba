/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The times of guests/G/ and of its vars/. They are as old as the last change of the store: that of
 * its file, or of the last change that the front saw, since some seconds after a change the engine
 * writes the file anew, and an archiver that is at work in the folder would take that for a change.
 * A time that a program set (rsync, cp, tar) is kept until the next change or unmount. The change
 * time is the mount's: reading a folder may finish its store, and moves nothing.
 */

#include "tree-parts.h"

/* All attributes of such a folder; `access`: its mode at most. Returns what the kernel may keep. */
FsKeep fs_folder_fill(FsTree *tree, const FsNode *node, mode_t access, FsFolder folder,
                      struct stat *ret_attr);

/* A variable of that guest changed: what the kernel was told of its folders counts no more. */
void fs_folder_changed(FsTree *tree, FsGuest *guest);

/* setattr of the folder: its times are taken, modes and owners are accepted and ignored. */
void fs_folder_take_times(FsOp *op, FsFolder folder);
