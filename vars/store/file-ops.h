/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How a folder reaches its files: the interface behind folder.h. Four serve it: the folder's own
 * descriptors (folder-direct.c), the keeper (keeper.c), the store's descriptor alone
 * (folder-held.c), and what tests put in between to make steps fail.
 *
 * All functions return 0 or a descriptor, or a negative errno. Roles and flags that are not among
 * the ones below are refused with -EPERM, also within one process:
 *   open    every role but CONFLICT; O_TRUNC and O_APPEND never on the store; temporary files
 *           (TEMP, META_TEMP, NEXT_BOOT_TEMP, BEFORE_LOAD, SAVED) with O_CREAT are always new ones
 *   rename  TEMP to STORE, META_TEMP to META, NEXT_BOOT_TEMP to NEXT_BOOT, RECORD to RECORD_OLD,
 *           JOURNAL to CONFLICT
 *   unlink  TEMP, META_TEMP, META, NEXT_BOOT_TEMP, NEXT_BOOT, JOURNAL, SAVED;
 *           LOCK when there is no store
 */

#include "folder.h"

typedef struct {
    int (*open)(void *data, UvFileRole role, int flags);
    /* `ret_number` is N of a conflict, 0 for other targets. */
    int (*rename)(void *data, UvFileRole from, UvFileRole to, unsigned *ret_number);
    int (*unlink)(void *data, UvFileRole role);
    int (*stat)(void *data, UvFileRole role, struct stat *ret_stat);
    void (*free)(void *data);
} UvFileOps;

/* The present way, for a way put in front of it. */
const UvFileOps *uv_folder_ops(const UvFolder *folder, void **ret_data);
/* From now on this way; `data` is given to ops->free (which may be NULL) with the folder. */
void uv_folder_set_ops(UvFolder *folder, const UvFileOps *ops, void *data);
