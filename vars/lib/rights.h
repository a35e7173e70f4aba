/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whose rights a process of root's uses on files: those of the owner of the folder that a file lies
 * in, for as long as it works there. So what a user put into a folder is opened, made and renamed
 * with that user's rights, and what is made there is that user's. In a process that is not root's
 * this changes nothing.
 *
 * The kernel takes the capabilities on files away with the file system's user id, for this thread
 * only; the process has given up supplementary groups, and has one thread.
 */

#include <sys/types.h>

/* What to go back to. */
typedef struct {
    uid_t uid;
    gid_t gid;
} UvRights;

/* `uid` root: root's rights. Aborts if the kernel does not do it: there is nothing to fall back
 * on. */
UvRights uv_rights_take(uid_t uid, gid_t gid);
/* Those of the owner of this folder. */
UvRights uv_rights_take_of(int folder_fd);
/* What this process had before it took any. */
UvRights uv_rights_take_own(void);
void uv_rights_restore(UvRights *rights);

/* Until the end of the scope. */
#define uv_rights_scope __attribute__((cleanup(uv_rights_restore), unused)) UvRights
