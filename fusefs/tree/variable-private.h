/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by tree-variable.c and variable-write.c. */

#include "tree-parts.h"

/* Inside a step that has the replica. NULL: the variable is not there. */
const FsEntry *fs_variable_entry(const FsNode *node);

/* variable-write.c: what the class says of it. */
void fs_variable_write(FsOp *op);
void fs_variable_flush(FsOp *op);
void fs_variable_release(FsTree *tree, FsHandle *handle);
