/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Replicas outlive their engines, so that listing and reading start none; but ten thousand of them
 * would be half a gigabyte. Over a limit those that were used longest ago lose their contents
 * first, then all the rest, which is read again from beside the store, or asked of an engine, when
 * a request needs it.
 */

#include "fleet-private.h"

#define COLD_MAX (64u * 1024 * 1024)

void replica_warm(FsGuest *guest)
{
    FsLive *live = guest->live;

    if (!live || !live->cold)
        return;
    live->cold = false;
    guest->fleet->cold_bytes -= live->cold_bytes;
    g_queue_unlink(&guest->fleet->cold, &live->in_cold);
}

static void forget(FsGuest *guest)
{
    FsLive *live = guest->live;

    replica_warm(guest);
    if (live->filled) {
        live->filled = false;
        fs_replica_drop_contents(live->replica);
        replica_cold(guest);
        return;
    }
    live->named = false;
    fs_replica_clear(live->replica);
    g_clear_pointer(&live->status, g_bytes_unref);
    guest_forget_kept(guest);
}

void replica_cold(FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;
    FsLive *live = guest->live;

    replica_warm(guest);
    if (live->engine || !live->named)
        return;
    live->cold = true;
    live->cold_bytes =
        fs_replica_bytes(live->replica) + (live->status ? g_bytes_get_size(live->status) : 0);
    live->in_cold.data = guest;
    fleet->cold_bytes += live->cold_bytes;
    g_queue_push_tail_link(&fleet->cold, &live->in_cold);
    while (fleet->cold_bytes > COLD_MAX && fleet->cold.length > 1)
        forget(fleet->cold.head->data);
}
