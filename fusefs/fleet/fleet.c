/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A fleet's beginning and end. */

#include "fleet-private.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* Sockets and watches made per turn of the background work: about half a millisecond. */
#define BACKGROUND_BATCH 16
#define STOP_ASK_US (5 * G_USEC_PER_SEC)
/* An engine may refuse: somebody connected who may be a guest. */
#define STOP_AGAIN_US (200 * 1000)

static gboolean on_background(void *data)
{
    FsFleet *fleet = data;

    for (int i = 0; i < BACKGROUND_BATCH && fleet->background_at < fleet->guests->len; i++) {
        FsGuest *guest = fleet->guests->pdata[fleet->background_at++];
        int result = fleet->no_more_fds ? 0 : guest_listen(guest);
        if (result == -EMFILE || result == -ENFILE)
            fleet->no_more_fds = true;
        else if (result < 0 && result != -EAGAIN)
            g_warning("guest %s: no socket: %s", guest->name, g_strerror(-result));
        if (guest->rule == FS_RULE_FOLDER)
            follow_folder(fleet, guest->name);
    }
    g_autofree char *folder = g_queue_pop_head(&fleet->unwatched);
    if (folder)
        follow_folder(fleet, folder);
    if (folder || fleet->background_at < fleet->guests->len)
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&fleet->background, g_source_unref);
    follow_drain(fleet);
    return G_SOURCE_REMOVE;
}

static bool lookup_engine_user(FsFleet *fleet, const char *name, GError **error)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    const struct passwd *user =
        end != name && *end == '\0' ? getpwuid((uid_t)number) : getpwnam(name);

    if (!user) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "engine-user=%s: no such user", name);
        return false;
    }
    fleet->engine_uid = user->pw_uid;
    fleet->engine_gid = user->pw_gid;
    return true;
}

static FsFleet *fleet_alloc(const FsOptions *options, GMainContext *context)
{
    FsFleet *fleet = g_new0(FsFleet, 1);
    fleet->options = options;
    fleet->context = context ? g_main_context_ref(context) : NULL;
    fleet->guests = g_ptr_array_new();
    fleet->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    fleet->by_hash = g_hash_table_new(g_int64_hash, g_int64_equal);
    fleet->folders = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    fleet->engine_uid = (uid_t)-1;
    fleet->inotify_fd = -1;
    fleet->source_wd = -1;
    fleet->program = options->engine_path ? g_strdup(options->engine_path) : engine_find_program();
    deliver_start(fleet);
    return fleet;
}

FsFleet *fs_fleet_new(const FsOptions *options, GMainContext *context, GError **error)
{
    g_autoptr(FsFleet) fleet = fleet_alloc(options, context);

    fleet->source = fs_local_open(options->source, error);
    if (!fleet->source ||
        (options->mountpoint &&
         !fs_local_check_mountpoint(fleet->source, options->mountpoint, error)) ||
        (options->engine_user && !lookup_engine_user(fleet, options->engine_user, error)))
        return NULL;
    fleet->sockdir = fs_sockdir_open(fleet->source, options, error);
    fleet->poll = fleet->sockdir ? fs_poll_new(context, error) : NULL;
    if (!fleet->poll || !fleet_scan(fleet, error))
        return NULL;
    return g_steal_pointer(&fleet);
}

void fs_fleet_set_events(FsFleet *fleet, const FsFleetEvents *events, void *data)
{
    fleet->events = *events;
    fleet->events_data = data;
}

bool fs_fleet_start(FsFleet *fleet, GError **error)
{
    listen_raise_limit(fleet);
    if (!follow_start(fleet, error))
        return false;
    adopt_engines(fleet);
    fleet->started = true;
    fleet->background = g_idle_source_new();
    g_source_set_priority(fleet->background, G_PRIORITY_LOW);
    g_source_set_callback(fleet->background, on_background, fleet, NULL);
    g_source_attach(fleet->background, fleet->context);
    return true;
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
        if (engine->state == FS_ENGINE_READY && engine->io &&
            g_get_monotonic_time() - engine->asked_to_end_at > STOP_AGAIN_US)
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
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_watch_listener(fleet->guests->pdata[i], false);
    while (end_all(fleet) > 0 && g_get_monotonic_time() < deadline) {
        fleet_due(fleet, MIN(deadline, g_get_monotonic_time() + G_USEC_PER_SEC / 4));
        g_main_context_iteration(fleet->context, TRUE);
    }
    warn_of_left(fleet);
    for (guint i = 0; i < fleet->guests->len; i++) {
        FsGuest *guest = fleet->guests->pdata[i];
        guest_fail_calls(guest, EIO);
        if (guest->listener_fd >= 0 && !(guest->live && guest->live->engine))
            fs_sockdir_unlink(fleet->sockdir, guest_hash(guest), ".sock");
    }
    fleet_dispatch(fleet);
    fs_sockdir_remove(fleet->sockdir);
}

static void free_queues(FsFleet *fleet)
{
    g_queue_init(&fleet->lru);
    while (fleet->cold.head)
        replica_warm(fleet->cold.head->data);
    while (fleet->engines.head)
        engine_free(fleet->engines.head->data);
    g_queue_clear(&fleet->wanting);
    g_queue_clear_full(&fleet->unwatched, g_free);
    deliver_stop(fleet);
}

static void free_source(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

void fs_fleet_free(FsFleet *fleet)
{
    if (!fleet)
        return;
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_fail_calls(fleet->guests->pdata[i], EIO);
    free_queues(fleet);
    follow_stop(fleet);
    g_queue_clear_full(&fleet->retired, (GDestroyNotify)guest_free);
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_free(fleet->guests->pdata[i]);
    g_ptr_array_unref(fleet->guests);
    g_hash_table_unref(fleet->by_name);
    g_hash_table_unref(fleet->by_hash);
    g_hash_table_unref(fleet->folders);
    free_source(&fleet->dispatcher);
    free_source(&fleet->timer);
    free_source(&fleet->background);
    fs_poll_free(fleet->poll);
    fs_sockdir_free(fleet->sockdir);
    fs_local_free(fleet->source);
    g_free(fleet->program);
    if (fleet->context)
        g_main_context_unref(fleet->context);
    g_free(fleet);
}

bool fs_fleet_is_file(const FsFleet *fleet)
{
    return fleet->source->store != NULL;
}

const char *fs_fleet_source(const FsFleet *fleet)
{
    return fleet->source->path;
}
