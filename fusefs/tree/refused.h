/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Every refusal of a change is told where it can be found afterwards: in last-refusal of
 * status.json, and by FS_REFUSED_XATTR of the file, or of a folder above it. What belongs to no
 * guest (mkdir guests/G) is told by the attribute alone.
 *
 * What no engine saw is put on the guest's record, too.
 *
 * A refusal is any error of an operation that would change something, but that the name or the node
 * is not there, and an interrupt. The same file's next success takes it away.
 */

#include "op.h"

/* Answered by name and never listed: an archiver would keep it, and bring it back. */
#define FS_REFUSED_XATTR "user.uefivars.refusal"

/* The op ends with that error, for op->reason or what stands for it. true: the kernel is told, when
 * who asked is known for the record. */
bool fs_refused_tell(FsOp *op, int error);
/* The op ends well. */
void fs_refused_clear(FsOp *op);
/* What was done to `node`, or to `name` in it (NULL: itself), failed when no process waited any
 * more.
 */
void fs_refused_late(FsTree *tree, const FsNode *node, const char *name, const char *operation,
                     int error, const char *text);
/* Operations of the session. */
void fs_refused_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void fs_refused_listxattr(fuse_req_t req, fuse_ino_t id, size_t size);
