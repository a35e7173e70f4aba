/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by tree-control.c and the control files that have files of their own. */

#include "tree-parts.h"

void fs_control_reply_attr(FsOp *op, uint64_t size, int64_t mtime_ns);
/* What is read from now on is op->content; NULL is nothing. */
void fs_control_reply_opened(FsOp *op);

/* control-store.c: what FsControl says of them. */
void fs_store_getattr(FsOp *op);
void fs_store_open(FsOp *op);
void fs_store_commit(FsOp *op, GBytes *text, FsStep done, FsStep failed);
