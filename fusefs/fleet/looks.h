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
/* The guest is looked at: the next ones of the list, too, if the last ones were (looks-ahead.c). */
void guest_look_ahead(const FsGuest *guest);
/* It is asked about: those after the ones that were looked at ahead, if it is far among them. */
void guest_look_further(const FsGuest *guest);

/* Of guest_ask_look(), in parts: a look is under way from now on; the question that it takes for
 * one guest; and it is here. */
void guest_begin_look(FsGuest *guest);
void guest_ask_alone(FsGuest *guest);
void guest_take_look(FsGuest *guest, const FsAnswer *answer);
/* Nothing in the brief look (one of a list) says that what is known is no more so. */
bool looks_agree(const FsGuestLook *known, const FsLook *brief);
