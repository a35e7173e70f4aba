/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The FUSE session as a source of the main context, and the signals that end it. */

#include <stdbool.h>

#include "tree.h"

typedef struct FsSession FsSession;

/* Mounts. NULL with an error that names the mount point. */
FsSession *fs_session_new(FsTree *tree, void *fuse_args, GMainContext *context, GError **error);
/* Serves until the kernel has shaken hands; false: it went away before. */
bool fs_session_wait_usable(FsSession *session);
/* Serves until it is unmounted or a signal asks for the end. */
void fs_session_run(FsSession *session);
void fs_session_unmount(FsSession *session);
void fs_session_free(FsSession *session);
