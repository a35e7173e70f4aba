/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SAVE, LOAD and ACQUIRE: a guest's whole state out and in, and the hand-over of its store.
 *
 * On one shared store exactly one engine writes at a time: the source compacts and lets go
 * (RELEASE) before it answers, the target takes the store only at LOAD, and finds it as the blob
 * says, so it writes nothing. A source whose migration failed takes the store back (ACQUIRE),
 * unless another engine wrote to it since: then it must not go on with what it remembers. On two
 * stores LOAD replaces the target's content, and keeps what was there as FILE.before-load.
 */

#include <syslog.h>

#include "blob.h"
#include "server-internal.h"
#include "signers.h"
#include "uv-limits.h"

/* In a blob a variable takes this much more than its record in a store, at most. */
#define BLOB_OVERHEAD 3u
/* Policies, and what else a session is. */
#define BLOB_SESSION_BYTES (UV_POLICY_TABLE_MAX + 65536u)

uint32_t uv_migrate_load_cap(const UvServer *server)
{
    const size_t used = uv_varset_used_bytes(uv_service_variables(server->service), true);
    const size_t size = server->setup.service->size_bytes;

    return MIN(BLOB_OVERHEAD * (MAX(size, used) + size) + BLOB_SESSION_BYTES, UV_WIRE_BLOB_MAX);
}

static GBytes *encode(UvServer *server)
{
    g_auto(UvWriter) writer = uv_writer(UV_WIRE_BLOB_MAX);

    uv_service_write_session(server->service, &writer);
    g_autoptr(GBytes) session = uv_writer_steal(&writer);
    return session ? uv_blob_encode(uv_service_variables(server->service),
                                    server->store->generation, session)
                   : NULL;
}

/* Compact, let go of the lock. In the file now is what the blob has. */
static bool release(UvServer *server, GError **error)
{
    UvStore *store = server->store;

    if (server->session.mode == UV_SESSION_RELEASED)
        return true;
    if (uv_hold_is_shared(server))
        uv_record_sync(server->record);
    if (!store->ops->release(store, uv_service_variables(server->service), error))
        return false;
    uv_record_let_go(server->record);
    server->session.mode = UV_SESSION_RELEASED;
    server->holds_store = false;
    server->session.identity = store->identity;
    return true;
}

void uv_migrate_save(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_autoptr(GError) error = NULL;
    UvReader reader = uv_reader_of(frame->payload);
    const uint32_t flags = uv_read_u32(&reader);
    if (!uv_reader_done(&reader)) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_MALFORMED, "malformed SAVE");
        return;
    }
    if (server->session.mode == UV_SESSION_INCOMING) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STATE, "there is nothing before LOAD");
        return;
    }
    /* Complete first: that the file is written is no change that is younger than the state. */
    uv_server_compact(server);
    uv_store_new_generation(server->store, g_get_real_time() * 1000);
    g_autoptr(GBytes) blob = encode(server);
    if (!blob) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STORE, "the state is larger than a blob");
        return;
    }
    if ((flags & UV_WIRE_SAVE_RELEASE) && !release(server, &error)) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STORE, error->message);
        return;
    }
    uv_saved_begin(server);
    uv_trace_event(server, flags & UV_WIRE_SAVE_RELEASE ? "released" : "saved");
    uv_session_persist(server);
    uv_events_state_changed(server);
    uv_conn_reply(conn, frame, g_steal_pointer(&blob));
}

/* The session of the blob fits its variables; found out on a service aside. */
static bool session_is_valid(UvServer *server, const UvBlob *blob)
{
    UvService *aside = uv_service_new(server->setup.service, NULL);

    uv_service_load(aside, blob->variables);
    UvReader reader = uv_reader_of(blob->session);
    const bool valid = uv_service_read_session(aside, &reader) && uv_reader_done(&reader);
    uv_service_free(aside);
    return valid;
}

/* The same variables in the same order. */
static bool is_same(const UvVarset *set, const GPtrArray *variables)
{
    guint i = 0;

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (!uv_variable_is_nv(v))
            continue;
        if (i >= variables->len)
            return false;
        const UvVariable *other = variables->pdata[i++];
        if (!uv_variable_same_key(v, other) || !uv_variable_same(v, other))
            return false;
    }
    return i == variables->len;
}

/* Nothing to write: it is there, as it came or as this kind of store has it. */
static bool is_what_we_have(const UvServer *server, const UvBlob *blob)
{
    const UvVarset *set = uv_service_variables(server->service);
    const bool keeps_certdb = uv_service_config(server->service)->keeps_certdb;

    if (is_same(set, blob->variables))
        return true;
    g_autoptr(GPtrArray) wanted = uv_signers_convert(blob->variables, true, keeps_certdb);
    return is_same(set, wanted);
}

