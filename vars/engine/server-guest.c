/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The guest socket: HELLO first, then MM, RESET, SAVE, LOAD, ACQUIRE, BYE. */

#include <string.h>
#include <syslog.h>

#include "fd.h"
#include "mm.h"
#include "server-internal.h"
#include "uv-limits.h"

/* Before HELLO a connection may cost no more than this. */
#define UNGREETED_MAX 4096u

static bool decode_hello(GBytes *payload, UvHello *hello)
{
    UvReader reader = uv_reader_of(payload);
    *hello = (UvHello){0};
    hello->lowest = uv_read_u32(&reader);
    hello->highest = uv_read_u32(&reader);
    hello->features = uv_read_u32(&reader);
    hello->flags = uv_read_u32(&reader);
    const uint8_t *id = uv_read_bytes(&reader, sizeof(hello->id));
    hello->buffer_size = uv_read_u32(&reader);
    if (reader.failed || reader.left > UV_WIRE_NAME_MAX || hello->buffer_size == 0 ||
        hello->lowest > hello->highest)
        return false;
    memcpy(hello->id, id, sizeof(hello->id));
    memcpy(hello->name, reader.at, reader.left);
    return strlen(hello->name) == reader.left && g_utf8_validate(hello->name, -1, NULL);
}

static GBytes *hello_reply(const UvServer *server)
{
    static const char build[] = "uefivarsd " UV_VERSION;
    uint32_t flags = 0;

    if (server->setup.service->force_secure_boot)
        flags |= UV_WIRE_STATE_FORCE_SECURE_BOOT;
    if (server->setup.service->disable_custom_mode)
        flags |= UV_WIRE_STATE_DISABLE_CUSTOM_MODE;
    if (uv_server_is_read_only(server))
        flags |= UV_WIRE_STATE_READ_ONLY;
    g_auto(UvWriter) writer = uv_writer(256);
    uv_write_u32(&writer, UV_WIRE_VERSION);
    uv_write_u32(&writer, 0); /* no features yet */
    uv_write_u32(&writer, server->buffer_size);
    uv_write_u32(&writer, flags);
    uv_write_u64(&writer, uv_server_storage_bytes(server));
    uv_write_bytes(&writer, build, strlen(build));
    return uv_writer_steal(&writer);
}

/*
 * The descriptor is closed before the engine looks whether others have the store open, and none is
 * taken after it.
 */
static bool may_be_guest(UvConn *conn, UvFrame *frame, UvHello *hello)
{
    const char *refusal = NULL;

    if (conn->must_prove)
        refusal = uv_proof_refusal(conn->server, frame->fd, &hello->shown);

    uv_fd_clear(&frame->fd);
    uv_frame_io_refuse_descriptors(conn->io);
    if (refusal)
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_PROOF, refusal);
    return !refusal;
}

static void handle_hello(UvConn *conn, UvFrame *frame)
{
    UvServer *server = conn->server;
    g_autofree char *text = NULL;
    UvHello hello;

    if (conn->kind == UV_CONN_GUEST) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STATE, "HELLO was said already");
        return;
    }
    if (!decode_hello(frame->payload, &hello)) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_MALFORMED, "malformed HELLO");
        return;
    }
    if (hello.lowest > UV_WIRE_VERSION || hello.highest < UV_WIRE_VERSION) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_VERSION, "this engine speaks version 1");
        return;
    }
    if (!may_be_guest(conn, frame, &hello))
        return;
    if (!uv_session_hello(server, conn, &hello, &text)) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_OCCUPIED, text);
        return;
    }
    server->buffer_size = MIN(hello.buffer_size, UV_MM_BUFFER_MAX);
    uv_conn_reply(conn, frame, hello_reply(server));
}

