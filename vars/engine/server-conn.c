/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * One connection. A request is taken only when the reply before it is wholly sent: a client that
 * sends and does not read costs one request and one reply, whatever it sends. Each connection has
 * one GSource, with its descriptor and its next deadline.
 */

#include "server-internal.h"

#include <sched.h>
#include <string.h>
#include <syslog.h>

#define HELLO_US (2 * G_USEC_PER_SEC)
#define FRAME_US (5 * G_USEC_PER_SEC)
#define CLOSING_US (2 * G_USEC_PER_SEC)
/* Frames handled before the others get their turn. */
#define TURN_FRAMES 16
/* How long the guest's next request is awaited awake. */
#define SPIN_US 32

typedef struct {
    GSource source;
    UvConn *conn; /* NULL when the connection is closed */
} ConnSource;

static void conn_clear(gpointer data)
{
    UvConn *conn = data;

    uv_frame_io_free(conn->io);
    uv_trace_free(conn->trace);
}

static void conn_unref(UvConn *conn)
{
    g_rc_box_release_full(conn, conn_clear);
}

static void leave_server(UvConn *conn)
{
    UvServer *server = conn->server;

    if (conn->kind == UV_CONN_PENDING) {
        g_queue_remove(&server->pending, conn);
    } else if (conn->kind == UV_CONN_HOST) {
        g_ptr_array_remove(server->hosts, conn);
        server->traces -= conn->trace != NULL;
        if (server->setup.looked_at && server->hosts->len == 0)
            uv_server_stop(server, uv_server_compact(server) ? 0 : 1);
    } else if (server->guest == conn) {
        server->guest = NULL;
        uv_session_lost(server);
    }
}

void uv_conn_close(UvConn *conn)
{
    if (conn->closed)
        return;
    conn->closed = true;
    ((ConnSource *)conn->source)->conn = NULL;
    g_source_destroy(conn->source);
    g_source_unref(conn->source);
    leave_server(conn);
    uv_server_rearm(conn->server);
    conn_unref(conn);
}

static bool may_take_more(const UvConn *conn)
{
    return !conn->closed && !conn->closing && uv_frame_io_queued_bytes(conn->io) == 0;
}

/* The next moment at which something is late, or -1. */
static int64_t deadline(const UvConn *conn)
{
    const int64_t partial = uv_frame_io_partial_since(conn->io);
    int64_t at = G_MAXINT64;

    if (conn->closing)
        return conn->since_us + CLOSING_US;
    if (conn->kind == UV_CONN_PENDING)
        at = conn->since_us + HELLO_US;
    if (partial != 0 && uv_frame_io_queued_bytes(conn->io) == 0)
        at = MIN(at, partial + FRAME_US);
    return at == G_MAXINT64 ? -1 : at;
}

static void rearm(UvConn *conn)
{
    if (conn->in_dispatch)
        return;
    const GIOCondition wanted = uv_frame_io_queued_bytes(conn->io) > 0 ? G_IO_OUT : G_IO_IN;
    int64_t at = deadline(conn);

    if (may_take_more(conn) && uv_frame_io_has_buffered(conn->io) &&
        uv_frame_io_partial_since(conn->io) == 0)
        at = 0;
    if (wanted != conn->watched)
        g_source_modify_unix_fd(conn->source, conn->tag, wanted);
    conn->watched = wanted;
    g_source_set_ready_time(conn->source, at);
}

static void sent(UvConn *conn, UvFrameResult result)
{
    if (result == UV_FRAME_CLOSED)
        uv_conn_close(conn);
    else
        rearm(conn);
}

void uv_conn_reply(UvConn *conn, const UvFrame *request, GBytes *payload)
{
    if (!conn->closed)
        sent(conn, uv_frame_io_send(conn->io, request->type | UV_WIRE_REPLY, request->cookie,
                                    payload, -1));
    if (payload)
        g_bytes_unref(payload);
}

void uv_conn_reply_mm(UvConn *conn, const UvFrame *request, uint32_t device_status, GBytes *buffer)
{
    const uint32_t prefix[2] = {GUINT32_TO_LE(device_status), 0};

    if (!conn->closed)
        sent(conn, uv_frame_io_send_prefixed(conn->io, request->type | UV_WIRE_REPLY,
                                             request->cookie, prefix, sizeof(prefix), buffer, -1));
}

void uv_conn_reply_fd(UvConn *conn, const UvFrame *request, int fd)
{
    sent(conn,
         uv_frame_io_send(conn->io, request->type | UV_WIRE_REPLY, request->cookie, NULL, fd));
}

bool uv_conn_send_event(UvConn *conn, uint16_t type, GBytes *payload)
{
    if (conn->closed)
        return false;
    const UvFrameResult result = uv_frame_io_send(conn->io, type, 0, payload, -1);
    sent(conn, result);
    return result != UV_FRAME_CLOSED;
}

void uv_conn_error(UvConn *conn, uint64_t cookie, uint32_t code, const char *text)
{
    if (conn->closed)
        return;
    g_auto(UvWriter) writer = uv_writer(4096);
    uv_write_u32(&writer, code);
    uv_write_bytes(&writer, text, MIN(strlen(text), 4000));
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    sent(conn, uv_frame_io_send(conn->io, UV_WIRE_ERROR | UV_WIRE_REPLY, cookie, payload, -1));
}

