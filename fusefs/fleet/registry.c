/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Which guests there are. A guest is added when SOURCE is scanned, or when something happens to its
 * name; it is retired when nothing in SOURCE makes it a guest any more, and freed when that was
 * delivered.
 */

#include "fleet-private.h"

#include "uv-limits.h"

#include <errno.h>
#include <string.h>

static FsGuest *add_guest(FsFleet *fleet, const char *name, FsRule rule)
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

/* Its engine is gone with it, so what it had not put into the store yet stays in the journal. */
static void set_aside_journal(const FsGuest *guest)
{
    if (guest->fleet->options->read_only)
        return;
    g_autofree char *path =
        fs_local_set_aside_journal(guest->fleet->source, guest->rule, guest->name);
    if (path)
        g_warning("guest %s: its store was removed or renamed before it had every change: the "
                  "others are kept in %s",
                  guest->name, path);
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
    set_aside_journal(guest);
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

bool guest_connected(const FsGuest *guest)
{
    return guest->live && guest->live->engine &&
           (guest->live->state & (UV_HOST_STATE_GUEST | UV_HOST_STATE_CONNECTED));
}

/* After hearing its engine; of one that starts nobody knows yet who is connected to it. */
static bool guest_may_be_connected(const FsGuest *guest)
{
    FsEngine *engine = guest->live ? guest->live->engine : NULL;

    if (engine && engine->io && !engine_receive(engine))
        engine = guest->live->engine;
    return guest_connected(guest) ||
           (engine && engine->state == FS_ENGINE_STARTING && engine->has_listener);
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

    if (!fs_local_find(fleet->source, name, &rule, NULL)) {
        if (!guest)
            return;
        if (!guest_may_be_connected(guest))
            fleet_retire(guest);
        return;
    }
    if (!guest) {
        guest = add_guest(fleet, name, rule);
        g_queue_push_tail(&fleet->added, guest);
        fleet_wake(fleet);
        return;
    }
    guest_shadowed_again(guest);
    if (guest->live)
        fs_guest_set_warning(guest, "store", NULL);
    if (guest->rule == rule)
        return;
    /* Another file is its store now. */
    if (guest_may_be_connected(guest)) {
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
    add_guest(data, name, rule);
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

    if (!fs_local_scan(fleet->source, rescan_visit, rescan_other, seen, &error)) {
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

bool fleet_scan(FsFleet *fleet, GError **error)
{
    return fs_local_scan(fleet->source, scan_visit, scan_other, fleet, error);
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
    if (!fs_local_valid_name(name))
        return EINVAL;
    if (fs_fleet_lookup(fleet, name))
        return EEXIST;
    int result = fs_local_make(fleet->source, name);
    if (result < 0)
        return -result;
    *ret_guest = fs_fleet_lookup(fleet, name);
    return *ret_guest ? 0 : EIO;
}
