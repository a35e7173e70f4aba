/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The registry of guests, what it delivers, and its beginning and end. */

#include "fleet-private.h"

#include "uv-limits.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sockets and watches made per turn of the background work: about half a millisecond. */
#define BACKGROUND_BATCH 16
#define STOP_ASK_US (5 * G_USEC_PER_SEC)
/* An engine may refuse: somebody connected who may be a guest. */
#define STOP_AGAIN_US (200 * 1000)

typedef struct {
    FsGuest *guest;
    char *name;
    bool appeared, removed;
} FsEntryChange;

static void change_free(FsEntryChange *change)
{
    g_free(change->name);
    g_free(change);
}

/* Registry. */

FsGuest *fleet_add_guest(FsFleet *fleet, const char *name, FsRule rule)
{
    FsGuest *guest = g_hash_table_lookup(fleet->by_name, name);

    if (guest) {
        if (rule < guest->rule)
            guest->rule = (uint8_t)rule;
        return guest;
    }
    guest = g_new0(FsGuest, 1);
    guest->fleet = fleet;
    guest->name = g_strdup(name);
    guest->sequence = ++fleet->last_sequence;
    guest->rule = (uint8_t)rule;
    guest->listener_fd = -1;
    g_ptr_array_add(fleet->guests, guest);
    g_hash_table_insert(fleet->by_name, guest->name, guest);
    return guest;
}

/* The index of the first guest with a sequence above `after`. */
static guint guest_index_after(const FsFleet *fleet, uint64_t after)
{
    guint low = 0, high = fleet->guests->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (((FsGuest *)fleet->guests->pdata[middle])->sequence > after)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void detach_engine(FsGuest *guest)
{
    FsEngine *engine = guest->live ? guest->live->engine : NULL;

    if (!engine)
        return;
    /* Its store was taken away: there is nothing it should still write. */
    engine_kill(engine);
    guest->live->engine = NULL;
    engine->guest = NULL;
    fs_watch_remove(&engine->watch);
    g_clear_pointer(&engine->io, uv_frame_io_free);
    engine_relist(engine);
    if (engine->pidfd < 0)
        engine_gone(engine);
}

void fleet_retire(FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;
    guint index = guest_index_after(fleet, guest->sequence - 1);

    if (guest->gone)
        return;
    g_ptr_array_remove_index(fleet->guests, index);
    if (index < fleet->background_at)
        fleet->background_at--;
    g_hash_table_remove(fleet->by_name, guest->name);
    guest_fail_calls(guest, ENOENT);
    detach_engine(guest);
    guest_watch_listener(guest, false);
    g_queue_remove(&fleet->wanting, guest);
    g_queue_remove(&fleet->added, guest);
    if (guest->listener_fd >= 0 || (guest->live && guest->hash)) {
        fs_sockdir_unlink(fleet->sockdir, guest_hash(guest), ".sock");
        fs_sockdir_unlink(fleet->sockdir, guest_hash(guest), ".host");
        fs_sockdir_unlink(fleet->sockdir, guest_hash(guest), ".session");
    }
    if (guest->hash)
        g_hash_table_remove(fleet->by_hash, &guest->hash);
    guest->gone = true;
    g_queue_push_tail(&fleet->retired, guest);
    fleet_wake(fleet);
}

static bool guest_connected(const FsGuest *guest)
{
    return guest->live && guest->live->engine &&
           (guest->live->state & (UV_HOST_STATE_GUEST | UV_HOST_STATE_CONNECTED));
}

static void guest_shadowed_again(FsGuest *guest)
{
    if (!guest->live)
        return;
    g_clear_pointer(&guest->live->shadowed, g_strfreev);
    guest->live->shadowed_known = false;
}

void fleet_review(FsFleet *fleet, const char *name)
{
    FsGuest *guest = g_hash_table_lookup(fleet->by_name, name);
    FsRule rule;

    if (!fs_source_find(fleet->source, name, &rule, NULL)) {
        if (!guest)
            return;
        if (!guest_connected(guest))
            fleet_retire(guest);
        else
            fs_guest_set_warning(guest, "store", "the store was removed under the running guest");
        return;
    }
    if (!guest) {
        guest = fleet_add_guest(fleet, name, rule);
        g_queue_push_tail(&fleet->added, guest);
        fleet_wake(fleet);
        return;
    }
    guest_shadowed_again(guest);
    if (guest->rule == rule)
        return;
    /* Another file is its store now. */
    if (guest_connected(guest)) {
        fs_guest_set_warning(guest, "store", "another file of this name takes precedence now");
        return;
    }
    fleet_retire(guest);
    fleet_review(fleet, name);
}

FsGuest *fleet_by_hash(FsFleet *fleet, uint64_t hash)
{
    if (g_hash_table_size(fleet->by_hash) < fleet->guests->len)
        for (guint i = 0; i < fleet->guests->len; i++)
            guest_hash(fleet->guests->pdata[i]);
    return g_hash_table_lookup(fleet->by_hash, &hash);
}

static void scan_visit(const char *name, FsRule rule, void *data)
{
    fleet_add_guest(data, name, rule);
}

static void scan_other(const char *folder, void *data)
{
    g_queue_push_tail(&((FsFleet *)data)->unwatched, g_strdup(folder));
}

static void rescan_visit(const char *name, FsRule rule, void *data)
{
    GHashTable *seen = data;
    g_hash_table_add(seen, g_strdup(name));
}

static void rescan_other(const char *folder, void *data)
{
}

void fleet_rescan(FsFleet *fleet)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    GHashTableIter iter;
    void *name;

    if (!fs_source_scan(fleet->source, rescan_visit, rescan_other, seen, &error)) {
        g_warning("%s", error->message);
        return;
    }
    g_hash_table_iter_init(&iter, seen);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        if (!g_hash_table_contains(fleet->by_name, name))
            fleet_review(fleet, name);
    for (guint i = 0; i < fleet->guests->len; i++)
        if (!g_hash_table_contains(seen, ((FsGuest *)fleet->guests->pdata[i])->name))
            g_ptr_array_add(gone, g_strdup(((FsGuest *)fleet->guests->pdata[i])->name));
    for (guint i = 0; i < gone->len; i++) {
        fleet_review(fleet, gone->pdata[i]);
        g_free(gone->pdata[i]);
    }
}