/* The buffer after processing; a new reference. */
static GBytes *process_mm(UvServer *server, GBytes *payload, uint32_t *ret_device_status)
{
    gsize size;
    const uint8_t *request = g_bytes_get_data(payload, &size);

    if (server->session.mode == UV_SESSION_RELEASED) {
        *ret_device_status = UV_DEVICE_BUSY;
        return g_bytes_ref(payload);
    }
    if (size > server->buffer_size) {
        *ret_device_status = UV_DEVICE_BAD_BUFFER_SIZE;
        return g_bytes_ref(payload);
    }
    GBytes *reply = uv_mm_handle(server->service, request, size, ret_device_status);
    if (!uv_mm_only_asks(request, size)) {
        uv_session_persist(server);
        uv_events_state_changed(server);
    }
    return reply;
}

static void handle_mm(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    const int64_t since_us = g_get_monotonic_time();
    const bool traced = server->traces > 0;
    uint32_t device_status = UV_DEVICE_SUCCESS;
    UvTraceBefore before;

    if (server->session.mode == UV_SESSION_INCOMING) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STATE, "nothing is served before LOAD");
        return;
    }
    if (traced)
        uv_trace_begin(server, &before);
    g_autoptr(GBytes) reply = process_mm(server, frame->payload, &device_status);
    uv_conn_reply_mm(conn, frame, device_status, reply);
    uv_counters_request(&server->counters, frame->payload, reply, since_us);
    if (traced)
        uv_trace_end(server, &before, frame->payload, reply, device_status);
}

static void handle_reset(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;

    if (server->session.mode == UV_SESSION_RELEASED) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STATE, "the store is released");
        return;
    }
    /* QEMU resets its machine before it loads an incoming one: there is nothing to reset yet. */
    if (server->session.mode == UV_SESSION_SERVING)
        uv_session_cold_start(server);
    uv_trace_reset(server);
    uv_conn_reply(conn, frame, NULL);
}

static void handle_bye(UvConn *conn, const UvFrame *frame)
{
    if (conn->server->session.mode == UV_SESSION_SERVING)
        uv_saved_end(conn->server);
    uv_session_end(conn->server);
    uv_conn_reply(conn, frame, NULL);
    uv_conn_finish(conn);
}

/* By type: how large the payload may be, and what answers it once HELLO was said. */
static const struct {
    uint32_t max_bytes;
    void (*handle)(UvConn *conn, const UvFrame *frame);
} types[] = {
    [UV_WIRE_MM] = {UV_WIRE_MM_MAX, handle_mm},  [UV_WIRE_RESET] = {0, handle_reset},
    [UV_WIRE_SAVE] = {4, uv_migrate_save},       [UV_WIRE_LOAD] = {UV_WIRE_MM_MAX, uv_migrate_load},
    [UV_WIRE_ACQUIRE] = {0, uv_migrate_acquire}, [UV_WIRE_BYE] = {0, handle_bye},
};

static bool is_known(uint16_t type)
{
    return type < G_N_ELEMENTS(types) && types[type].handle;
}

uint32_t uv_guest_frame_cap(uint16_t type, void *data)
{
    const UvConn *conn = data;
    const uint32_t max = is_known(type) ? types[type].max_bytes : UV_WIRE_MM_MAX;

    if (type == UV_WIRE_HELLO)
        return UV_WIRE_HELLO_MAX;
    if (conn->kind == UV_CONN_PENDING)
        return MIN(max, UNGREETED_MAX);
    return type == UV_WIRE_LOAD ? uv_migrate_load_cap(conn->server) : max;
}

void uv_guest_frame(UvConn *conn, UvFrame *frame)
{
    if (frame->type == UV_WIRE_HELLO) {
        handle_hello(conn, frame);
        return;
    }
    if (conn->kind == UV_CONN_PENDING) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_STATE, "HELLO comes first");
        return;
    }
    if (is_known(frame->type))
        types[frame->type].handle(conn, frame);
    else
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_UNKNOWN_TYPE, "unknown frame type");
}
