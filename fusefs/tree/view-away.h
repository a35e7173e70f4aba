/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Files of views that were removed and go only when their folder does (boot/NNNN/path: rm -r takes
 * away the files, then the folder). Until then nothing has changed, but no process is shown them;
 * who makes one again, or does not remove the folder within seconds, has it as it was.
 */

#include "op.h"

/* false: too many. `path` is the view's name, '/', and the path in it. */
bool fs_view_take_away(FsTree *tree, FsGuest *guest, const char *path);
bool fs_view_is_away(FsTree *tree, FsGuest *guest, const char *path);
/* That file, and what is below it. */
void fs_view_bring_back(FsTree *tree, FsGuest *guest, const char *path);
