/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A guest's store being made, in a thread of its own that sees nothing of the fleet: copying an
 * image or running qemu-img must stall nobody.
 */

#include "firmware.h"
#include "fleet.h"
#include "instantiate.h"

/*
 * `go_on` is called from the main loop when it is done, with 0 or an errno; NULL: the fleet is told
 * instead (fs_guest_prepared). false: it was not even started, and nobody is called.
 */
bool fs_making_start(FsFirmware *firmware, FsGuest *guest,
                     DescInstantiation *what /* takes ownership */, FsContinue go_on, void *data,
                     GError **error);
/* The errno that a GError of files stands for; EIO where none fits. */
int fs_error_number(const GError *error);
