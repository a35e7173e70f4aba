/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The texts beside a store, carried as descriptors: the monitor looks into none of them. */

#include "place.h"

/* For reading; a regular file. A descriptor, or -errno (-ENOENT: there is none). `ret_stat` is its.
 */
int fs_beside_open(const FsPlace *place, FsText text, struct stat *ret_stat);
/*
 * The text becomes what the sealed memfd holds, as a whole, with the rights of who owns the folder:
 * old or new, whatever happens. 0 or -errno (-EINVAL: not a sealed memfd; -EFBIG).
 */
int fs_beside_write(const FsPlace *place, FsText text, int memfd);
/* Whether nobody can change what this memfd holds any more, and how much that is at most: 0 or
 * -errno. */
int fs_beside_check_sealed(int memfd, uint64_t max_bytes, uint64_t *ret_bytes);
