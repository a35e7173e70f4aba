/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A small file replaced as a whole: written aside, in the same folder, then renamed. A process that
 * opens it sees all of the old content or all of the new. (A variable store, which keeps its
 * attributes, has replace-store.h.)
 */

#include <stddef.h>
#include <sys/types.h>

/* What is there after a crash of the machine. */
typedef enum {
    UV_REPLACE_LAZY,    /* the old content, the new, or an empty file: its reader checks it */
    UV_REPLACE_DURABLE, /* the new content, once this has returned 0 */
} UvReplaceDurability;

/* For `uid` and `gid`: the file stays its writer's. */
#define UV_REPLACE_OWNER_NONE ((uid_t)-1), ((gid_t)-1)

/*
 * `name` and `temporary` are plain names in the folder; a temporary file that a crash left is
 * removed. The file is 0600 and, where root runs this, `uid`'s and `gid`'s. 0, or -errno: the old
 * file is then as it was and the temporary one is gone (after a failed sync of the folder, with
 * UV_REPLACE_DURABLE, the new one is there).
 */
int uv_replace_file(int dir_fd, const char *name, const char *temporary, const void *bytes,
                    size_t size, uid_t uid, gid_t gid, UvReplaceDurability durability);
