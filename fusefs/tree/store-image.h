/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * store.img: the store's own file, of a store that is not JSON. It is what tells a backup's store
 * from another kind's: written to a guest that has none, it is that guest's store. It is taken as a
 * whole when it is closed, or renamed to. One that is there already is left as it is; another store
 * is kept as FILE.before-load.
 */

#include "op.h"

bool fs_store_image_exists(const FsGuest *guest); /* FS_NEED_LOOK */
/* `step` finds it in op->content; NULL: there is none. */
void fs_store_image_read(FsOp *op, FsStep step);
/* op->node is the guest's directory or a file in it. The errno of `failed` is in op->error. */
void fs_store_image_commit(FsOp *op, GBytes *image, FsStep done, FsStep failed);
