/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is refused here, before it comes to an engine: for the guest's record, which its engine
 * writes. A guest without one gets none for it: what is refused waits for the next one, so many of
 * a guest, the last ones. What the process that asked is called is found out while it waits for its
 * error, as with a change.
 */

#include "fleet-record.h"

#include "uv-limits.h"

#define GUEST_MAX 32
#define FLEET_MAX 4096
#define TEXT_BYTES_MAX 1024

/* Owns its path and text. */
struct FsUntold {
    FsRefusal refusal;
    FsActor actor;
    bool actor_known;
};

static void untold_free(void *data)
{
    FsUntold *untold = data;

    g_free((char *)untold->refusal.path);
    g_free((char *)untold->refusal.text);
    g_free(untold);
}

void guest_untold_clear(FsGuest *guest)
{
    FsLive *live = guest->live;

    guest->fleet->untold -= live->untold.length;
    g_queue_clear_full(&live->untold, untold_free);
}

static void tell(FsEngine *engine, const FsUntold *untold, uint32_t left_out)
{
    const FsRefusal *refusal = &untold->refusal;
    g_auto(UvWriter) writer = uv_writer(UV_HOST_REQUEST_MAX);

    uv_write_u64(&writer, (uint64_t)refusal->at_us);
    uv_write_u32(&writer, (uint32_t)refusal->error);
    uv_write_u32(&writer, left_out);
    host_write_text(&writer, refusal->operation, UV_HOST_NAME_MAX);
    host_write_text(&writer, *refusal->path ? refusal->path : ".", TEXT_BYTES_MAX);
    host_write_text(&writer, refusal->text, TEXT_BYTES_MAX);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    uv_frame_io_hold(engine->io, true);
    if (untold->actor_known)
        engine_send_actor(engine, &untold->actor);
    engine_tell(engine, UV_HOST_REFUSED, payload);
    engine_release(engine);
}

void engine_tell_refused(FsEngine *engine)
{
    FsLive *live = engine->guest->live;
    FsUntold *untold;

    while (engine->io && !engine_only_looks(engine) && (untold = g_queue_pop_head(&live->untold))) {
        engine->fleet->untold--;
        tell(engine, untold, live->left_out);
        live->left_out = 0;
        untold_free(untold);
    }
}

/* Takes it. */
static void put(FsGuest *guest, FsUntold *untold)
{
    FsLive *live = guest_live(guest);

    if (live->untold.length >= GUEST_MAX || guest->fleet->untold >= FLEET_MAX) {
        FsUntold *first = g_queue_pop_head(&live->untold);
        live->left_out++;
        guest->fleet->untold -= first != NULL;
        untold_free(first ? first : untold);
        if (!first)
            return;
    }
    g_queue_push_tail(&live->untold, untold);
    guest->fleet->untold++;
    if (live->engine && live->engine->state == FS_ENGINE_READY)
        engine_tell_refused(live->engine);
}

/* Whether or not the process has a name. */
static void deliver_refused(FsCall *call, FsGuest *guest)
{
    FsUntold *untold = call->untold;

    untold->actor = call->actor;
    untold->actor_known = call->actor_known;
    if (guest)
        put(guest, untold);
    else
        untold_free(untold);
    ((FsContinue)call->go_on)(guest, 0, call->data);
}

bool fs_guest_record_refusal(FsGuest *guest, void *request, const FsRefusal *refusal,
                             FsContinue go_on, void *data)
{
    FsUntold *untold;

    if (guest->gone)
        return false;
    untold = g_new0(FsUntold, 1);
    untold->refusal = *refusal;
    untold->refusal.path = g_utf8_make_valid(refusal->path, -1);
    untold->refusal.text = g_utf8_make_valid(refusal->text, -1);
    if (!request) {
        put(guest, untold);
        return false;
    }
    FsCall *call = call_new(guest, request, 0, NULL);
    call->untold = untold;
    call->finish = deliver_refused;
    call->go_on = (void (*)(void))go_on;
    call->data = data;
    call_find_actor(call);
    call_submit(call);
    return true;
}

bool fs_guest_has_untold(const FsGuest *guest)
{
    return guest->live && guest->live->untold.length > 0;
}
