/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a call needs before it goes on, one after the other: a look at the guest's files, then the
 * texts that it names, the socket, what only status.json tells; then the replica, which may take an
 * engine. Nothing is asked for that is current already, so nearly always nothing is, and nothing is
 * parked.
 */

#include "fleet-private.h"

#include <errno.h>

const char guest_is_connected[] = "a guest is connected";

static const struct {
    FsNeeds need;
    FsText text;
} text_needs[] = {
    {FS_NEED_CONFIG, FS_TEXT_CONFIG},
    {FS_NEED_PIN, FS_TEXT_PIN},
    {FS_NEED_HINT, FS_TEXT_HINT},
    {FS_NEED_HEAD, FS_TEXT_STORE},
};

#define REPLICA_NEEDS ((unsigned)(FS_NEED_REPLICA | FS_NEED_NAMES))

/* As guest_replica_valid() for all but the contents. */
static bool names_valid(const FsGuest *guest)
{
    const FsLive *live = guest->live;

    if (!live || !live->named || live->stale ||
        !fs_identity_equal(&live->identity, &guest->look.store))
        return false;
    /* Another host's journal its engine is to look at. */
    if (fs_fleet_is_shared(guest->fleet) && !(live->state & UV_HOST_STATE_GUEST))
        return !(guest->look.flags & FS_LOOK_JOURNAL);
    return live->engine || !(guest->look.flags & FS_LOOK_JOURNAL);
}

bool guest_replica_valid(const FsGuest *guest)
{
    return names_valid(guest) && guest->live->filled;
}

static bool is_read_only(const FsGuest *guest)
{
    return fs_guest_state(guest) & UV_HOST_STATE_READ_ONLY;
}

/* The needs that have to be waited for, as far as that is known without asking. */
static unsigned missing(const FsGuest *guest, unsigned needs)
{
    unsigned missed = needs & FS_NEED_STATUS && is_read_only(guest) ? FS_NEED_STATUS : 0;

    if (!guest_look_current(guest, needs) || (needs & FS_NEED_HINT && guest_engine_ends(guest)))
        return needs | FS_NEED_LOOK | (needs & FS_NEED_NAMES ? FS_NEED_HINT : 0);
    for (size_t i = 0; i < G_N_ELEMENTS(text_needs); i++)
        if (needs & text_needs[i].need && !guest_text_current(guest, text_needs[i].text))
            missed |= text_needs[i].need;
    if (needs & FS_NEED_SOCKET && guest->listener < FS_LISTENER_QUIET && guest->fleet->started &&
        !guest->away)
        missed |= FS_NEED_SOCKET;
    if (needs & FS_NEED_NO_ENGINE && guest->live && guest->live->engine)
        missed |= FS_NEED_NO_ENGINE;
    /* What is kept beside the store may tell the names. */
    if (needs & FS_NEED_NAMES && !names_valid(guest) && !(guest->live && guest->live->engine) &&
        !guest_text_current(guest, FS_TEXT_HINT))
        missed |= FS_NEED_HINT;
    return missed | (needs & REPLICA_NEEDS);
}

bool fs_guest_has(const FsGuest *guest, unsigned needs)
{
    return !guest->gone && missing(guest, needs) == 0;
}

static void find_look(FsCall *call)
{
    FsGuest *guest = call->guest;

    if (call->look_number == 0 && guest_look_current(guest, call->needs)) {
        call->needs &= ~(unsigned)(FS_NEED_LOOK | FS_NEED_FRESH_LOOK);
        return;
    }
    if (call->look_number == 0)
        call->look_number = guest_next_look(guest);
    if ((int32_t)(guest->look_done - call->look_number) >= 0)
        call->needs &= ~(unsigned)(FS_NEED_LOOK | FS_NEED_FRESH_LOOK);
    else if (guest->look_asked == guest->look_done) {
        guest_ask_look(guest);
        guest_look_ahead(guest);
    }
}

static void find_text(FsCall *call, FsNeeds need, FsText text)
{
    FsGuest *guest = call->guest;
    uint32_t *number = &call->text_numbers[text];

    if (!(call->needs & need))
        return;
    if (*number == 0 && !guest_text_current(guest, text)) {
        *number = guest_next_text(guest, text);
        guest_ask_text(guest, text);
    } else if (*number != 0 && (int32_t)(guest->live->texts[text].done - *number) < 0) {
        guest_ask_text(guest, text);
    }
    if (*number == 0 || (int32_t)(guest->live->texts[text].done - *number) >= 0)
        call->needs &= ~(unsigned)need;
}

static void find_socket(FsCall *call)
{
    FsGuest *guest = call->guest;

    if (guest->listener == FS_LISTENER_NONE && !guest->away && !call->socket_asked) {
        call->socket_asked = true;
        guest_listen(guest);
    }
    if (guest->listener != FS_LISTENER_ASKED)
        call->needs &= ~(unsigned)FS_NEED_SOCKET;
}

