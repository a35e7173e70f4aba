/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the fleet tells its caller, when it tells it, and its clock. Everything is queued where it
 * happens and delivered from here, in the main loop: entries that changed, calls that are finished,
 * guests that are gone, guests that are new, in that order.
 */

#include "fleet-private.h"

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
    g_source_set_ready_time(fleet->dispatcher, 0);
}

void fleet_due(FsFleet *fleet, int64_t monotonic)
{
    int64_t now = g_source_get_ready_time(fleet->timer);
    if (now < 0 || monotonic < now)
        g_source_set_ready_time(fleet->timer, monotonic);
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
        if (guest->asked == 0)
            guest_free(guest);
    }
}

void fleet_dispatch(FsFleet *fleet)
{
    GList *link;

    g_source_set_ready_time(fleet->dispatcher, -1);
    do {
        deliver_changes(fleet);
        /* One at a time: each may queue more. */
        if ((link = g_queue_pop_head_link(&fleet->done)))
            call_deliver(link->data);
    } while (link || fleet->changes.head);
    deliver_retired(fleet); /* after the calls that knew them, before others of the same name */
    deliver_added(fleet);
}

static gboolean on_dispatch(void *data)
{
    fleet_dispatch(data);
    return G_SOURCE_CONTINUE;
}

static gboolean on_timer(void *data)
{
    FsFleet *fleet = data;
    int64_t now = g_get_monotonic_time();

    g_source_set_ready_time(fleet->timer, -1);
    calls_expire(fleet, now);
    searches_tick(fleet, now);
    looks_tick(fleet, now);
    listeners_tick(fleet, now);
    engines_tick(fleet, now);
    traces_tick(fleet, now);
    fleet_dispatch(fleet);
    return G_SOURCE_CONTINUE;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    return callback(data);
}

static GSource *add_source(FsFleet *fleet, GSourceFunc function)
{
    static GSourceFuncs funcs = {.dispatch = source_dispatch};
    GSource *source = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(source, function, fleet, NULL);
    g_source_attach(source, fleet->context);
    return source;
}

void deliver_start(FsFleet *fleet)
{
    fleet->dispatcher = add_source(fleet, on_dispatch);
    fleet->timer = add_source(fleet, on_timer);
}

void deliver_stop(FsFleet *fleet)
{
    GList *link;

    g_queue_clear(&fleet->added);
    g_queue_clear_full(&fleet->changes, (GDestroyNotify)change_free);
    while ((link = g_queue_pop_head_link(&fleet->done)))
        call_deliver(link->data);
}
