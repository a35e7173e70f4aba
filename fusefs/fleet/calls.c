/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Parked work: a guest's queue of what waits, for the source or for its engine.
 *
 * A call is made; what it needs of the source is asked for (needs.c); then it is sent when the
 * engine is ready (a call of type 0 is sent nothing: it waits for the replica), then finished once,
 * with a reply or an errno, and delivered from the main loop.
 * When an engine dies under a call, the call is sent once more to the next one, unless doing it
 * twice would be something else than doing it once.
 */

#include "efi-errno.h"
#include "fleet-private.h"

#include "efi-abi.h"
#include "uv-limits.h"

#include <errno.h>
#include <string.h>

/* What may queue towards an engine that does not read, beyond the frame under way. */
#define OUTPUT_MAX (8u * 1024 * 1024)

FsCall *call_new(FsGuest *guest, void *request, uint16_t type, GBytes *payload)
{
    FsCall *call = g_new0(FsCall, 1);
    call->guest = guest;
    call->request = request;
    call->type = type;
    call->payload = payload ? g_bytes_ref(payload) : NULL;
    call->of_guest.data = call->by_deadline.data = call->in_done.data = call;
    return call;
}

static void call_free(FsCall *call)
{
    g_clear_pointer(&call->payload, g_bytes_unref);
    g_clear_pointer(&call->reply, g_bytes_unref);
    g_free(call->reason);
    g_free(call);
}

static GQueue *deadline_queue(FsCall *call)
{
    return &call->guest->fleet->deadlines[call->brief ? 1 : 0];
}

/* Into the guest's queue; false (and finished at once by the caller) if there is no room. */
static bool call_park(FsCall *call)
{
    FsLive *live = guest_live(call->guest);

    if (call->guest->gone || (call->for_engine && live->n_sent >= CALLS_MAX))
        return false;
    /* One that let a request time out has no such credit until it answers again. */
    int64_t credit_us =
        call->type == UV_HOST_STATUS || call->lenient ? SILENT_US : CALL_DEADLINE_US;
    call->brief = live->engine && engine_silent_us(live->engine) > credit_us;
    call->deadline = g_get_monotonic_time() + (call->brief ? BRIEF_DEADLINE_US : CALL_DEADLINE_US);
    g_queue_push_tail_link(&live->calls, &call->of_guest);
    g_queue_push_tail_link(deadline_queue(call), &call->by_deadline);
    fleet_due(call->guest->fleet, call->deadline);
    if (call->for_engine)
        live->n_sent++;
    return true;
}

bool call_wants_engine(FsCall *call, bool lenient)
{
    FsLive *live = call->guest->live;

    if (!call->own && live->n_sent >= CALLS_MAX)
        return false;
    call->for_engine = true;
    live->n_sent++;
    call->lenient = lenient;
    if (lenient && !call->brief) {
        g_queue_unlink(deadline_queue(call), &call->by_deadline);
        call->brief = true;
        call->deadline = g_get_monotonic_time() + BRIEF_DEADLINE_US;
        g_queue_push_tail_link(deadline_queue(call), &call->by_deadline);
        fleet_due(call->guest->fleet, call->deadline);
    }
    return true;
}

void call_finish(FsCall *call, int error, GBytes *reply)
{
    FsFleet *fleet = call->guest->fleet;

    if (call->for_engine)
        call->guest->live->n_sent--;
    g_queue_unlink(&call->guest->live->calls, &call->of_guest);
    g_queue_unlink(deadline_queue(call), &call->by_deadline);
    call->error = error;
    call->reply = reply ? g_bytes_ref(reply) : NULL;
    g_queue_push_tail_link(&fleet->done, &call->in_done);
    fleet_wake(fleet);
}

void guest_fail_calls(FsGuest *guest, int error)
{
    if (!guest->live)
        return;
    while (guest->live->calls.head)
        call_finish(guest->live->calls.head->data, error, NULL);
}

