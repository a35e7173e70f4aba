/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Engines that are started before they are asked for. A program that goes through the guests in the
 * order of their list (a grep over one file of each) waits for each engine's start, while the other
 * processors have nothing to do. So, after a few neighbours in a row that took an engine, those of
 * the next guests are started, a few at a time and not far ahead; when nothing follows, no more
 * are. They come under the cap as all others, and none is ended for them.
 */

#include "fleet-private.h"

/* So many in a row make a walk, with gaps up to that many guests, which need no engine. */
#define ROW 3
#define GAP_MAX 16
/* Of the cap, engines ahead may take this part. */
#define CAP_PART 4

static unsigned most(const FsFleet *fleet)
{
    return MIN(MAX(fleet->options->processors, 1) + 1, fleet->options->engines / CAP_PART);
}

/* What is kept beside the store did not spare this guest an engine: it will not spare the next one
 * its own. */
static bool is_alike(const FsFleet *fleet, const FsGuest *guest)
{
    return fleet->walk.kept || !(guest->look.flags & FS_LOOK_HINT);
}

static void start_ahead(FsFleet *fleet);

static void on_ready(FsGuest *guest, int error, void *data)
{
    FsFleet *fleet = data;

    fleet->walk.starting--;
    start_ahead(fleet);
}

/* Its engine will be asked for what the others on the way were. */
static void expect(FsGuest *guest)
{
    const FsWalk *walk = &guest->fleet->walk;
    FsLive *live = guest_live(guest);

    if (walk->row >= ROW && (walk->shows || walk->showed))
        live->why = MAX(live->why, FS_START_SHOW);
}

static void on_looked(FsGuest *guest, int error, void *data)
{
    FsFleet *fleet = data;

    if (guest && !error && !guest->fleet->stopping && fs_guest_has_store(guest) &&
        is_alike(fleet, guest) && !guest_replica_valid(guest) && engines_have_room(fleet)) {
        expect(guest);
        guest_need_own(guest, FS_NEED_REPLICA, on_ready, fleet);
    } else {
        on_ready(guest, error, fleet);
    }
}

/* The engines of the next guests, if a program walks there. */
static void start_ahead(FsFleet *fleet)
{
    FsWalk *walk = &fleet->walk;

    if (walk->row < ROW || fleet->stopping || fleet->lost)
        return;
    while (walk->starting < most(fleet)) {
        const guint next = fleet_index_after(fleet, MAX(walk->at, walk->ahead));

        if (next >= fleet->guests->len ||
            next >= fleet_index_after(fleet, walk->at) + 2 * most(fleet))
            return;
        FsGuest *guest = fleet->guests->pdata[next];
        walk->ahead = guest->sequence;
        walk->starting++;
        guest_need_own(guest, FS_NEED_LOOK, on_looked, fleet);
    }
}

void engines_walk(FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;
    FsWalk *walk = &fleet->walk;
    const bool follows =
        guest->sequence > walk->at &&
        fleet_index_after(fleet, guest->sequence) - fleet_index_after(fleet, walk->at) <= GAP_MAX;

    if (guest->sequence == walk->at || guest_connected(guest))
        return;
    walk->row = follows ? walk->row + 1 : 1;
    if (!follows)
        walk->ahead = 0;
    walk->at = guest->sequence;
    walk->kept = guest->look.flags & FS_LOOK_HINT;
    walk->showed = follows && walk->shows;
    walk->shows = false;
    expect(guest);
    start_ahead(fleet);
}

void engines_walk_shows(const FsGuest *guest)
{
    FsWalk *walk = &guest->fleet->walk;

    if (guest->sequence == walk->at)
        walk->shows = true;
}
