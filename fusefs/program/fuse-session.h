/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The FUSE session and the main context, served in one loop. */

#include <stdbool.h>

#include "tree.h"

typedef struct FsSession FsSession;

/* Mounts. NULL with an error that names the mount point. */
FsSession *fs_session_new(FsTree *tree, void *fuse_args, const char *mountpoint, GError **error);
/* Serves until the kernel has shaken hands; false: it went away before. */
bool fs_session_wait_usable(FsSession *session);
/* Serves until it is unmounted or the monitor asks for the end. */
void fs_session_run(FsSession *session);
/* In the front, before anything waits there: its own loop. A SIGTERM of its own ends it as one of
 * its monitor's does. */
bool fs_session_begin(FsSession *session, GError **error);
int fs_session_fd(const FsSession *session);
/* The mount itself is ended by the monitor. */
void fs_session_free(FsSession *session);