/* Only its guest keeps an engine. */
static void find_no_engine(FsCall *call)
{
    FsEngine *engine = guest_live(call->guest)->engine;
    int64_t next = engine ? engine->asked_to_end_at + END_AGAIN_US : 0;

    if (!engine)
        call->needs &= ~(unsigned)FS_NEED_NO_ENGINE;
    else if (engine->state != FS_ENGINE_READY || !engine->io)
        return;
    else if (g_get_monotonic_time() >= next)
        engine_end(engine);
    else
        fleet_due(call->guest->fleet, next);
}

/* Who holds the store: a confined engine sees no other process. */
static void find_status(FsCall *call)
{
    FsGuest *guest = call->guest;
    const FsLive *live = guest_live(guest);

    if (call->holder_number == 0)
        call->holder_number = live->holder_asked + 1;
    if (!is_read_only(guest) || (int32_t)(live->holder_done - call->holder_number) >= 0)
        call->needs &= ~(unsigned)FS_NEED_STATUS;
    else
        guest_ask_holder(guest);
}

/* For FS_NEED_REPLICA, or FS_NEED_NAMES alone. */
static bool replica_serves(const FsGuest *guest, unsigned needs)
{
    return needs & FS_NEED_REPLICA ? guest_replica_valid(guest) : names_valid(guest);
}

static void use_replica(FsGuest *guest)
{
    if (guest->live->engine)
        engine_used(guest->live->engine);
    else
        replica_cold(guest);
}

/* The look is current: either the replica is, too, or an engine has to say. */
static void find_replica(FsCall *call)
{
    FsGuest *guest = call->guest;
    FsLive *live = guest->live;
    FsEngine *engine = live->engine;
    bool starting = engine && engine->state == FS_ENGINE_STARTING;
    bool valid = replica_serves(guest, call->needs);

    if (!call->own && (engine || !valid))
        engines_walk(guest);
    if (valid && !starting) {
        use_replica(guest);
        call_finish(call, 0, NULL);
        return;
    }
    /* One that starts may have served its guest already: it is heard first, but not for long. */
    if (!valid && live->filled && !live->stale && engine && engine->state == FS_ENGINE_READY) {
        if (engine_only_looks(engine))
            engine_end(engine); /* the next one reads the store as it is now */
        else
            call->type = UV_HOST_CHECK;
    }
    if (!call_wants_engine(call, call->type == UV_HOST_CHECK || (valid && starting)))
        call_finish(call, EBUSY, NULL);
}

void call_find_needs(FsCall *call)
{
    if (call->for_engine || (call->needs & FS_NEED_HINT && guest_engine_ends(call->guest)))
        return;
    if (call->needs & FS_NEED_LOOK)
        find_look(call);
    if (call->needs & FS_NEED_LOOK)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(text_needs); i++)
        find_text(call, text_needs[i].need, text_needs[i].text);
    if (call->needs & FS_NEED_SOCKET)
        find_socket(call);
    if (call->needs & FS_NEED_STATUS)
        find_status(call);
    if (call->needs & FS_NEED_NO_ENGINE && guest_connected(call->guest)) {
        call->reason = g_strdup(guest_is_connected);
        call_finish(call, EBUSY, NULL);
        return;
    }
    if (call->needs & FS_NEED_NO_ENGINE)
        find_no_engine(call);
    if (call->needs && !(call->needs & ~REPLICA_NEEDS))
        find_replica(call);
    else if (call->needs == 0 && !call->actor_asked)
        call_finish(call, 0, NULL);
}

/* What a guest was told by its engine is there is there. */
static void hear_engine(FsGuest *guest)
{
    FsEngine *engine = guest->live ? guest->live->engine : NULL;

    if (engine && engine->io && uv_frame_io_has_buffered(engine->io))
        engine_receive(engine);
}

static void need(FsGuest *guest, unsigned needs, void *request, FsContinue go_on, void *data,
                 bool own)
{
    FsCall *call;
    unsigned missed;

    if (guest->gone) {
        go_on(NULL, ENOENT, data);
        return;
    }
    if (needs & (REPLICA_NEEDS | FS_NEED_FRESH_LOOK))
        hear_engine(guest);
    /* A name in SOURCE that is asked about may be one that loses to the guest's. */
    if (needs & FS_NEED_STATUS && g_hash_table_size(guest->fleet->files) > 0)
        guest->look_stale = true;
    guest_look_further(guest);
    missed = missing(guest, needs);
    if (missed && !(missed & ~REPLICA_NEEDS) && replica_serves(guest, missed) &&
        !(guest->live->engine && guest->live->engine->state == FS_ENGINE_STARTING)) {
        use_replica(guest);
        if (guest->live->engine)
            engines_walk(guest);
        missed = 0;
    }
    if (!missed) {
        go_on(guest, 0, data);
        return;
    }
    call = call_new(guest, request, 0, NULL);
    call->needs = missed;
    call->own = own;
    call->lenient = missed & FS_NEED_HINT && guest_engine_ends(guest); /* one that hangs */
    call->finish = deliver_continue;
    call->go_on = (void (*)(void))go_on;
    call->data = data;
    call_submit(call);
}

void fs_guest_need(FsGuest *guest, unsigned needs, void *request, FsContinue go_on, void *data)
{
    need(guest, needs, request, go_on, data, false);
}

void guest_need_own(FsGuest *guest, unsigned needs, FsContinue go_on, void *data)
{
    need(guest, needs, NULL, go_on, data, true);
}
