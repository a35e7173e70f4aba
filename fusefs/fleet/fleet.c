/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A fleet's beginning and end. */

#include "fleet-private.h"

#include "hash.h"

#include <errno.h>

#define STOP_ASK_US (5 * G_USEC_PER_SEC)
/* An engine may refuse: a process connected that may be a guest. */
#define STOP_AGAIN_US (200 * 1000)

static void on_told(const FsAnswer *tell, int fds[FS_QUESTION_FDS], void *data)
{
    FsFleet *fleet = data;
    FsGuest *guest = fleet_guest(fleet, tell->guest);

    switch (tell->kind) {
    case FS_TELL_GUESTS:
        fleet_list_guests(fleet, tell, fds[0]);
        break;
    case FS_TELL_KNOCK:
        if (guest)
            guest_knocked(guest);
        break;
    case FS_TELL_WATCH:
        follow_folder(fleet, tell);
        break;
    case FS_TELL_FOUND:
        fleet_adopt(fleet, tell, fds);
        break;
    case FS_TELL_DETACHED:
        g_free(fleet->detached);
        fleet->detached = *tell->text ? g_utf8_make_valid(tell->text, -1) : NULL;
        break;
    case FS_TELL_STOP:
        if (fleet->events.stopped)
            fleet->events.stopped(fleet->events_data);
        break;
    }
    fleet_wake(fleet);
}

static void on_lost(void *data)
{
    FsFleet *fleet = data;

    fleet->lost = true;
    searches_stop(fleet);
    if (fleet->events.stopped)
        fleet->events.stopped(fleet->events_data);
}

static FsFleet *fleet_alloc(FsSource *source, const FsFleetOptions *options, GMainContext *context)
{
    FsFleet *fleet = g_new0(FsFleet, 1);

    fleet->source = source;
    fleet->reach = source->facts.reach;
    fleet->options = options;
    fleet->context = context ? g_main_context_ref(context) : NULL;
    fleet->guests = g_ptr_array_new();
    fleet->by_name = g_hash_table_new(uv_hash_text, g_str_equal);
    fleet->by_file = g_hash_table_new(uv_hash_text, g_str_equal);
    fleet->folders = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    fleet->files = g_hash_table_new_full(uv_hash_text, g_str_equal, NULL, g_free);
    fleet->inotify_fd = -1;
    actors_start(fleet);
    deliver_start(fleet);
    return fleet;
}

FsFleet *fs_fleet_new(FsSource *source, const FsFleetOptions *options, GMainContext *context,
                      GError **error)
{
    static const FsSourceEvents events = {.told = on_told, .lost = on_lost};
    g_autoptr(FsFleet) fleet = fleet_alloc(source, options, context);
    int result;

    fleet->poll = fs_poll_new(context, error);
    if (!fleet->poll)
        return NULL;
    result = fs_source_start(source, fleet->poll, &events, fleet);
    if (result < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-result), "%s: %s",
                    source->facts.path, g_strerror(-result));
        return NULL;
    }
    follow_start(fleet);
    fleet_ask_list(fleet);
    while (source->facts.is_store && !fleet->listed && !fleet->lost)
        g_main_context_iteration(context, TRUE);
    if (source->facts.is_store && fleet->guests->len == 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "%s: %s", source->facts.path,
                    g_strerror(ENOENT));
        return NULL;
    }
    return g_steal_pointer(&fleet);
}

void fs_fleet_set_events(FsFleet *fleet, const FsFleetEvents *events, void *data)
{
    fleet->events = *events;
    fleet->events_data = data;
}

/* A host with few guests has their sockets when the mount is usable; many are not waited for. */
#define SETTLE_US (500 * 1000)
#define SETTLE_GUESTS 64

void fs_fleet_start(FsFleet *fleet)
{
    int64_t deadline = g_get_monotonic_time() + SETTLE_US;

    fleet->started = true;
    listen_in_background(fleet);
    fleet_due(fleet, deadline);
    while (!fleet->lost && g_get_monotonic_time() < deadline && !fleet->many &&
           fleet->guests->len <= SETTLE_GUESTS && (!fleet->listed || fleet->background_asked > 0))
        g_main_context_iteration(fleet->context, TRUE);
}

