/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where a store's sidecars are: ".uefivarsfs/STORE/" beside it, one folder for each store.
 *
 * That folder is its store's owner's and 0700, so stores of different owners can lie in one folder:
 * nobody reads, plants or swaps a sidecar of somebody else's store. The folder around them, 0711,
 * belongs to whom all of it is; as soon as there is a store of another than the folder's owner it
 * is root's. Where a store was given to somebody else (libvirt does so when a guest starts and
 * ends) root gives him its sidecars, too.
 */

#include <stdbool.h>
#include <sys/types.h>

#define UV_SIDECARS ".uefivarsfs"

/* The store's folder of sidecars, to be closed; for reading if we may, else O_PATH. A negative
 * errno: -ENOENT if there is none. */
int uv_sidecars_open(int dir_fd, const char *store);
/* As uv_sidecars_open(), made if need be, durably by name; root gives it to this user. */
int uv_sidecars_make(int dir_fd, const char *store, uid_t uid, gid_t gid);
/* Whether this user needs no root for uv_sidecars_make(). */
bool uv_sidecars_may_make(int dir_fd, const char *store, uid_t uid, gid_t gid);

/* For reading if we may, else O_PATH; a negative errno. */
int uv_open_dir(int dir_fd, const char *path, int extra_flags);
/* Makes what happened to names in a folder durable; 0 or a negative errno. */
int uv_sync_names(int dir_fd);
