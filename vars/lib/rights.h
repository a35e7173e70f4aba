/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whose rights the monitor uses on files: as root, those of the owner of the folder that a file
 * lies in, for as long as it works there. So what a user put into a folder is opened, made and
 * renamed with that user's rights, and what the monitor makes there is that user's. A monitor that
 * is not root's changes nothing.
 *
 * The kernel takes the capabilities on files away with the file system's user id, for this thread
 * only; supplementary groups were given up when the monitor started.
 */

#include <sys/types.h>

/* What to go back to. */
typedef struct {
    uid_t uid;
    gid_t gid;
} FsRights;

/* `uid` root: root's rights. Aborts if the kernel does not do it: there is nothing to fall back
 * on. */
FsRights fs_rights_take(uid_t uid, gid_t gid);
/* Those of the owner of this folder. */
FsRights fs_rights_take_of(int folder_fd);
void fs_rights_restore(FsRights *rights);

/* Until the end of the scope. */
#define fs_rights_scope __attribute__((cleanup(fs_rights_restore), unused)) FsRights
