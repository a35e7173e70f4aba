/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A guest's store being made: what the resolver decided, and who is told when it is there. */

#include "fleet.h"
#include "instantiate.h"

/*
 * `replace`: also where there is one, which is kept as FILE.before-load. `go_on` is called when it
 * is done, with 0 or an errno; NULL: the fleet is told instead (fs_guest_prepared).
 */
void fs_making_start(FsGuest *guest, DescInstantiation *what /* takes ownership */, bool replace,
                     FsContinue go_on, void *data);