void uv_conn_finish(UvConn *conn)
{
    if (conn->closed)
        return;
    conn->closing = true;
    conn->since_us = g_get_monotonic_time();
    rearm(conn);
}

void uv_conn_refuse(UvConn *conn, uint64_t cookie, uint32_t code, const char *text)
{
    uv_conn_error(conn, cookie, code, text);
    uv_conn_finish(conn);
}

static uint32_t frame_cap(uint16_t type, void *data)
{
    UvConn *conn = data;

    return conn->kind == UV_CONN_HOST ? uv_host_frame_cap(type, conn)
                                      : uv_guest_frame_cap(type, conn);
}

/* What a front's own change makes it be told, and the reply, wake it once. A write to the mount is
 * in the record when it returns. */
static void handle_host(UvConn *conn, UvFrame *frame)
{
    uv_frame_io_hold(conn->io, true);
    uv_host_frame(conn, frame);
    uv_record_settle(conn->server);
    const UvFrameResult result = uv_frame_io_hold(conn->io, false);
    if (!conn->closed)
        sent(conn, result);
}

static void handle(UvConn *conn, UvFrameResult result, UvFrame *frame)
{
    uv_record_settle(conn->server);
    if (conn->closed)
        return;
    uv_actor_of_frame(conn);
    if (result == UV_FRAME_CLOSED)
        uv_conn_close(conn);
    else if (result == UV_FRAME_MALFORMED)
        uv_conn_refuse(conn, 0, UV_WIRE_E_MALFORMED, "malformed frame header");
    else if (result == UV_FRAME_TOO_LARGE)
        uv_host_frame_too_large(conn, frame);
    else if (conn->kind == UV_CONN_HOST)
        handle_host(conn, frame);
    else
        uv_guest_frame(conn, frame);
}

/*
 * Takes what is there. Requests come in runs, and the guest's next one sooner than a sleeping
 * process wakes up: it is asked for again and again for a moment, others first (on one processor
 * the guest is one of them).
 */
static void take_frames(UvConn *conn)
{
    int64_t await_until = 0;

    for (unsigned taken = 0; taken < TURN_FRAMES && may_take_more(conn);) {
        g_auto(UvFrame) frame = {.fd = -1};
        const UvFrameResult result = uv_frame_io_receive(conn->io, &frame);

        if (result == UV_FRAME_NONE) {
            uv_record_settle(conn->server);
            if (g_get_monotonic_time() >= await_until)
                return;
        } else {
            handle(conn, result, &frame);
            taken++;
            if (conn->kind != UV_CONN_GUEST)
                continue;
            await_until = g_get_monotonic_time() + SPIN_US;
        }
        sched_yield();
    }
}

static void check_deadline(UvConn *conn, int64_t now)
{
    const int64_t at = deadline(conn);

    if (at < 0 || now < at)
        return;
    if (conn->closing) {
        uv_conn_close(conn);
        return;
    }
    uv_conn_refuse(conn, 0, UV_WIRE_E_TIMEOUT,
                   conn->kind == UV_CONN_PENDING ? "no HELLO within 2 seconds"
                                                 : "a frame was not complete within 5 seconds");
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    UvConn *conn = ((ConnSource *)source)->conn;

    if (!conn)
        return G_SOURCE_REMOVE;
    g_rc_box_acquire(conn);
    conn->in_dispatch = true;
    const UvFrameResult flushed = uv_frame_io_flush(conn->io);
    if (flushed == UV_FRAME_CLOSED)
        uv_conn_close(conn);
    else if (flushed == UV_FRAME_READY && conn->trace)
        uv_trace_drained(conn);
    take_frames(conn);
    if (!conn->closed)
        check_deadline(conn, g_source_get_time(source));
    if (!conn->closed && conn->closing && uv_frame_io_queued_bytes(conn->io) == 0)
        uv_conn_close(conn);
    const bool stays = !conn->closed;
    conn->in_dispatch = false;
    if (stays)
        rearm(conn);
    uv_server_rearm(conn->server);
    conn_unref(conn);
    return stays;
}

UvConn *uv_conn_new(UvServer *server, int fd, UvConnKind kind, bool must_prove)
{
    static GSourceFuncs funcs = {.dispatch = dispatch};
    UvConn *conn = g_rc_box_new0(UvConn);

    conn->server = server;
    conn->kind = kind;
    conn->io = uv_frame_io_new(fd, frame_cap, conn);
    conn->must_prove = must_prove;
    if (!must_prove)
        uv_frame_io_refuse_descriptors(conn->io);
    if (kind == UV_CONN_HOST)
        uv_frame_io_skip_too_large(conn->io);
    conn->since_us = g_get_monotonic_time();
    conn->source = g_source_new(&funcs, sizeof(ConnSource));
    ((ConnSource *)conn->source)->conn = conn;
    conn->watched = G_IO_IN;
    conn->tag = g_source_add_unix_fd(conn->source, fd, G_IO_IN);
    g_source_set_ready_time(conn->source, deadline(conn));
    /* Nothing in a dispatch runs the loop. Without this GLib takes the descriptor out of its poll
     * set and in again around each, and wakes itself both times: five system calls a request. */
    g_source_set_can_recurse(conn->source, TRUE);
    g_source_attach(conn->source, NULL);
    return conn;
}
