/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A guest that is being restored by the program that made its folder (cp -a, tar x).
 *
 * Such a program expects to find nothing in the folder that it has just made, and fails where a
 * name is taken: it makes files, folders and links that must not be there yet. But a guest has all
 * its files from the start. So for that program (its thread, as the kernel tells it) a name that it
 * has not made yet is not there while it is in a call that makes one; for everybody else, and in
 * each other call, it is.
 *
 * It also writes in whatever order it finds the files, and in pieces. A variable is set when its
 * file is closed; one that can't be set by itself (keys, and what is derived from them) comes with
 * store.json or store.img, and is a warning until then.
 */

#include "op.h"

/* Who asks has made the guest. */
void fs_restore_begin(FsOp *op, FsGuest *guest);
/* Who asks has taken a link away, op->name in op->node: it is there for all others still. */
void fs_restore_took_away(FsOp *op);
/* Who asks has taken away op->name, and not made it again. */
bool fs_restore_took(const FsOp *op);
void fs_restore_free(FsRestore *restore);
/* Who asks is the program that restores the guest of op->node. */
bool fs_restore_is_by(const FsOp *op);
/* Of op->name in op->node, which is there: `there`, or ENOENT to who is about to make it. (For
 * others nothing has to be waited for.) */
void fs_restore_lookup(FsOp *op, FsStep there);
/* op->name in op->node was made. */
void fs_restore_made(FsOp *op);
/* A variable was refused with op->error: true if that is no loss, or may be put right by what is
 * still to come. */
bool fs_restore_forgives(FsOp *op, GBytes *content);
/* A whole store came: what was refused before is in it. */
void fs_restore_store_came(FsGuest *guest);
