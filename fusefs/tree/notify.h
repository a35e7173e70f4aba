/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The one other thread: it tells the kernel to forget names.
 *
 * notify_inval_entry waits for the directory's lock, which a request that is being answered may
 * hold: from the main loop it would deadlock with ourselves. So the loop goes on meanwhile, and
 * what the thread has not done yet does no harm: an operation on a node that is gone answers
 * ESTALE, and the kernel looks the name up again. Only where a file is open its attributes are
 * told, and its name would seem to be there still: who deleted it by a write gets its answer
 * afterwards.
 *
 * It is there only while it has something to do: system calls of a process with one thread are
 * cheaper, and removals by a guest are rare.
 */

#include <stdint.h>

struct fuse_session;
typedef struct FsNotify FsNotify;

FsNotify *fs_notify_new(struct fuse_session *session);
void fs_notify_forget_name(FsNotify *notify, uint64_t parent_id, const char *name);
/* Calls `told` once, when the kernel has forgotten all names so far: at once if it has, else from
 * the main loop; at the latest in fs_notify_free(). */
void fs_notify_when_forgotten(FsNotify *notify, void (*told)(void *data), void *data);
/* Waits a moment for the thread; one that is stuck in the kernel is left behind with its memory. */
void fs_notify_free(FsNotify *notify);
