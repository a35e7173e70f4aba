/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Who acts, told to the record: set when a frame is looked at, and for what is no frame. */

#include <string.h>

#include "server-internal.h"

/* u32 uid, gid, pid, and a name. Of the next request of this connection that changes something. */
void uv_actor_said(UvConn *conn, const UvFrame *frame)
{
    UvReader reader = uv_reader_of(frame->payload);
    UvActor actor = {.door = UV_RECORD_HOST, .known = true};
    actor.uid = uv_read_u32(&reader);
    actor.gid = uv_read_u32(&reader);
    actor.pid = uv_read_u32(&reader);
    if (reader.failed)
        return;
    memcpy(actor.comm, reader.at, MIN(reader.left, UV_RECORD_COMM_MAX));
    conn->actor = actor;
}

G_STATIC_ASSERT(UV_RECORD_SESSION_BYTES == UV_WIRE_SESSION_ID_BYTES);

void uv_actor_of_frame(UvConn *conn)
{
    UvServer *server = conn->server;

    server->is_recorded = false;
    if (conn->kind == UV_CONN_HOST) {
        server->actor = conn->actor;
        server->actor.door = UV_RECORD_HOST;
        return;
    }
    server->actor = (UvActor){
        .door = UV_RECORD_GUEST,
        .client = server->session.name,
        .session_id = server->session.id,
    };
}

UvRecordDoor uv_actor_enter(UvServer *server, UvRecordDoor door)
{
    const UvRecordDoor before = server->actor.door;

    server->actor.door = door;
    return before;
}

void uv_actor_leave(UvServer *server, UvRecordDoor before)
{
    server->actor.door = before;
}

void uv_record_settle(UvServer *server)
{
    uv_record_flush(server->record);
    for (guint i = server->hosts->len; i > 0; i--)
        uv_events_recorded(server->hosts->pdata[i - 1]);
}

void uv_record_follow(UvConn *conn)
{
    conn->follows_record = true;
    uv_events_recorded(conn);
}

static const UvActor *actor_now(UvServer *server)
{
    server->actor.phase = *uv_service_phase(server->service);
    return &server->actor;
}

/* Who holds the store records what is done to it; what is read there later is on record by then. */
static bool may_record(UvServer *server)
{
    const UvStoreLock *lock = &server->store->lock;

    server->actor.on_host = lock->host ? lock->host->name : NULL;
    return !lock->host || (uv_store_lock_is_held(lock) && server->actor.door != UV_RECORD_OUTSIDE);
}

void uv_record_observed(UvServer *server, const UvChange *change)
{
    /* Volatile variables that a boot begins without, and those that are derived, no user wrote. */
    if (server->takes_over || (server->is_boot_work && !uv_change_touches_nv(change)))
        return;
    if (!may_record(server))
        return;
    const UvActor *actor = actor_now(server);
    uv_record_change(server->record, actor, change);
    uv_log_changes(server, actor, change);
}

static void note_refusal(UvServer *server, const UvRecordRefusal *refusal)
{
    server->is_recorded = true;
    server->counters.refusals++;
    if (may_record(server))
        uv_record_refusal(server->record, actor_now(server), refusal);
    uv_log_refusal(server, actor_now(server), refusal);
}

void uv_record_refused(const UvSetRequest *request, EfiStatus status, const UvRefusal *refusal,
                       void *data)
{
    UvServer *server = data;
    const UvVarset *variables = uv_service_variables(server->service);
    const UvRecordRefusal refused = {
        .request = request,
        .before = request->name ? uv_varset_lookup(variables, &request->guid, request->name) : NULL,
        .status = status,
        .rule = refusal->rule,
        .reason = uv_service_refusal_text(server->service, refusal),
    };

    if (status != EFI_SUCCESS)
        note_refusal(server, &refused);
    else /* a change, and recorded as that */
        uv_log_waived(server, actor_now(server), request, refusal);
}

void uv_refused_said(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    UvReader reader = uv_reader_of(frame->payload);
    UvRecordRefusal refused = {.at_us = (int64_t)uv_read_u64(&reader)};

    refused.error = (int)uv_read_u32(&reader);
    const uint32_t missed = uv_read_u32(&reader);
    g_autofree char *operation = uv_host_read_text(&reader);
    g_autofree char *path = operation ? uv_host_read_text(&reader) : NULL;
    g_autofree char *reason = path ? uv_host_read_text(&reader) : NULL;
    if (!reason || !uv_reader_done(&reader) || refused.error <= 0)
        return;
    refused.operation = operation;
    refused.path = path;
    refused.reason = reason;
    uv_record_missed(server->record, missed);
    note_refusal(server, &refused);
}

void uv_record_refused_path(UvServer *server, const char *path, EfiStatus status,
                            const char *reason)
{
    const UvRecordRefusal refused = {.path = path, .status = status, .reason = reason};

    if (!server->is_recorded)
        note_refusal(server, &refused);
}
