/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Guests' sockets, on which the fleet waits for guests that have no engine. */

#include "fleet.h"

void guest_listen(FsGuest *guest);
void guest_watch_listener(FsGuest *guest); /* where it has no engine */
/* A connection will be told, if none is told now; also beside an engine. */
void guest_watch_quiet_listener(FsGuest *guest);
/* A connection came: the socket is not watched any more. */
void guest_knocked(FsGuest *guest);
/* The engine had the socket, and has given it back (taken). */
void guest_take_listener(FsGuest *guest, int fd);
/* Tells who waits on the socket why there is no engine. */
void guest_refuse_connections(FsGuest *guest);
void listeners_tick(FsFleet *fleet, int64_t now);
void listen_in_background(FsFleet *fleet);
