/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The host socket: what uefivarsfs asks for (wire.h has the payloads). */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "server-internal.h"
#include "uv-limits.h"

#define REASON_MAX 1024u
/* Of the state that is left behind: one that is longer is not. */
#define END_STATUS_MAX (32u * 1024)

G_STATIC_ASSERT(UV_HOST_NAME_MAX == UV_FILE_NAME_MAX);
G_STATIC_ASSERT(UV_HOST_CONTENT_MAX == 4 + UV_MM_BUFFER_MAX);

/* ---- outcomes ---- */

void uv_host_reply_outcome(UvConn *conn, const UvFrame *frame, EfiStatus status, int error,
                           const char *reason)
{
    g_auto(UvWriter) writer = uv_writer(16 + REASON_MAX);

    uv_write_u64(&writer, status);
    uv_write_u32(&writer, error);
    if (reason)
        uv_write_bytes(&writer, reason, MIN(strlen(reason), REASON_MAX));
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

void uv_host_malformed(UvConn *conn, const UvFrame *frame)
{
    uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_MALFORMED, "malformed payload");
}

void uv_host_frame_too_large(UvConn *conn, const UvFrame *frame)
{
    switch (frame->type) {
    case UV_HOST_SET:
    case UV_HOST_TOUCH:
    case UV_HOST_IMPORT:
        uv_host_reply_outcome(conn, frame, EFI_INVALID_PARAMETER, EINVAL,
                              "larger than a request may be");
        break;
    default:
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_MALFORMED, "larger than a request may be");
        break;
    }
}

/* While another engine may have the store, the host changes nothing here; nor where no signature
 * could be verified, nor, if that is wished, what the loading of a saved state would replace. */
const char *uv_host_is_held(const UvServer *server)
{
    if (server->setup.looked_at)
        return "the guest's engine was started to be looked at";
    if (server->session_alive && server->session.mode != UV_SESSION_SERVING)
        return "the guest is being migrated";
    return uv_saved_refuses(server) ? "a saved state of the guest exists, and would replace this "
                                      "when it is loaded (saved=refuse)"
                                    : NULL;
}

bool uv_host_refuse_held(UvConn *conn, const UvFrame *frame)
{
    const char *why = uv_host_is_held(conn->server);

    if (why)
        uv_host_reply_outcome(conn, frame, EFI_WRITE_PROTECTED, EROFS, why);
    return why;
}

char *uv_host_read_text(UvReader *reader)
{
    const size_t size = uv_read_u16(reader);
    const uint8_t *bytes = uv_read_bytes(reader, size);

    return bytes && !memchr(bytes, '\0', size) ? g_strndup((const char *)bytes, size) : NULL;
}

/* ---- the engine ---- */

static void handle_hello(UvConn *conn, const UvFrame *frame)
{
    static const char build[] = "uefivarsd " UV_VERSION;
    UvReader reader = uv_reader_of(frame->payload);

    const uint32_t version = uv_read_u32(&reader);
    if (reader.failed) {
        uv_host_malformed(conn, frame);
        return;
    }
    if (version != UV_WIRE_VERSION) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_VERSION, "this engine speaks version 1");
        return;
    }
    conn->greeted = true;
    g_auto(UvWriter) writer = uv_writer(256);
    uv_write_u32(&writer, UV_WIRE_VERSION);
    uv_write_u32(&writer, uv_events_state(conn->server));
    uv_write_u32(&writer, getpid());
    uv_store_identity_write(&conn->server->store->identity, &writer);
    uv_write_bytes(&writer, build, strlen(build));
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

