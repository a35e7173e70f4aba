/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The keeper: a small process that touches files for a confined engine.
 *
 * Forked before the confinement. It holds the descriptors of one store's folder and answers four
 * fixed questions about fixed roles (file-ops.h) over a socket pair; it is told no name, and looks
 * into nothing (a journal that is set aside it copies). It gives everything else up: all other
 * descriptors, its name (comm and argv are "uv-keeper"), its parent's death or EOF ends it. It
 * keeps a copy of the lock file's descriptor, that is the same open file description as the
 * engine's: while it may still rename something, no other engine gets the lock.
 */

#include "file-ops.h"

typedef struct UvKeeper UvKeeper;

/*
 * Forks. `keep_fds` (n_keep of them, the folder first) stay open in the child, where `ops` is
 * served with `data`, once `hook` (or NULL) has confined it. The reply to this call is a handle for
 * uv_keeper_ops, NULL with errno set if it could not be made.
 */
UvKeeper *uv_keeper_fork(const UvFileOps *ops, void *data, const int *keep_fds, size_t n_keep,
                         UvFolderHook hook, void *hook_data);
/* The engine's side; `data` is the UvKeeper, freeing it ends the process and waits for it. */
extern const UvFileOps uv_keeper_ops;
/* Its end of the socket hangs up when the keeper is gone. */
int uv_keeper_fd(const UvKeeper *keeper);
/* For tests, which end it: nothing else tells which process it is. */
int uv_keeper_pid(const UvKeeper *keeper);
