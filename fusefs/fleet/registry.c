/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Which guests there are. A guest is added when the source tells of it, or when something happens
 * to its name; it is retired when nothing in SOURCE makes it a guest any more, and freed when that
 * was delivered and no request asks about it.
 */

#include "fleet-private.h"

#include "uv-limits.h"

#include <errno.h>
#include <string.h>

static void set_file(FsGuest *guest, const char *file)
{
    GHashTable *by_file = guest->fleet->by_file;

    if (g_strcmp0(guest->file, file) == 0)
        return;
    if (guest->file && g_hash_table_lookup(by_file, guest->file) == guest)
        g_hash_table_remove(by_file, guest->file);
    g_free(guest->file);
    guest->file = g_strdup(file);
    g_hash_table_replace(by_file, guest->file, guest);
}

/* What an earlier look told of the guest is so still. */
static bool shows_the_same(const FsGuestLook *before, const FsGuestLook *now)
{
    return !((before->flags ^ now->flags) & ~(uint32_t)FS_LOOK_BRIEF) && before->uid == now->uid &&
           before->gid == now->gid && before->access == now->access &&
           before->mtime_ns == now->mtime_ns && fs_identity_equal(&before->store, &now->store) &&
           fs_identity_equal(&before->config, &now->config) &&
           fs_identity_equal(&before->pin, &now->pin);
}

static void set_look(FsGuest *guest, const FsLook *look)
{
    const FsGuestLook before = guest->look;

    guest->look = (FsGuestLook){
        .flags = look->flags,
        .uid = look->uid,
        .gid = look->gid,
        .mode = look->mode,
        .access = look->access,
        .format = look->format,
        .size_bytes = look->size_bytes,
        .mtime_ns = look->mtime_ns,
        .store = look->store,
        .config = look->config,
        .pin = look->pin,
        .hint = look->hint,
    };
    if (g_strcmp0(guest->store_name, look->store_name) != 0) {
        g_free(guest->store_name);
        guest->store_name = g_strdup(look->store_name);
    }
    if (!shows_the_same(&before, &guest->look))
        guest_tell_changed(guest);
}

static FsGuest *add_guest(FsFleet *fleet, const char *name, const FsLook *look)
{
    FsGuest *guest = g_new0(FsGuest, 1);

    guest->fleet = fleet;
    guest->name = g_strdup(name);
    guest->sequence = ++fleet->last_sequence;
    guest->list_number = fleet->list_number;
    g_ptr_array_add(fleet->guests, guest);
    g_hash_table_insert(fleet->by_name, guest->name, guest);
    set_file(guest, look->file);
    set_look(guest, look);
    if (fleet->listed) {
        g_queue_push_tail(&fleet->added, guest);
        fleet_wake(fleet);
    }
    return guest;
}

FsGuest *fleet_guest(const FsFleet *fleet, const char *name)
{
    return g_hash_table_lookup(fleet->by_name, name);
}

guint fleet_index_after(const FsFleet *fleet, uint64_t after)
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
    if (engine->pidfd < 0 && !engine->asked)
        engine_gone(engine);
}

static void on_set_aside(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS],
                         void *data)
{
    FsFleet *fleet = guest->fleet;

    fleet->leaves_done++;
    if (answer->error == 0)
        g_warning("guest %s: its store was removed or renamed before it had every change: the "
                  "others are kept in %s",
                  guest->name, answer->text);
    if (answer->error != -ECANCELED)
        searches_go_on(fleet);
}

/* Its engine is gone with it, so what it had not put into the store yet stays in the journal. */
static void leave_source(FsGuest *guest)
{
    FsQuestion set_aside = fs_question(FS_ASK_SET_ASIDE, guest->name);
    FsQuestion clean = fs_question(FS_ASK_CLEAN, guest->name);

    if (guest->fleet->lost)
        return;
    g_strlcpy(set_aside.to, guest->file, sizeof(set_aside.to));
    if (!guest->fleet->options->read_only) {
        guest->fleet->leaves_asked++;
        guest_ask(guest, &set_aside, NULL, 0, on_set_aside, NULL);
    }
    clean.flags = FS_CLEAN_SESSION;
    if (guest->listener != FS_LISTENER_NONE || guest->live)
        fs_source_ask(guest->fleet->source, &clean, NULL, 0, NULL, NULL);
}

