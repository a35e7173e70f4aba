/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The end of sidecars: of a store that is gone all but what was set aside goes at once; that, and a
 * living store's, goes when it is old.
 */

#include <glib.h>

/* Journals that were set aside, and before-load, older than so many days. How many there were. */
int uv_sidecars_expire(int sidecars_fd, const char *store, unsigned keep_days);
/*
 * What lies in the sidecars' folder of a store of the folder `dir_fd`. Nothing of a store that is
 * there, whose lock another process has or another host claims, or whose journal is not set aside.
 * How many there were, -EBUSY (one of these), or another -errno.
 */
int uv_sidecars_tidy(int dir_fd, int sidecars_fd, const char *store, unsigned keep_days);
/* The names of the stores that there are sidecars of (char *, each once); none without a folder. */
GPtrArray *uv_sidecars_stores(int sidecars_fd);
/* The same of the folder that has a folder for each store. */
GPtrArray *uv_sidecars_names(int others_fd);
