/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How large the export of a store was, beside the store (FS_TEXT_HINT): so that the size of
 * store.json is known without an engine after a remount, for stores that are not JSON themselves.
 * It counts while the store's file is the same; it is never needed for anything else, and a failure
 * to keep it is no error.
 */

#include "fleet.h"

/* false: none is known for the store as the guest's look tells it. FS_NEED_HINT is current. */
bool fs_export_hint_read(const FsGuest *guest, size_t *ret_bytes);
void fs_export_hint_write(FsGuest *guest, size_t bytes);
