/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A store that nothing lies beside, opened before its engine was confined and read through that
 * descriptor alone: behind folder.h, for an engine that changes nothing. It needs no keeper.
 */

#include "file-ops.h"

typedef struct UvHeld UvHeld;

/* Takes the store's descriptor; freed by the operations. */
UvHeld *uv_held_new(int store_fd);
extern const UvFileOps uv_held_ops;
