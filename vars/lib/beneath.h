/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Opening files beneath a folder without following links, except links that root owns. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* `path`: components below `folder_fd`, no "..". O_CLOEXEC is added. A descriptor, or -errno
 * (-ELOOP: a link that is not root's). */
int fs_beneath_open(int folder_fd, const char *path, int flags, mode_t mode);
/*
 * Follows root's links as long as `*name` in `*fd` is one: `*fd` and `*name` are replaced by the
 * folder and the name of what it means. An absent file is fine. 0 or -errno.
 */
int fs_beneath_resolve(int *fd, char **name);
