/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is opened before there is a mount, and a monitor: SOURCE, and the folder of its sockets with
 * the locks that keep a second mount away.
 */

#include "local.h"
#include "options.h"
#include "sockets.h"

FsLocal *fs_local_open(const char *path, GError **error);
void fs_local_free(FsLocal *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsLocal, fs_local_free)
/* `mountpoint` must not be SOURCE or below it. */
bool fs_local_check_mountpoint(const FsLocal *source, const char *mountpoint, GError **error);

/* Makes the folder if need be; refused while another mount has this SOURCE or this folder. */
FsSockdir *fs_sockdir_open(const FsLocal *source, const FsOptions *options, GError **error);
void fs_sockdir_free(FsSockdir *sockdir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsSockdir, fs_sockdir_free)
/* At a clean end: takes the folder away if nothing is left in it. */
void fs_sockdir_remove(const FsSockdir *sockdir);
