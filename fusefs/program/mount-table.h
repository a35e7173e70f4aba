/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The mount as the kernel's table has it, to be ended by who has no descriptor of it. */

typedef struct FsMount FsMount;

/* Before something is mounted there: afterwards the path can't be resolved without asking it. */
FsMount *fs_mount_new(const char *mountpoint);
/* What is mounted there now, the last if there are several, is the mount. */
void fs_mount_note(FsMount *mount);
void fs_mount_free(FsMount *mount);
/*
 * Ends it, busy or not, if it is still what is mounted there: as root, or through fusermount3 for
 * an ordinary user. It does not wait for the front that serves it.
 */
void fs_mount_end(const FsMount *mount);

#define FS_MOUNT_TYPE "fuse.uefivarsfs"
#define FS_MONITOR_NAME "uv-monitor" /* of the process */

/* Where that SOURCE (its real path) is mounted, for people: here, or where one of our processes
 * sees it. NULL: it can't be told. */
char *fs_mount_where(const char *source);
