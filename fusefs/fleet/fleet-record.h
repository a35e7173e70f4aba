/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Within the fleet: what the front has to do with guests' records, which their engines write. */

#include "fleet-private.h"

/* record.c */
/* It has been greeted; if the guest's record is followed. */
void engine_follow_record(FsEngine *engine);
void guest_record_grew(FsGuest *guest);

/* refused-here.c */
/* It is ready. */
void engine_tell_refused(FsEngine *engine);
void guest_untold_clear(FsGuest *guest);
