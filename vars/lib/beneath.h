/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Opening files beneath a folder without following links, except links that root owns. */

#include "names.h"
#include "rights.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A file or folder, found or opened, and what it was then. */
typedef struct {
    int fd; /* negative: none, or -errno */
    struct stat st;
} UvPinned;

#define UV_PINNED_NONE                                                                             \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Takes the descriptor, or the -errno, for what there was. 0 or -errno. */
int uv_pinned_take(UvPinned *pinned, int fd);
/* Takes the rights of this folder's owner (rights.h); of none, those of a user who owns nothing. */
UvRights uv_rights_take_at(const UvPinned *folder);

/*
 * A process that must not wait stays on the mounts that its descriptors are of: the server
 * of another one (a FUSE file system, one far away) may never answer. What would lead there is
 * -EXDEV then, from all functions here, before a server is asked. What it was before.
 */
bool fs_beneath_stay(bool stay);

/* What is none of these names (borrowed; they serve), is not looked for in this folder, and
 * -ENOENT. NULL: no longer. */
void fs_beneath_know(int folder_fd, const UvNames *names);

/* `path`: components below `folder_fd`, no "..". O_CLOEXEC is added. A descriptor, or -errno
 * (-ELOOP: a link that is not root's). */
int fs_beneath_open(int folder_fd, const char *path, int flags, mode_t mode);
/*
 * Follows root's links as long as `*name` in `*fd` is one: `*fd` and `*name` are replaced by the
 * folder and the name of what it means. An absent file is fine. 0 or -errno.
 */
int fs_beneath_resolve(int *fd, char **name);

/* As openat(2), links and all, where the process stays; O_CLOEXEC is added. */
int fs_beneath_openat(int folder_fd, const char *path, int flags);
/* The file itself, also a link, pinned (O_PATH), and what it is, for what was pinned. 0 or -errno.
 */
int fs_beneath_pin(int folder_fd, const char *name, UvPinned *pinned);
/* Only what it is. 0 or -errno. */
int fs_beneath_stat(int folder_fd, const char *name, struct stat *ret_stat);
/* What a descriptor with O_PATH stands for, opened; never waits for a lease or a FIFO's other end.
 * A descriptor or -errno. */
int fs_beneath_reopen(int found_fd, int flags);
/* What was pinned and is a regular file, for reading; closes it. A descriptor or -errno (-EINVAL:
 * something else). */
int fs_beneath_read_pinned(UvPinned *pinned);
/* For reading, if it is a regular file, no link; `ret_stat` is its. A descriptor or -errno
 * (-EINVAL: something else). Nothing else is ever opened. */
int fs_beneath_read(int folder_fd, const char *name, struct stat *ret_stat);
