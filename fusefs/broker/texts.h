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
int fs_beside_write(FsPlace *place, FsText text, int memfd);
