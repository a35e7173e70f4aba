/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of an op share: its life in op.c, its waiting in op-wait.c, its end in op-reply.c.
 */

#include "op.h"

#define DIRECTORY_BYTES_MAX (64 * 1024)

/* What is reused: of one tree. */
struct FsOpPool {
    FsOp *ops;
    uint64_t last_serial;
    char *directory; /* one is filled at a time, within one step */
    size_t directory_used;
};

/* It was replied to: its memory is another's. */
void fs_op_end(FsOp *op);
