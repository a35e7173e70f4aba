/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Engines that outlived an earlier front. Each host socket found in the sockdir is connected to;
 * who answers is adopted with its guest, and gives the guest's listening socket back. Nothing is
 * waited for: until an engine says its HELLO its guest's requests are parked, like those of any
 * engine that starts. What nobody answers on is taken away.
 */

#include "fleet-private.h"

#include <string.h>

static void adopt(FsFleet *fleet, FsGuest *guest)
{
    FsEngine *engine = engine_new(guest);
    engine->has_listener = true;
    guest->away = true;
    if (engine_connect(engine)) {
        g_message("guest %s: found its engine running", guest->name);
        return;
    }
    /* Nobody there: an ordinary start when it is wanted. */
    guest->away = false;
    engine_gone(engine);
    guest->live->failures = 0;
}

static void visit(uint64_t hash, const char *suffix, void *data)
{
    FsFleet *fleet = data;
    FsGuest *guest = fleet_by_hash(fleet, hash);

    if (!guest) { /* of a guest that is no more */
        if (strcmp(suffix, ".host") != 0)
            fs_sockdir_unlink(fleet->sockdir, hash, suffix);
        return;
    }
    if (strcmp(suffix, ".host") == 0)
        adopt(fleet, guest);
}

void adopt_engines(FsFleet *fleet)
{
    fs_sockdir_each(fleet->sockdir, visit, fleet);
}
