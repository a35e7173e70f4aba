/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the fleet tells its caller, when it tells it, and its clock. Everything is queued where it
 * happens and delivered from here, in the main loop: entries that changed, calls that are finished,
 * guests that are gone, guests that are new, in that order.
 */

#include "fleet-private.h"

#define NEVER INT64_MAX

typedef struct {
    FsGuest *guest;
    char *name;
    FsEntryEvent event;
} FsEntryChange;

static void change_free(FsEntryChange *change)
{
    g_free(change->name);
    g_free(change);
}

void fleet_wake(FsFleet *fleet)
{
    fleet->woken = true;
}

void fleet_due(FsFleet *fleet, int64_t monotonic)
{
    fleet->due_at = MIN(fleet->due_at, monotonic);
}

void fleet_entry_changed(FsGuest *guest, const char *name, FsEntryEvent event)
{
    if (!guest->fleet->events.entry_changed)
        return;
    FsEntryChange *change = g_new0(FsEntryChange, 1);
    change->guest = guest;
    change->name = g_strdup(name);
    change->event = event;
    g_queue_push_tail(&guest->fleet->changes, change);
    fleet_wake(guest->fleet);
}

static void deliver_changes(FsFleet *fleet)
{
    FsEntryChange *change;
    while ((change = g_queue_pop_head(&fleet->changes))) {
        if (!change->guest->gone)
            fleet->events.entry_changed(change->guest, change->name, change->event,
                                        fleet->events_data);
        change_free(change);
    }
}

static void deliver_added(FsFleet *fleet)
{
    FsGuest *guest;
    while ((guest = g_queue_pop_head(&fleet->added))) {
        if (fleet->started)
            guest_listen(guest);
        if (fleet->events.guest_added)
            fleet->events.guest_added(guest, fleet->events_data);
    }
}

static void deliver_retired(FsFleet *fleet)
{
    FsGuest *guest;
    while ((guest = g_queue_pop_head(&fleet->retired))) {
        if (fleet->events.guest_removed)
            fleet->events.guest_removed(guest, fleet->events_data);
        guest->retired = true;
        if (guest->holds == 0)
            guest_free(guest);
    }
}

void fleet_dispatch(FsFleet *fleet)
{
    GList *link;

    fleet->woken = false;
    do {
        deliver_changes(fleet);
        /* One at a time: each may queue more. */
        if ((link = g_queue_pop_head_link(&fleet->done)))
            call_deliver(link->data);
    } while (link || fleet->changes.head);
    deliver_retired(fleet); /* after the calls that knew them, before others of the same name */
    deliver_added(fleet);
}

static void tick(FsFleet *fleet)
{
    int64_t now = g_get_monotonic_time();

    fleet->due_at = NEVER;
    calls_expire(fleet, now);
    searches_tick(fleet, now);
    looks_tick(fleet, now);
    listeners_tick(fleet, now);
    engines_tick(fleet, now);
    traces_tick(fleet, now);
}

/* The loop asks before and after it waits. A source's own ready time would wake the loop up each
 * time that it is set, which is several times a request, from within the loop. */

typedef struct {
    GSource base;
    FsFleet *fleet;
} Clock;

static gboolean clock_check(GSource *source)
{
    const FsFleet *fleet = ((Clock *)source)->fleet;

    return fleet->woken || fleet->due_at <= g_get_monotonic_time();
}

static gboolean clock_prepare(GSource *source, gint *timeout_ms)
{
    const int64_t due_at = ((Clock *)source)->fleet->due_at;

    if (due_at != NEVER)
        *timeout_ms = (gint)CLAMP((due_at - g_get_monotonic_time() + 999) / 1000, 0, G_MAXINT);
    return clock_check(source);
}

static gboolean clock_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    FsFleet *fleet = ((Clock *)source)->fleet;

    if (fleet->due_at <= g_get_monotonic_time())
        tick(fleet);
    fleet_dispatch(fleet);
    return G_SOURCE_CONTINUE;
}

void deliver_start(FsFleet *fleet)
{
    static GSourceFuncs funcs = {
        .prepare = clock_prepare, .check = clock_check, .dispatch = clock_dispatch};

    fleet->due_at = NEVER;
    fleet->clock = g_source_new(&funcs, sizeof(Clock));
    ((Clock *)fleet->clock)->fleet = fleet;
    g_source_set_can_recurse(fleet->clock, TRUE); /* as in poll-set.c */
    g_source_attach(fleet->clock, fleet->context);
}

void deliver_stop(FsFleet *fleet)
{
    GList *link;

    g_queue_clear(&fleet->added);
    g_queue_clear_full(&fleet->changes, (GDestroyNotify)change_free);
    while ((link = g_queue_pop_head_link(&fleet->done)))
        call_deliver(link->data);
}