void guest_fail_engine_calls(FsGuest *guest, int error)
{
    if (!guest->live)
        return;
    for (GList *link = guest->live->calls.head, *next; link; link = next) {
        FsCall *call = link->data;
        next = link->next;
        if (call->for_engine)
            call_finish(call, error, NULL);
    }
}

void guest_reconsider_calls(FsGuest *guest)
{
    for (GList *link = guest->live->calls.head; link; link = link->next) {
        FsCall *call = link->data;
        bool replica = call->for_engine && (call->type == 0 || call->type == UV_HOST_CHECK);

        if (!replica && !(call->needs & FS_NEED_HINT))
            continue;
        if (replica)
            guest->live->n_sent--;
        call->for_engine = false;
        call->type = 0;
        call->needs |= FS_NEED_LOOK;
        call->look_number = guest_next_look(guest);
    }
}

FsCall *guest_find_call(FsGuest *guest, uint64_t cookie)
{
    for (GList *link = guest->live->calls.head; link; link = link->next)
        if (((FsCall *)link->data)->cookie == cookie)
            return link->data;
    return NULL;
}

static bool is_change(const FsCall *call)
{
    return call->type == UV_HOST_SET || call->type == UV_HOST_IMPORT ||
           call->type == UV_HOST_VIEW_ACT;
}

/* No request waits for it any more. A change that the engine was sent it must not make later. */
static void call_give_up(FsCall *call, int error, bool cut)
{
    FsEngine *engine = call->guest->live->engine;

    cut = cut && (is_change(call) || call->type == UV_HOST_TOUCH) && call->cookie && engine;
    call_finish(call, error, NULL);
    if (cut)
        engine_cut(engine);
}

void calls_expire(FsFleet *fleet, int64_t now)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fleet->deadlines); i++) {
        GQueue *queue = &fleet->deadlines[i];
        while (queue->head && ((FsCall *)queue->head->data)->deadline <= now) {
            FsCall *call = queue->head->data;
            const char *failure = call->guest->live->failure;
            if (!call->lenient)
                call->reason = g_strdup(failure ? failure : "the engine did not answer in time");
            call_give_up(call, call->lenient ? 0 : EIO, true);
        }
        if (queue->head)
            fleet_due(fleet, ((FsCall *)queue->head->data)->deadline);
    }
}

/* What the oldest unfinished call wants an engine for; false: none wants one. */
static bool calls_want(const FsGuest *guest, FsStart *ret_why)
{
    const FsLive *live = guest->live;
    const bool records = live->untold.length > 0 && fs_guest_has_store(guest);
    bool any = false;

    *ret_why = records ? FS_START_WRITE : FS_START_READ;
    for (GList *link = live->calls.head; link; link = link->next) {
        const FsCall *call = link->data;
        any = any || call->for_engine;
        *ret_why = MAX(*ret_why, call->why);
        if (is_change(call) || call->type == UV_HOST_TOUCH)
            *ret_why = FS_START_WRITE;
    }
    return any;
}

/* 0: the connection is lost. Who changes something and the change go together. */
static uint64_t send_call(FsEngine *engine, const FsCall *call)
{
    uint64_t cookie;

    if (!is_change(call))
        return engine_send(engine, call->type, call->payload);
    uv_frame_io_hold(engine->io, true);
    if (call->actor_known)
        engine_send_actor(engine, &call->actor);
    cookie = engine_send(engine, call->type, call->payload);
    return engine_release(engine) ? cookie : 0;
}

static void send_calls(FsEngine *engine, FsLive *live)
{
    for (GList *link = live->calls.head, *next; link; link = next) {
        FsCall *call = link->data;
        next = link->next;
        if (call->cookie || !call->for_engine || call->actor_asked)
            continue;
        if (call->type == 0)
            call_finish(call, 0, NULL);
        else if (uv_frame_io_queued_bytes(engine->io) > OUTPUT_MAX)
            call_finish(call, EIO, NULL);
        else if (!(call->cookie = send_call(engine, call)))
            return; /* the connection is lost: what waits goes to the next one */
    }
    engine_used(engine);
}

