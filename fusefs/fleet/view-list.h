/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The files of a view (boot/, secure-boot/, next-boot/) as an engine lists them: u32 count, {u32
 * mode, u64 size, path as text}, in wire.h's words. The engine may be taken over, so a list is
 * looked at once, as a whole, and kept as it came: ten thousand of them are small so.
 */

#include <glib.h>
#include <stdbool.h>

#include "bytes.h"

typedef struct {
    uint32_t mode; /* S_IFREG or S_IFDIR, and permissions */
    uint64_t size_bytes;
    const char *path; /* relative to the view; not terminated */
    size_t path_bytes;
} FsViewEntry;

typedef struct {
    UvReader reader;
} FsViewWalk;

/* Whether it is one: complete; regular files and folders; paths of names that a folder can have,
 * in UTF-8 without control characters. */
bool fs_view_list_check(GBytes *list);

/* Of a list that was checked, and outlives the walk. */
void fs_view_walk_init(FsViewWalk *walk, GBytes *list);
bool fs_view_walk_next(FsViewWalk *walk, FsViewEntry *ret_entry);

/* The file or folder of that path; false: none. */
bool fs_view_list_find(GBytes *list, const char *path, FsViewEntry *ret_entry);
/* The name in that folder ("": the view itself) of the entry, or of what the entry lies in
 * (`ret_deeper`; NULL: that is not asked for), for the caller to free; NULL: it is not in that
 * folder. */
char *fs_view_entry_name_in(const FsViewEntry *entry, const char *folder, bool *ret_deeper);
