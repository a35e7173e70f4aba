/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Files of views that were removed and go only when their folder does (boot/NNNN/path: rm -r takes
 * away the files, then the folder). Until then nothing has changed, but no process is shown them;
 * who makes one again, or does not remove the folder within seconds, has it as it was.
 */

#include "op.h"

/* Each of the file at that path in the view of op->node. false: too many. */
bool fs_view_take_away(const FsOp *op, const char *path);
bool fs_view_is_away(const FsOp *op, const char *path);
/* That file, and what is below it. */
void fs_view_bring_back(const FsOp *op, const char *path);
