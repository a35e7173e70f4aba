/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is known of a guest's files: how current it is, when it is asked for, and who is told. */

#include "fleet.h"
#include "source.h"

/* Known well enough for `needs`, without asking. */
bool guest_look_current(const FsGuest *guest, unsigned needs);
void guest_ask_look(FsGuest *guest);
/* Something happened to what it tells: the next request has another. */
void guest_is_stale(FsGuest *guest);
/* What was told of the guest's files may not hold any longer. */
void guest_tell_changed(FsGuest *guest);
/* Something happened that may make or end the guest. */
void guest_look_again(FsGuest *guest);
void looks_tick(FsFleet *fleet, int64_t now);
/* The number that look_done must reach so that the look is not older than now. */
uint32_t guest_next_look(FsGuest *guest);
/* The guest is looked at: the next ones of the list, too, if the last ones were. */
void guest_look_ahead(const FsGuest *guest);
/* Nothing in the brief look (one of a list) says that what is known is no more so. */
bool looks_agree(const FsGuestLook *known, const FsLook *brief);