/* The store was given to another user since (libvirt does so when a domain starts and ends). */
static bool is_of_another(const FsEngine *engine)
{
    const FsGuest *guest = engine->guest;

    return fs_guest_has_store(guest) && guest->look.uid != engine->uid && !guest_connected(guest) &&
           g_get_monotonic_time() >= engine->asked_to_end_at + END_AGAIN_US;
}

void guest_pump(FsGuest *guest)
{
    FsLive *live = guest->live;
    FsStart why;

    if (live && live->engine && live->why == FS_START_GUEST)
        engine_want(guest, live->why); /* it came while the engine started */
    if (!live || !live->calls.head)
        return;
    for (GList *link = live->calls.head, *next; link; link = next) {
        next = link->next;
        call_find_needs(link->data);
    }
    if (!calls_want(guest, &why))
        return;
    FsEngine *engine = live->engine;
    if (!engine)
        engine_want(guest, why);
    else if (engine_is_foreign(engine))
        guest_fail_calls(guest, EIO);
    else if (engine->state != FS_ENGINE_READY || !engine->io)
        return;
    else if (is_of_another(engine))
        engine_end(engine); /* the next one is its owner's, and may read and write it */
    else if (engine_only_looks(engine) && why > engine->why)
        engine_end(engine); /* the next one can do more, and may get the guest's socket */
    else
        send_calls(engine, live);
}

void fs_fleet_interrupt(FsFleet *fleet, void *request)
{
    if (searches_interrupt(fleet, request) || traces_interrupt(fleet, request))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(fleet->deadlines); i++)
        for (GList *link = fleet->deadlines[i].head; link; link = link->next) {
            FsCall *call = link->data;
            if (call->request == request) {
                const FsEngine *engine = call->guest->live->engine;
                call_give_up(call, EINTR, engine && engine_silent_us(engine) > SILENT_US);
                return;
            }
        }
}

/* Delivers one finished call. */
void deliver_continue(FsCall *call, FsGuest *guest)
{
    ((FsContinue)call->go_on)(guest, call->error, call->data);
}

static void deliver_reply(FsCall *call, FsGuest *guest)
{
    ((FsReply)call->go_on)(guest, call->error, call->error ? NULL : call->reply, call->data);
}

static void deliver_outcome(FsCall *call, FsGuest *guest)
{
    if (call->error == 0 && call->reply) {
        g_autofree char *reason = NULL;
        call->error = fs_outcome_parse(call->reply, &reason);
        if (guest && call->error && reason)
            fs_guest_refused(guest, reason);
        if (guest)
            guest->live->is_on_record = call->error && is_change(call);
    }
    ((FsContinue)call->go_on)(guest, call->error, call->data);
}

void call_deliver(FsCall *call)
{
    FsGuest *guest = call->guest->gone ? NULL : call->guest;
    if (!guest)
        call->error = ENOENT;
    else if (call->reason)
        fs_guest_refused(guest, call->reason);
    call->finish(call, guest);
    if (guest && guest->live) {
        /* The request did not take it: it is no other's. */
        g_clear_pointer(&guest->live->reason, g_free);
        guest->live->is_on_record = false;
    }
    call_free(call);
}

void call_submit(FsCall *call)
{
    FsGuest *guest = call->guest;

    if (!call_park(call)) {
        call->error = guest->gone ? ENOENT : EBUSY;
        fs_guest_refused(guest, "too many requests wait for the guest's engine");
        call->finish(call, guest->gone ? NULL : guest);
        call_free(call);
        return;
    }
    guest_pump(guest);
}

void fs_guest_call(FsGuest *guest, void *request, FsStart why, uint16_t type, GBytes *payload,
                   FsReply go_on, void *data)
{
    FsCall *call = call_new(guest, request, type, payload);
    call->why = why;
    call->for_engine = true;
    call->finish = deliver_reply;
    call->go_on = (void (*)(void))go_on;
    call->data = data;
    call_submit(call);
}

