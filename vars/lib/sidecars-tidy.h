/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The end of sidecars: of a store that is gone all but what was set aside goes at once; that, and a
 * living store's, goes when it is old. All with the rights of the folders' owners (rights.h).
 */

/* What was set aside (journals, before-load) of a store in this folder of sidecars more than so
 * many days ago. What no engine had the lock of has nothing there; the rights are the caller's. */
void uv_sidecars_expire(int sidecars_fd, const char *store, unsigned keep_days);
/* All that is left of a store. Of one that is there, whose lock another process has or another host
 * claims, or whose journal is not set aside, what is old. */
void uv_sidecars_tidy(int dir_fd, const char *store, unsigned keep_days);
/* The same of all stores that there are sidecars of. */
void uv_sidecars_tidy_all(int dir_fd, unsigned keep_days);
