/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What subscribed host connections are told. An event is in the connection's socket before the
 * reply that it precedes leaves; one that does not fit there cuts the connection off (its front
 * connects again and asks for a new snapshot). Only while a reply that the front itself asked for
 * is still under way is it given a moment to read on.
 */

#include <poll.h>
#include <string.h>
#include <syslog.h>

#include "server-internal.h"
#include "shown-name.h"
#include "uv-limits.h"

#define PATIENCE_MS 100

uint32_t uv_events_state(const UvServer *server)
{
    uint32_t state = 0;

    if (server->session_alive)
        state |= UV_HOST_STATE_GUEST;
    if (server->guest && server->session_alive)
        state |= UV_HOST_STATE_CONNECTED;
    if (uv_server_is_read_only(server))
        state |= UV_HOST_STATE_READ_ONLY;
    if (uv_service_phase(server->service)->exit_boot_services)
        state |= UV_HOST_STATE_RUNTIME;
    if (server->session_alive && server->session.mode != UV_SESSION_SERVING)
        state |= UV_HOST_STATE_RELEASED;
    return state;
}

static void write_usage(const UvServer *server, UvWriter *writer)
{
    const UvQueryInfo info = uv_service_usage(server->service);

    uv_write_u64(writer, info.maximum_storage_bytes);
    uv_write_u64(writer, info.remaining_storage_bytes);
    uv_write_u64(writer, info.maximum_variable_bytes);
}

static void write_name(UvWriter *writer, const char *name)
{
    uv_write_u16(writer, strlen(name));
    uv_write_bytes(writer, name, strlen(name));
}

/*
 * What the service derives at each start (SetupMode and kin) is as old as what it is derived from,
 * so that a backup does not copy it again because the store's file was written. 0: from nothing.
 */
static int64_t derived_mtime_ns(const UvServer *server)
{
    static const struct {
        const UvGuid *guid;
        const char *name;
    } keys[] = {
        {&uv_guid_global_variable, "PK"},
        {&uv_guid_secure_boot_enable, "SecureBootEnable"},
        {&uv_guid_vendor_keys_nv, "VendorKeysNv"},
    };
    int64_t mtime_ns = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autoptr(UvName) name = uv_name_new_utf8(keys[i].name, NULL);
        const UvVariable *key =
            uv_varset_lookup(uv_service_variables(server->service), keys[i].guid, name);
        if (key)
            mtime_ns = MAX(mtime_ns, key->mtime_ns);
    }
    return mtime_ns;
}

static void write_entry(const UvServer *server, UvWriter *writer, const char *name,
                        const UvVariable *variable)
{
    int64_t mtime_ns = variable->mtime_ns;

    if (mtime_ns == 0)
        mtime_ns = uv_variable_is_nv(variable) ? server->store->identity.mtime_ns
                                               : derived_mtime_ns(server);
    write_name(writer, name);
    uv_write_u64(writer, mtime_ns);
    uv_write_u32(writer, 4 + g_bytes_get_size(variable->data));
    uv_write_u32(writer, variable->attributes);
    uv_write_gbytes(writer, variable->data);
}

void uv_events_write_entry(const UvServer *server, UvWriter *writer, const UvVariable *variable)
{
    g_autofree char *name = uv_shown_name_format(variable->name, &variable->guid);

    write_entry(server, writer, name, variable);
}

/* Waits a moment for a front that is reading a reply; true if all is sent. */
static bool drain(UvConn *conn)
{
    const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
    UvFrameResult result;

    while ((result = uv_frame_io_flush(conn->io)) == UV_FRAME_NONE) {
        const int64_t left = until - g_get_monotonic_time();
        struct pollfd poll_fd = {uv_frame_io_fd(conn->io), POLLOUT, 0};
        if (left <= 0 || poll(&poll_fd, 1, (int)(left / 1000) + 1) < 0)
            return false;
    }
    return result == UV_FRAME_READY;
}