/* Delivery. */

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

int64_t fs_fleet_next_turn(const FsFleet *fleet)
{
    int64_t dispatcher = g_source_get_ready_time(fleet->dispatcher);
    return dispatcher >= 0 ? dispatcher : g_source_get_ready_time(fleet->timer);
}

void fs_fleet_set_quiet(FsFleet *fleet, bool quiet)
{
    fleet->quiet = quiet;
}

void fleet_entry_changed(FsGuest *guest, const char *name, bool appeared, bool removed)
{
    if (!guest->fleet->events.entry_changed)
        return;
    FsEntryChange *change = g_new0(FsEntryChange, 1);
    change->guest = guest;
    change->name = g_strdup(name);
    change->appeared = appeared;
    change->removed = removed;
    g_queue_push_tail(&guest->fleet->changes, change);
    fleet_wake(guest->fleet);
}

static void deliver_changes(FsFleet *fleet)
{
    FsEntryChange *change;
    while ((change = g_queue_pop_head(&fleet->changes))) {
        if (!change->guest->gone)
            fleet->events.entry_changed(change->guest, change->name, change->appeared,
                                        change->removed, fleet->events_data);
        change_free(change);
    }
}

static void deliver_added(FsFleet *fleet)
{
    FsGuest *guest;
    while ((guest = g_queue_pop_head(&fleet->added))) {
        guest->announced = true;
        if (guest->rule == FS_RULE_FOLDER)
            follow_folder(fleet, guest->name);
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
    engines_tick(fleet, now);
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

/* Beginning and end. */

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
    fleet->dispatcher = add_source(fleet, on_dispatch);
    fleet->timer = add_source(fleet, on_timer);
    return fleet;
}

FsFleet *fs_fleet_new(const FsOptions *options, GMainContext *context, GError **error)
{
    g_autoptr(FsFleet) fleet = fleet_alloc(options, context);

    fleet->source = fs_source_open(options->source, error);
    if (!fleet->source ||
        (options->mountpoint &&
         !fs_source_check_mountpoint(fleet->source, options->mountpoint, error)) ||
        (options->engine_user && !lookup_engine_user(fleet, options->engine_user, error)))
        return NULL;
    fleet->sockdir = fs_sockdir_open(fleet->source, options, error);
    fleet->poll = fleet->sockdir ? fs_poll_new(context, error) : NULL;
    if (!fleet->poll || !fs_source_scan(fleet->source, scan_visit, scan_other, fleet, error))
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
        if (engine->guest && guest_connected(engine->guest))
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

static void release_engine(FsEngine *engine)
{
    fs_watch_remove(&engine->watch);
    fs_watch_remove(&engine->pid_watch);
    g_clear_pointer(&engine->io, uv_frame_io_free);
    if (engine->pidfd >= 0)
        close(engine->pidfd);
    g_free(engine->build);
    g_free(engine->failure);
    g_free(engine);
}

static void free_queues(FsFleet *fleet)
{
    GList *link;

    g_queue_init(&fleet->lru);
    while (fleet->cold.head)
        replica_warm(fleet->cold.head->data);
    while ((link = g_queue_pop_head_link(&fleet->engines)))
        release_engine(link->data);
    g_queue_clear(&fleet->wanting);
    g_queue_clear(&fleet->added);
    g_queue_clear_full(&fleet->unwatched, g_free);
    g_queue_clear_full(&fleet->changes, (GDestroyNotify)change_free);
    while ((link = g_queue_pop_head_link(&fleet->done)))
        call_deliver(link->data);
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
    fs_source_free(fleet->source);
    g_free(fleet->program);
    if (fleet->context)
        g_main_context_unref(fleet->context);
    g_free(fleet);
}

bool fs_fleet_is_file(const FsFleet *fleet)
{
    return fleet->source->store != NULL;
}

const char *fs_fleet_sockdir(const FsFleet *fleet)
{
    return fleet->sockdir->path;
}

const char *fs_fleet_source(const FsFleet *fleet)
{
    return fleet->source->path;
}

FsGuest *fs_fleet_next(FsFleet *fleet, uint64_t after)
{
    if (after == 0)
        follow_drain(fleet);
    guint i = guest_index_after(fleet, after);
    return i < fleet->guests->len ? fleet->guests->pdata[i] : NULL;
}

FsGuest *fs_fleet_lookup(FsFleet *fleet, const char *name)
{
    follow_drain(fleet);
    FsGuest *guest = g_hash_table_lookup(fleet->by_name, name);
    if (!guest || (fleet->no_watches && guest->rule == FS_RULE_FOLDER)) {
        fleet_review(fleet, name);
        guest = g_hash_table_lookup(fleet->by_name, name);
    }
    if (guest && fleet->started)
        guest_listen(guest);
    return guest;
}

int fs_fleet_make_guest(FsFleet *fleet, const char *name, FsGuest **ret_guest)
{
    if (fleet->source->store || fleet->options->read_only)
        return fleet->source->store ? EPERM : EROFS;
    if (strlen(name) > UV_GUEST_NAME_MAX)
        return ENAMETOOLONG;
    if (!fs_source_valid_name(name))
        return EINVAL;
    if (fs_fleet_lookup(fleet, name))
        return EEXIST;
    int result = fs_source_make(fleet->source, name);
    if (result < 0)
        return -result;
    *ret_guest = fs_fleet_lookup(fleet, name);
    return *ret_guest ? 0 : EIO;
}
