/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A store's files on the folder's own descriptors: what folder.h falls back to, and what the keeper
 * serves. */

#include "file-ops.h"

typedef struct UvDirect UvDirect;

/* `dir_fd` is owned. The result is the data of uv_direct_ops. */
UvDirect *uv_direct_new(int dir_fd, const char *name);
void uv_direct_free(UvDirect *direct);
extern const UvFileOps uv_direct_ops;

/* Where this user will need root for it; 0 or a negative errno. */
int uv_direct_make_sidecars(UvDirect *direct, uid_t uid, gid_t gid);
bool uv_direct_is_of_others(const UvDirect *direct);
/* The folder's descriptor and that of the sidecars' (-1: not open), borrowed. */
void uv_direct_fds(const UvDirect *direct, int ret_fds[2]);

/* The store for reading, where nothing lies beside it; else negative. */
int uv_direct_open_bare(UvDirect *direct);
/* The sidecars' folder, and where a file is with that, below the store's folder; allocated. */
char *uv_direct_sidecars(const UvDirect *direct);
char *uv_direct_path(const UvDirect *direct, const char *sidecars, UvFileRole role);