/* Queues an event; the connection is cut off if it does not go. */
static void send_event(UvConn *conn, uint16_t type, GBytes *payload)
{
    const bool reading = uv_frame_io_queued_bytes(conn->io) > 0;
    UvFrameResult result = uv_frame_io_send(conn->io, type, 0, payload, -1);

    if (result == UV_FRAME_NONE && reading && drain(conn))
        result = UV_FRAME_READY;
    if (result == UV_FRAME_READY)
        return;
    if (result == UV_FRAME_NONE)
        uv_log_limited(&conn->server->events, LOG_NOTICE,
                       "a host connection does not read its events: cut off");
    uv_conn_close(conn);
}

static void tell(UvServer *server, uint16_t type, GBytes *payload)
{
    g_autoptr(GPtrArray) hosts = g_ptr_array_copy(server->hosts, NULL, NULL);

    for (guint i = 0; i < hosts->len; i++) {
        UvConn *conn = hosts->pdata[i];
        if (conn->subscribed && !conn->closed)
            send_event(conn, type, payload);
    }
}

static bool somebody_listens(const UvServer *server)
{
    for (guint i = 0; i < server->hosts->len; i++) {
        if (((UvConn *)server->hosts->pdata[i])->subscribed)
            return true;
    }
    return false;
}

void uv_events_write_head(const UvServer *server, UvWriter *writer)
{
    uv_write_u32(writer, uv_events_state(server));
    write_usage(server, writer);
    uv_store_identity_write(&server->store->identity, writer);
}

static void write_item(const UvServer *server, UvWriter *writer, const UvChangeItem *item)
{
    const UvVariable *variable = item->after ? item->after : item->before;
    g_autofree char *name = uv_shown_name_format(variable->name, &variable->guid);

    uv_write_u8(writer, item->after != NULL);
    if (item->after)
        write_entry(server, writer, name, item->after);
    else
        write_name(writer, name);
}

void uv_events_changed(UvService *service, const UvChange *change, void *data)
{
    UvServer *server = data;

    if (uv_change_touches_nv(change))
        server->holds_store = true;
    uv_record_observed(server, change);
    if (!somebody_listens(server))
        return;
    g_auto(UvWriter) writer = uv_writer(2 * UV_WIRE_BLOB_MAX);
    uv_events_write_head(server, &writer);
    uv_write_u32(&writer, uv_change_count(change));
    for (size_t i = 0; i < uv_change_count(change); i++)
        write_item(server, &writer, uv_change_item(change, i));
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    if (payload)
        tell(server, UV_HOST_CHANGED, payload);
    server->told_state = uv_events_state(server);
}

void uv_events_touched(UvServer *server, const UvVariable *variable)
{
    g_autofree char *name = uv_shown_name_format(variable->name, &variable->guid);

    if (!somebody_listens(server))
        return;
    g_auto(UvWriter) writer = uv_writer(2 * UV_WIRE_BLOB_MAX);
    uv_events_write_head(server, &writer);
    uv_write_u32(&writer, 1);
    uv_write_u8(&writer, true);
    write_entry(server, &writer, name, variable);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    if (payload)
        tell(server, UV_HOST_CHANGED, payload);
}

void uv_events_state_changed(UvServer *server)
{
    const uint32_t state = uv_events_state(server);

    if (state == server->told_state && server->guest_process == server->told_process)
        return;
    server->told_state = state;
    server->told_process = server->guest_process;
    g_auto(UvWriter) writer = uv_writer(256);
    uv_events_write_head(server, &writer);
    uv_write_u32(&writer, (uint32_t)server->guest_process);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    tell(server, UV_HOST_STATE, payload);
}

void uv_events_recorded(UvConn *conn)
{
    const uint64_t bytes = uv_record_written_bytes(conn->server->record);

    if (!conn->follows_record || (conn->knows_record && conn->told_record_bytes == bytes))
        return;
    conn->knows_record = true;
    conn->told_record_bytes = bytes;
    conn->follows_record = false;
    send_event(conn, UV_HOST_RECORDED, NULL);
}
