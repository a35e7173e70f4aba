/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The lock between engines, and the end of what lies beside a store that is gone. The lock file is
 * removed with the rest then, by who has the lock: so whoever gets the lock looks whether it is
 * still on the file of that name.
 */

#include "folder.h"

/*
 * The lock file, made if need be and locked; tried for `wait_ms`. -1 with what uv_folder_open()
 * says, or with what uv_store_take_lock() does; `name` is for that message.
 */
int uv_store_lock(UvFolder *folder, const char *name, unsigned wait_ms, GError **error);
/* Lets go of it, the keeper's copy included, and closes it; does nothing for -1, which it then is.
 */
void uv_store_unlock(int *lock_fd);
/*
 * If the store is gone, and no journal is left of it: lock, times, changes that wait for its guest
 * and what says that this was saved go too, and the folder that they were in, if it is empty then.
 * The lock must not be held by this engine; does nothing if another one has it.
 */
void uv_store_tidy(UvFolder *folder);