/* Asks every engine without a guest to end. Returns how many of those are left. */
static unsigned end_all(FsFleet *fleet)
{
    unsigned left = 0;

    for (GList *link = fleet->engines.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine_is_foreign(engine) || (engine->guest && guest_connected(engine->guest)))
            continue;
        left++;
        if (g_get_monotonic_time() - engine->asked_to_end_at > STOP_AGAIN_US)
            engine_end(engine);
    }
    return left;
}

static void warn_of_left(FsFleet *fleet)
{
    for (GList *link = fleet->engines.head; link; link = link->next) {
        FsEngine *engine = link->data;
        if (!engine->child || (engine->guest && guest_connected(engine->guest)))
            continue;
        g_warning("guest %s: its engine does not end: left behind",
                  engine->guest ? engine->guest->name : "(removed)");
    }
}

void fs_fleet_stop(FsFleet *fleet)
{
    int64_t deadline = g_get_monotonic_time() + STOP_ASK_US;

    fleet->stopping = true;
    while (!fleet->lost && (end_all(fleet) > 0 || fleet->keeping > 0) &&
           g_get_monotonic_time() < deadline) {
        fleet_due(fleet, MIN(deadline, g_get_monotonic_time() + G_USEC_PER_SEC / 4));
        g_main_context_iteration(fleet->context, TRUE);
    }
    warn_of_left(fleet);
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_fail_calls(fleet->guests->pdata[i], EIO);
    traces_end(fleet);
    searches_stop(fleet);
    fleet_dispatch(fleet);
}

static void free_queues(FsFleet *fleet)
{
    deliver_stop(fleet); /* who is told may tell an engine */
    g_queue_init(&fleet->lru);
    while (fleet->cold.head)
        replica_warm(fleet->cold.head->data);
    while (fleet->engines.head)
        engine_free(fleet->engines.head->data);
    g_queue_clear(&fleet->wanting);
    g_queue_clear(&fleet->unwatched);
    g_queue_clear(&fleet->again);
}

void fs_fleet_free(FsFleet *fleet)
{
    if (!fleet)
        return;
    fleet->lost = true; /* nothing more is asked */
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_fail_calls(fleet->guests->pdata[i], EIO);
    traces_end(fleet);
    searches_stop(fleet);
    fs_source_free(fleet->source);
    fleet->source = NULL;
    actors_stop(fleet);
    free_queues(fleet);
    follow_stop(fleet);
    g_queue_clear_full(&fleet->retired, (GDestroyNotify)guest_free);
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_free(fleet->guests->pdata[i]);
    g_ptr_array_unref(fleet->guests);
    g_hash_table_unref(fleet->by_name);
    g_hash_table_unref(fleet->by_file);
    g_hash_table_unref(fleet->folders);
    g_hash_table_unref(fleet->files);
    g_free(fleet->detached);
    if (fleet->clock) {
        g_source_destroy(fleet->clock);
        g_source_unref(fleet->clock);
    }
    if (fleet->poll)
        fs_poll_free(fleet->poll);
    if (fleet->context)
        g_main_context_unref(fleet->context);
    g_free(fleet);
}

bool fs_fleet_is_file(const FsFleet *fleet)
{
    return fleet->source->facts.is_store;
}

uint16_t fs_fleet_reach(const FsFleet *fleet)
{
    return fleet->reach;
}

const FsSourceFacts *fs_fleet_source(const FsFleet *fleet)
{
    return &fleet->source->facts;
}

void fs_fleet_unmount(FsFleet *fleet)
{
    FsQuestion question = fs_question(FS_ASK_UNMOUNT, NULL);

    fs_source_ask(fleet->source, &question, NULL, 0, NULL, NULL);
}

void fs_fleet_ready(FsFleet *fleet)
{
    FsQuestion question = fs_question(FS_ASK_READY, NULL);

    fs_source_ask(fleet->source, &question, NULL, 0, NULL, NULL);
}
