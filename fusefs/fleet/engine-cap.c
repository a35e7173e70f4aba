/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Which guests get an engine, and which engines have to end for it.
 *
 * The cap counts engines without a guest that answer: those whose guest is connected, and hung
 * ones, are not the front's to end. At the cap the front asks the least recently used one to end;
 * the guest that wants an engine waits in fleet->wanting.
 */

#include "engine-stopped.h"
#include "fleet-private.h"

#include <errno.h>
#include <string.h>

/*
 * After a failed start there is no other one for this long; with each failure on the same store
 * twice as long, so that who connects again and again to a guest whose store can't be served costs
 * little.
 */
#define FAILURE_US G_USEC_PER_SEC
#define FAILURE_MAX_US (32 * G_USEC_PER_SEC)
/* Engines unused for so long go early when the cap comes near; those asked to end have so long. */
#define RECENT_US (100 * 1000)

static bool same_failed_store(const FsGuest *guest)
{
    return fs_identity_equal(&guest->live->failed_store, &guest->look.store);
}

void guest_start_failed(FsGuest *guest, const char *text)
{
    FsLive *live = guest_live(guest);
    bool again = live->failure_pause_us > 0 && same_failed_store(guest);

    /* A store as SOURCE that can't even be read once is the mount's failure, told there. */
    if (g_strcmp0(live->failure, text) != 0 && (*guest->name || live->filled))
        fs_guest_log(guest, "no engine: %s", text);
    char *kept = g_strdup(text);
    g_free(live->failure);
    live->failure = kept;
    live->failed_at = g_get_monotonic_time();
    live->failed_store = guest->look.store;
    live->failure_pause_us = again ? MIN(live->failure_pause_us * 2, FAILURE_MAX_US) : FAILURE_US;
    live->failures = live->outdated = 0;
    live->why = FS_START_READ;
    fs_guest_set_warning(guest, "engine", text);
    guest_fail_engine_calls(guest, EIO);
    guest_refuse_connections(guest);
}

/* The last one failed a short time ago; a host that asks waits less than a guest that connects. */
static bool failed_lately(const FsGuest *guest, FsStart why)
{
    const FsLive *live = guest->live;
    int64_t pause_us = why == FS_START_GUEST ? live->failure_pause_us : FAILURE_US;

    return live->failure && g_get_monotonic_time() - live->failed_at < pause_us &&
           (same_failed_store(guest) || why != FS_START_GUEST);
}

void fs_guest_prepared(FsGuest *guest, const GError *failure)
{
    FsLive *live = guest_live(guest);

    live->preparing = false;
    if (guest->gone)
        return;
    if (failure)
        guest_start_failed(guest, failure->message);
    else
        engine_want(guest, live->why);
    fleet_wake(guest->fleet);
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
        if (engine->guest->live->n_sent > 0)
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
        if (guest->live->engine || guest->live->n_sent == 0)
            continue;
        guest_start_engine(guest);
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

bool engines_have_room(const FsFleet *fleet)
{
    unsigned ending;

    return !fleet->wanting.head && count_idle(fleet, &ending) < MAX(fleet->options->engines, 1);
}

void engine_want(FsGuest *guest, FsStart why)
{
    FsFleet *fleet = guest->fleet;
    FsLive *live = guest_live(guest);

    live->why = MAX(live->why, why);
    if (live->preparing)
        return;
    if (live->engine) {
        if (why == FS_START_GUEST && engine_only_looks(live->engine))
            engine_end(live->engine);
        else if (why == FS_START_GUEST)
            engine_knocked(live->engine);
        return;
    }
    if (failed_lately(guest, why)) {
        guest_fail_engine_calls(guest, EIO);
        guest_refuse_connections(guest);
        return;
    }
    if (fleet->stopping || guest->gone || fleet->lost) {
        guest_fail_engine_calls(guest, EIO);
        return;
    }
    if (live->why == FS_START_GUEST) { /* it will not be one without a guest */
        guest_start_engine(guest);
        return;
    }
    if (!live->queued)
        g_queue_push_tail(&fleet->wanting, guest);
    live->queued = true;
    engines_make_room(fleet);
}

void engine_check_config(FsGuest *guest)
{
    FsEngine *engine = guest->live ? guest->live->engine : NULL;

    if (engine && engine->child && !guest_connected(guest) &&
        !(guest->look.flags & FS_LOOK_BRIEF) &&
        !fs_identity_equal(&engine->config, &guest->look.config))
        engine_end(engine);
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
        if (engine->guest->live->n_sent > 0)
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
    engines_start_again(fleet, now);
    engines_end_stopped(fleet, now);
    if (fleet->wanting.head)
        engines_make_room(fleet);
}