void call_submit_outcome(FsGuest *guest, void *request, uint16_t type, UvWriter *writer, bool once,
                         FsContinue go_on, void *data)
{
    g_autoptr(GBytes) payload = uv_writer_steal(writer);
    if (!payload) {
        fs_guest_refused(guest, "larger than a request may be");
        go_on(guest, EINVAL, data);
        return;
    }
    if (guest->fleet->detached) {
        fs_guest_refused(guest, guest->fleet->detached);
        go_on(guest, EROFS, data);
        return;
    }
    FsCall *call = call_new(guest, request, type, payload);
    call->for_engine = true;
    call->once = once;
    call->finish = deliver_outcome;
    call->go_on = (void (*)(void))go_on;
    call->data = data;
    if (is_change(call))
        call_find_actor(call);
    call_submit(call);
}

void host_write_text(UvWriter *writer, const char *text, size_t bytes_max)
{
    const size_t size = MIN(strlen(text), bytes_max);

    uv_write_u16(writer, (uint16_t)size);
    uv_write_bytes(writer, text, size);
}

GBytes *host_hello(void)
{
    g_auto(UvWriter) writer = uv_writer(64);

    uv_write_u32(&writer, UV_WIRE_VERSION);
    uv_write_bytes(&writer, "uefivarsfs " UV_VERSION, strlen("uefivarsfs " UV_VERSION));
    return uv_writer_steal(&writer);
}

/* Doing it twice appends twice, or finds what the first time made. */
static bool set_is_once(GBytes *content, uint32_t flags)
{
    gsize size = 0;
    const uint8_t *bytes = content ? g_bytes_get_data(content, &size) : NULL;
    return (flags & UV_HOST_SET_EXCLUSIVE) || (size >= 4 && (bytes[0] & EFI_VARIABLE_APPEND_WRITE));
}

void fs_guest_set(FsGuest *guest, void *request, const char *name, GBytes *content, uint32_t flags,
                  int64_t mtime_ns, FsContinue go_on, void *data)
{
    gsize size = 0;
    const void *bytes = content ? g_bytes_get_data(content, &size) : NULL;
    g_auto(UvWriter) writer = uv_writer(UV_HOST_SET_MAX);

    uv_write_u32(&writer, flags);
    uv_write_u64(&writer, (uint64_t)mtime_ns);
    host_write_text(&writer, name, UV_FILE_NAME_MAX);
    if (size > 0)
        uv_write_bytes(&writer, bytes, size);
    call_submit_outcome(guest, request, UV_HOST_SET, &writer, set_is_once(content, flags), go_on,
                        data);
}

void fs_guest_touch(FsGuest *guest, void *request, const char *name, int64_t mtime_ns,
                    FsContinue go_on, void *data)
{
    g_auto(UvWriter) writer = uv_writer(UV_HOST_REQUEST_MAX);

    uv_write_u64(&writer, (uint64_t)mtime_ns);
    host_write_text(&writer, name, UV_FILE_NAME_MAX);
    call_submit_outcome(guest, request, UV_HOST_TOUCH, &writer, false, go_on, data);
}

void fs_guest_import(FsGuest *guest, void *request, GBytes *json, FsContinue go_on, void *data)
{
    gsize size;
    const void *bytes = g_bytes_get_data(json, &size);
    g_auto(UvWriter) writer = uv_writer(UV_HOST_IMPORT_MAX);

    uv_write_bytes(&writer, bytes, size);
    call_submit_outcome(guest, request, UV_HOST_IMPORT, &writer, false, go_on, data);
}

static void ignore_continue(FsGuest *guest, int error, void *data)
{
}

void fs_guest_store_changed(FsGuest *guest)
{
    if (guest->live && guest->live->engine)
        fs_guest_need(guest, FS_NEED_REPLICA, NULL, ignore_continue, NULL);
}
