/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Engines that a signal stopped; engine-stopped.c says which of them are ended. */

#include "fleet-private.h"

/* An engine that owes an answer for so long may be one. */
#define STOPPED_US (3 * G_USEC_PER_SEC / 4)

/* A guest that connects is looked after, where the engine has the guest's socket. */
void engine_watch_later(FsEngine *engine);
/* A guest connects there: is the engine at work? */
void engine_knocked(FsEngine *engine);
/* To be called again at the time that was given to fleet_due(). */
void engines_end_stopped(FsFleet *fleet, int64_t now);