/* Takes the lock, and knows what is in the file. */
static bool take_store(UvServer *server, GError **error)
{
    UvStore *store = server->store;
    g_autoptr(GError) failure = NULL;

    if (server->session.mode == UV_SESSION_SERVING)
        return true;
    uv_hold_wait(server);
    if (store->ops->acquire(store, &failure) && !server->changed_when_resumed &&
        !store->ops->changed(store))
        return true;
    if (failure && !g_error_matches(failure, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED))
        return uv_fail_with(error, g_steal_pointer(&failure));
    /* Changed while we looked away: what is there now is what the blob is compared with. */
    server->takes_over = true;
    const bool reloaded = uv_server_reload(server, error);
    server->takes_over = false;
    if (!reloaded)
        return false;
    return store->ops->acquire(store, error);
}

/* Also a store that was changed after the state was saved: a warning stays in the status then. */
static void say_replaced(UvServer *server, bool is_older)
{
    const char *kept = uv_folder_path(server->store->folder, UV_FILE_BEFORE_LOAD);

    if (is_older)
        uv_store_warn(server->store,
                      "a state older than the store was loaded; what was newer is kept in %s",
                      kept);
    uv_log_limited(&server->events, is_older ? LOG_WARNING : LOG_NOTICE,
                   "the store was replaced by a loaded state%s; what it held is in %s",
                   is_older ? " that is older" : "", kept);
}

static bool replace(UvServer *server, const UvBlob *blob, GError **error)
{
    UvStore *store = server->store;
    const bool is_older = blob->generation < store->generation;

    if (is_what_we_have(server, blob))
        return true;
    if (!uv_service_may_hold(server->service, blob->variables, error) ||
        !store->ops->keep_before_load(store, error) ||
        !uv_service_replace(server->service, blob->variables, error))
        return false;
    say_replaced(server, is_older);
    return true;
}

static void take_session(UvServer *server, const UvBlob *blob)
{
    UvReader reader = uv_reader_of(blob->session);
    if (!uv_service_read_session(server->service, &reader)) {
        /* It was valid aside; what is left of the old session must not serve. */
        uv_service_fail_closed(server->service);
        server->session_failed_closed = true;
    }
}

void uv_migrate_load(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_autoptr(GError) error = NULL;
    g_autoptr(UvBlob) blob = uv_blob_decode(frame->payload, &error);

    if (!blob || !session_is_valid(server, blob)) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_BLOB,
                      error ? error->message : "state blob: its session is malformed");
        return;
    }
    const UvRecordDoor before = uv_actor_enter(server, UV_RECORD_MIGRATION);
    const bool loaded = take_store(server, &error) && replace(server, blob, &error);
    uv_actor_leave(server, before);
    if (!loaded) {
        uv_log_limited(&server->events, LOG_WARNING, "a state can't be loaded: %s", error->message);
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STORE, error->message);
        return;
    }
    take_session(server, blob);
    server->session.mode = UV_SESSION_SERVING;
    server->holds_store = true;
    server->changed_when_resumed = false;
    uv_saved_end_elsewhere(server);
    server->store->generation = MAX(server->store->generation, blob->generation);
    uv_trace_event(server, "loaded");
    uv_session_persist(server);
    uv_events_state_changed(server);
    uv_conn_reply(conn, frame, NULL);
}

void uv_migrate_acquire(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    UvStore *store = server->store;
    g_autoptr(GError) error = NULL;

    if (server->session.mode == UV_SESSION_INCOMING) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STATE, "the store is taken by LOAD");
        return;
    }
    if (server->session.mode == UV_SESSION_RELEASED) {
        const bool changed = server->changed_when_resumed || store->ops->changed(store);
        if (changed || !store->ops->acquire(store, &error)) {
            const bool is_change =
                changed || g_error_matches(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
            uv_conn_error(conn, frame->cookie, is_change ? UV_WIRE_E_CHANGED : UV_WIRE_E_STORE,
                          error ? error->message : "the store changed while it was released");
            return;
        }
        server->session.mode = UV_SESSION_SERVING;
        server->holds_store = true;
    }
    uv_saved_end(server);
    uv_trace_event(server, "acquired");
    uv_session_persist(server);
    uv_events_state_changed(server);
    uv_conn_reply(conn, frame, NULL);
}
