/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Making, removing and renaming guests. Each is 0 or -errno. */

#include "place.h"

/* A folder with an empty config.json, SOURCE's owner's from its first moment on. */
int fs_edit_make(const FsLocal *source, const char *guest);
/* -ENOTEMPTY: something else is there that would be lost, or become this guest. */
int fs_edit_remove(const FsLocal *source, const char *guest);
/*
 * Its store, sidecars, config.json and folder get the name. -EEXIST: that is a guest; -EBUSY: a
 * journal lies there, which belongs to the store's name: its engine must end first.
 */
int fs_edit_rename(const FsLocal *source, const char *guest, const char *to);
/*
 * The journal of a store that is gone, to a name under which no engine looks for one; `file` is
 * what made it a guest. -ENOENT: there is none. `ret_path` is where it is now (allocated).
 */
int fs_edit_set_aside(const FsLocal *source, const char *guest, const char *file, char **ret_path);
int fs_edit_set_aside_at(const FsPlace *place, char **ret_path);
