/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How large the export of a store was, beside the store (`.uefivarsfs/NAME.export`): so that the
 * size of store.json is known without an engine after a remount, for stores that are not JSON
 * themselves. It counts while the store's file is the same; it is never needed for anything else,
 * and a failure to keep it is no error.
 */

#include <sys/stat.h>

#include "fleet.h"

/* false: none is known for the store as `store` tells it. */
bool fs_export_hint_read(const FsGuest *guest, const struct stat *store, size_t *ret_bytes);
void fs_export_hint_write(const FsGuest *guest, const struct stat *store, size_t bytes);
