/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Who waits in poll(2) or select(2) for a file of a guest to grow. The kernel asks once more when
 * it is told, and gets the answer then: telling too often costs a question and no more.
 */

#include "op.h"

/* A poll request; `poll` is taken. */
void fs_op_poll(FsOp *op, struct fuse_pollhandle *poll /* NULL: the asker does not wait */);
/* op->poll, if there is one, waits from now on in place of what waited through the same handle. */
void fs_poller_wait(FsOp *op);
void fs_poller_clear(FsTree *tree, FsHandle *handle);
/* All that wait for files of the guest are told, and wait no more. Safe inside a request. */
void fs_pollers_tell(FsGuestTree *guest_tree);