static void handle_check(UvConn *conn, const UvFrame *frame)
{
    uv_server_refresh(conn->server);
    g_auto(UvWriter) writer = uv_writer(256);
    uv_events_write_head(conn->server, &writer);
    uv_write_u32(&writer, (uint32_t)conn->server->guest_process);
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

static void handle_end(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;

    uv_server_refresh(server); /* a store that changed is a successor's to complete */
    /* A connection that has not said HELLO yet may be the guest. */
    const bool ends = !server->session_alive && g_queue_is_empty(&server->pending) &&
                      (uv_server_is_outlived(server) || uv_server_compact(server));
    g_auto(UvWriter) writer = uv_writer(64 + END_STATUS_MAX);

    uv_write_u32(&writer, ends);
    uv_store_identity_write(&server->store->identity, &writer);
    g_autoptr(GBytes) status = ends ? uv_status_format(server, false) : NULL;
    if (status && g_bytes_get_size(status) <= END_STATUS_MAX)
        uv_write_gbytes(&writer, status);
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
    /* The session that one that is looked at found is its successor's. */
    if (ends || server->setup.looked_at)
        uv_server_stop(server, 0);
}

static void handle_break(UvConn *conn, const UvFrame *frame)
{
    g_autofree char *reason = NULL;
    const int error = uv_hold_break(conn->server, &reason);

    uv_events_state_changed(conn->server);
    uv_host_reply_outcome(conn, frame, error ? EFI_ACCESS_DENIED : EFI_SUCCESS, error, reason);
}

static void unknown_type(UvConn *conn, const UvFrame *frame)
{
    uv_conn_error(conn, frame->cookie, UV_WIRE_E_UNKNOWN_TYPE, "unknown frame type");
}

static void handle_selftest(UvConn *conn, const UvFrame *frame)
{
    gsize size;
    const char *data = g_bytes_get_data(frame->payload, &size);
    g_autofree char *path = g_strndup(data ? data : "", size);
    char *text;

    if (!conn->server->setup.selftest) {
        unknown_type(conn, frame);
        return;
    }
    text = conn->server->setup.selftest(path);
    uv_conn_reply(conn, frame, g_bytes_new_take(text, strlen(text)));
}

/* A front that did not wait for the reply has reported a failure: the change is not made after
 * that. */
static bool is_given_up(const UvConn *conn, uint16_t type)
{
    struct pollfd poll_fd = {.fd = uv_frame_io_fd(conn->io), .events = POLLRDHUP};

    if (type != UV_HOST_SET && type != UV_HOST_TOUCH && type != UV_HOST_IMPORT)
        return false;
    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void handle_status(UvConn *conn, const UvFrame *frame)
{
    uv_conn_reply(conn, frame, uv_status_format(conn->server, true));
}

static void handle_listener(UvConn *conn, const UvFrame *frame)
{
    uv_conn_reply_fd(conn, frame, conn->server->setup.guest_listener);
}

static void handle_follow(UvConn *conn, const UvFrame *frame)
{
    uv_record_follow(conn);
}

/* By type: how large the payload may be, and what answers it. */
static const struct {
    uint32_t max_bytes;
    void (*handle)(UvConn *conn, const UvFrame *frame);
} types[] = {
    [UV_HOST_HELLO] = {UV_HOST_REQUEST_MAX, handle_hello},
    [UV_HOST_SNAPSHOT] = {0, uv_host_snapshot},
    [UV_HOST_SET] = {UV_HOST_SET_MAX, uv_host_set},
    [UV_HOST_STATUS] = {0, handle_status},
    [UV_HOST_EXPORT] = {0, uv_host_export},
    [UV_HOST_IMPORT] = {UV_HOST_IMPORT_MAX, uv_host_import},
    [UV_HOST_TOUCH] = {UV_HOST_REQUEST_MAX, uv_host_touch},
    [UV_HOST_LISTENER] = {0, handle_listener},
    [UV_HOST_CHECK] = {0, handle_check},
    [UV_HOST_END] = {0, handle_end},
    [UV_HOST_SELFTEST] = {UV_HOST_REQUEST_MAX, handle_selftest},
    [UV_HOST_VIEW_LIST] = {UV_HOST_REQUEST_MAX, uv_host_view_frame},
    [UV_HOST_VIEW_READ] = {UV_HOST_REQUEST_MAX, uv_host_view_frame},
    [UV_HOST_VIEW_ACT] = {UV_VIEW_FRAME_MAX, uv_host_view_frame},
    [UV_HOST_ACTOR] = {UV_HOST_REQUEST_MAX, uv_actor_said},
    [UV_HOST_TRACE] = {UV_HOST_REQUEST_MAX, uv_host_trace_frame},
    [UV_HOST_FOLLOW] = {0, handle_follow},
    [UV_HOST_REFUSED] = {UV_HOST_REQUEST_MAX, uv_refused_said},
    [UV_HOST_BREAK] = {0, handle_break},
};

static bool is_known(uint16_t type)
{
    return type < G_N_ELEMENTS(types) && types[type].handle;
}

uint32_t uv_host_frame_cap(uint16_t type, void *conn)
{
    return is_known(type) ? types[type].max_bytes : UV_HOST_REQUEST_MAX;
}

void uv_host_frame(UvConn *conn, const UvFrame *frame)
{
    if (is_given_up(conn, frame->type))
        return;
    if (!conn->greeted && frame->type != UV_HOST_HELLO) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_STATE, "HELLO comes first");
        return;
    }
    if (is_known(frame->type))
        types[frame->type].handle(conn, frame);
    else
        unknown_type(conn, frame);
    if (frame->type != UV_HOST_ACTOR && frame->type != UV_HOST_FOLLOW)
        conn->actor = (UvActor){0}; /* it was for this one */
}
