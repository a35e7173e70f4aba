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

/* Of a libvirt (libvirt-uri.h): the folder that stands for it (domain-folders.h), made; its content
 * is an earlier mount's, if that had no clean end. */
FsLocal *fs_libvirt_open(const char *source, bool read_only, GError **error);
/* /run/uefivarsfs, or $XDG_RUNTIME_DIR/uefivarsfs for an ordinary user. */
char *fs_run_folder(GError **error);
/* Made if need be, and opened (O_PATH): ours, and no other user can put anything there. `mode` 0:
 * as it is. -1 with an error. */
int fs_open_private_folder(const char *path, mode_t mode, GError **error);

/* `mountpoint` must not be SOURCE or below it. */
bool fs_local_check_mountpoint(const FsLocal *source, const char *mountpoint, GError **error);

/* Makes the folder if need be; refused while another mount has this SOURCE or this folder. */
FsSockdir *fs_sockdir_open(const FsLocal *source, const FsOptions *options, GError **error);
void fs_sockdir_free(FsSockdir *sockdir);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsSockdir, fs_sockdir_free)
/* At a clean end: takes the folder away if nothing is left in it. */
void fs_sockdir_remove(const FsSockdir *sockdir);
