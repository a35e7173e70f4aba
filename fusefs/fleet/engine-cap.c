/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Who gets an engine, and who has to give his up.
 *
 * The cap counts engines without a guest that answer: those whose guest is connected, and hung
 * ones, are not ours to end. At the cap the least recently used one is asked to end, and whoever
 * wants one waits in fleet->wanting.
 */

#include "fleet-private.h"

#include <errno.h>
#include <gio/gio.h>

/* After a failed start nobody gets another one for this long. */
#define FAILURE_US G_USEC_PER_SEC
/* Engines unused for so long go early when the cap comes near; those asked to end have so long. */
#define RECENT_US (100 * 1000)

void guest_start_failed(FsGuest *guest, const char *text)
{
    FsLive *live = guest_live(guest);

    /* A store as SOURCE that can't even be read once is the mount's failure, told there. */
    if (g_strcmp0(live->failure, text) != 0 && (*guest->name || live->filled))
        g_warning("guest %s: no engine: %s", guest->name, text);
    char *kept = g_strdup(text);
    g_free(live->failure);
    live->failure = kept;
    live->failed_at = g_get_monotonic_time();
    live->failures = 0;
    live->why = FS_START_READ;
    fs_guest_set_warning(guest, "engine", text);
    guest_fail_calls(guest, EIO);
    guest_refuse_connections(guest, text);
}

static void start_engine(FsGuest *guest)
{
    FsLive *live = guest_live(guest);
    g_autoptr(GError) error = NULL;
    FsStart why = live->why;
    pid_t pid;
    bool has_listener;

    if (!engine_spawn(guest, why, &pid, &has_listener, &error)) {
        live->preparing = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PENDING);
        if (live->preparing)
            guest_watch_listener(guest, false);
        else
            guest_start_failed(guest, error->message);
        return;
    }
    live->why = FS_START_READ;
    FsEngine *engine = engine_new(guest);
    engine->has_listener = has_listener;
    engine_attach_pid(engine, pid, true);
    if (has_listener)
        guest_watch_listener(guest, false);
    if (!engine_connect(engine))
        fleet_due(guest->fleet, engine->connected_at + RECONNECT_US);
}

void fs_guest_prepared(FsGuest *guest, const GError *failure)
{
    FsLive *live = guest_live(guest);

    live->preparing = false;
    fleet_review(guest->fleet, guest->name);
    if (guest->gone)
        return;
    guest_watch_listener(guest, true);
    if (failure)
        guest_start_failed(guest, failure->message);
    else
        engine_want(guest, live->why);
    fleet_dispatch(guest->fleet);
}

static unsigned count_idle(const FsFleet *fleet, unsigned *ret_ending)
{
    int64_t now = g_get_monotonic_time();
    unsigned idle = 0;

    *ret_ending = 0;
    for (GList *link = fleet->engines.head; link; link = link->next) {
        const FsEngine *engine = link->data;
        if (!engine->guest || guest_connected(engine->guest) ||
            engine_silent_us(engine) > SILENT_US)
            continue;
        idle++;
        *ret_ending +=
            engine->state == FS_ENGINE_ENDING && now - engine->asked_to_end_at < RECENT_US;
    }
    return idle;
}

/* Asks up to `count` engines to end, the least recently used first. */
static void end_oldest(FsFleet *fleet, unsigned count, int64_t used_before)
{
    for (GList *link = fleet->lru.head, *next; link && count > 0; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->last_used > used_before)
            break;
        if (engine->guest->live->calls.head)
            continue;
        engine_end(engine);
        count--;
    }
}

void engines_make_room(FsFleet *fleet)
{
    unsigned cap = MAX(fleet->options->engines, 1), ending;
    unsigned alive = count_idle(fleet, &ending);
    int64_t now = g_get_monotonic_time();

    while (fleet->wanting.head && alive < cap) {
        FsGuest *guest = g_queue_pop_head(&fleet->wanting);
        guest->live->queued = false;
        if (guest->live->engine || !guest->live->calls.head)
            continue;
        start_engine(guest);
        alive += guest->live->engine != NULL;
    }
    unsigned wanted = fleet->wanting.length;
    if (wanted > ending)
        end_oldest(fleet, wanted - ending, now);
    else if (alive - ending > cap - cap / 4)
        end_oldest(fleet, alive - ending - (cap - cap / 4), now - RECENT_US);
    if (wanted > 0) /* one that does not answer by then is not waited for: another is asked */
        fleet_due(fleet, now + RECENT_US);
}

void engine_want(FsGuest *guest, FsStart why)
{
    FsFleet *fleet = guest->fleet;
    FsLive *live = guest_live(guest);

    live->why = MAX(live->why, why);
    if (live->preparing)
        return;
    if (live->engine) {
        if (why == FS_START_GUEST && !live->engine->has_listener &&
            live->engine->state == FS_ENGINE_READY)
            engine_end(live->engine);
        return;
    }
    if (live->failure && g_get_monotonic_time() - live->failed_at < FAILURE_US) {
        guest_fail_calls(guest, EIO);
        guest_refuse_connections(guest, live->failure);
        return;
    }
    if (fleet->stopping || guest->gone) {
        guest_fail_calls(guest, EIO);
        return;
    }
    if (live->why == FS_START_GUEST) { /* it will not be one without a guest */
        start_engine(guest);
        return;
    }
    if (!live->queued)
        g_queue_push_tail(&fleet->wanting, guest);
    live->queued = true;
    engines_make_room(fleet);
}

static void end_idle(FsFleet *fleet, int64_t now)
{
    int64_t idle_us = fleet->options->idle_s * G_USEC_PER_SEC;

    for (GList *link = fleet->lru.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (now - engine->last_used < idle_us) {
            fleet_due(fleet, engine->last_used + idle_us);
            return;
        }
        if (engine->guest->live->calls.head)
            engine_used(engine);
        else
            engine_end(engine);
    }
}

void engines_tick(FsFleet *fleet, int64_t now)
{
    engines_receive_buffered(fleet);
    end_idle(fleet, now);
    engines_reconnect(fleet, now);
    if (fleet->wanting.head)
        engines_make_room(fleet);
}
