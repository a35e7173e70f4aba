/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is left of stores that are gone, or was set aside long ago (sidecars-tidy.h). */

#include "place.h"

/* Of a guest that is none any more, whatever its store was called. Does nothing to a store that is
 * there, or that an engine has. */
void fs_tidy_guest(const FsLocal *source, const char *guest, unsigned keep_days);
/* What was set aside of this store, and is old. */
void fs_tidy_expire(const FsPlace *place, unsigned keep_days);
/* Of all stores that there are sidecars of in SOURCE itself, in a process of its own. */
void fs_tidy_all(const FsLocal *source, unsigned keep_days);
