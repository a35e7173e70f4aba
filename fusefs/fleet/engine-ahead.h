/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Engines that are started before they are asked for. */

#include "fleet.h"

/* A program goes through the guests in their list's order, and each takes an engine. */
typedef struct {
    uint64_t at;       /* sequence of the last one */
    uint64_t ahead;    /* ... of the last one whose engine was wanted before; 0: none */
    unsigned row;      /* of neighbours so far */
    unsigned starting; /* engines wanted before they are asked for that are not ready yet */
    bool kept;         /* beside the last one's store something was kept, and did not serve */
    bool shows;        /* the last one's device paths are looked at */
    bool showed;       /* ... those of the one before it were */
} FsWalk;

/* A request needs the guest's engine. */
void engines_walk(FsGuest *guest);
/* ... and one that shows device paths. */
void engines_walk_shows(const FsGuest *guest);

/* engine-cap.c's: one more would wait for none to end. */
bool engines_have_room(const FsFleet *fleet);