void fleet_retire(FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;
    guint index = fleet_index_after(fleet, guest->sequence - 1);

    if (guest->gone)
        return;
    g_ptr_array_remove_index(fleet->guests, index);
    if (index < fleet->background_at)
        fleet->background_at--;
    g_hash_table_remove(fleet->by_name, guest->name);
    if (g_hash_table_lookup(fleet->by_file, guest->file) == guest)
        g_hash_table_remove(fleet->by_file, guest->file);
    guest_fail_calls(guest, ENOENT);
    guest_end_trace(guest);
    detach_engine(guest);
    leave_source(guest);
    g_queue_remove(&fleet->wanting, guest);
    g_queue_remove(&fleet->added, guest);
    g_queue_remove(&fleet->unwatched, guest);
    g_queue_remove(&fleet->again, guest);
    guest->gone = true;
    g_queue_push_tail(&fleet->retired, guest);
    fleet_wake(fleet);
}

bool guest_connected(const FsGuest *guest)
{
    return guest->live && guest->live->engine &&
           (guest->live->state & (UV_HOST_STATE_GUEST | UV_HOST_STATE_CONNECTED));
}

/* After hearing its engine; of one that starts it is not known yet who is connected to it. */
static bool guest_may_be_connected(const FsGuest *guest)
{
    FsEngine *engine = guest->live ? guest->live->engine : NULL;

    if (engine && engine->io && !engine_receive(engine))
        engine = guest->live->engine;
    return guest_connected(guest) ||
           (engine && engine->state == FS_ENGINE_STARTING && engine->has_listener);
}

/* Nothing makes it a guest any more; while its engine has a guest, that goes on. */
static FsGuest *take_absence(FsGuest *guest)
{
    if (!guest)
        return NULL;
    guest->look.flags &= ~(uint32_t)(FS_LOOK_STORE | FS_LOOK_JOURNAL);
    guest->look.store = (FsIdentity){0};
    if (guest_may_be_connected(guest))
        return guest;
    fleet_retire(guest);
    return NULL;
}

void fleet_take_reach(FsFleet *fleet, uint16_t reach)
{
    if (reach == fleet->reach)
        return;
    fleet->reach = reach;
    for (guint i = 0; i < fleet->guests->len; i++)
        guest_is_stale(fleet->guests->pdata[i]); /* its access may be another */
}

FsGuest *fleet_take_look(FsFleet *fleet, const char *name, int error, const FsLook *look)
{
    FsGuest *guest = fleet_guest(fleet, name);

    if (error == 0)
        fleet_take_reach(fleet, look->reach);
    if (error == -ENOENT)
        return take_absence(guest);
    if (error < 0)
        return guest; /* it can't be looked at now: what is known serves */
    if (!guest)
        return add_guest(fleet, name, look);
    if (guest->live)
        fs_guest_set_warning(guest, "store", NULL);
    if (strcmp(guest->file, look->file) == 0) {
        set_look(guest, look);
        engine_check_config(guest);
        return guest;
    }
    /* Another file is its store now. */
    if (guest_may_be_connected(guest)) {
        fs_guest_set_warning(guest, "store", "another file of this name takes precedence now");
        return guest;
    }
    fleet_retire(guest);
    return add_guest(fleet, name, look);
}

FsGuest *fs_fleet_next(FsFleet *fleet, uint64_t after)
{
    guint i = fleet_index_after(fleet, after);
    return i < fleet->guests->len ? fleet->guests->pdata[i] : NULL;
}
