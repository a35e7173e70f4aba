/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The host socket: what uefivarsfs asks for (wire.h has the payloads). */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "fd.h"
#include "json.h"
#include "replace-store.h"
#include "server-internal.h"
#include "shown-name.h"
#include "uv-limits.h"

#define REASON_MAX 1024u

G_STATIC_ASSERT(UV_HOST_NAME_MAX == UV_FILE_NAME_MAX);
G_STATIC_ASSERT(UV_HOST_CONTENT_MAX == 4 + UV_MM_BUFFER_MAX);

uint32_t uv_host_frame_cap(uint16_t type, void *conn)
{
    switch (type) {
    case UV_HOST_SNAPSHOT:
    case UV_HOST_STATUS:
    case UV_HOST_EXPORT:
    case UV_HOST_LISTENER:
    case UV_HOST_CHECK:
    case UV_HOST_END:
        return 0;
    case UV_HOST_SET:
        return UV_HOST_SET_MAX;
    case UV_HOST_VIEW_ACT:
        return UV_VIEW_FRAME_MAX;
    case UV_HOST_IMPORT:
        return UV_HOST_IMPORT_MAX;
    default:
        return UV_HOST_REQUEST_MAX;
    }
}

/* ---- outcomes ---- */

static void reply_outcome(UvConn *conn, const UvFrame *frame, EfiStatus status, int error,
                          const char *reason)
{
    g_auto(UvWriter) writer = {0};

    uv_writer_init(&writer, 16 + REASON_MAX);
    uv_write_u64(&writer, status);
    uv_write_u32(&writer, error);
    if (reason)
        uv_write_bytes(&writer, reason, MIN(strlen(reason), REASON_MAX));
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

static void malformed(UvConn *conn, const UvFrame *frame)
{
    uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_MALFORMED, "malformed payload");
}

void uv_host_frame_too_large(UvConn *conn, const UvFrame *frame)
{
    switch (frame->type) {
    case UV_HOST_SET:
    case UV_HOST_TOUCH:
    case UV_HOST_IMPORT:
        reply_outcome(conn, frame, EFI_INVALID_PARAMETER, EINVAL, "larger than a request may be");
        break;
    default:
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_MALFORMED, "larger than a request may be");
        break;
    }
}

/* While another engine may have the store, the host changes nothing here; nor, if that is wished,
 * what the loading of a saved state would replace. */
const char *uv_host_is_held(const UvServer *server)
{
    if (server->session_alive && server->session.mode != UV_SESSION_SERVING)
        return "the guest is being migrated";
    return uv_saved_refuses(server) ? "a saved state of the guest exists, and would replace this "
                                      "when it is loaded (saved=refuse)"
                                    : NULL;
}

static bool refuse_held(UvConn *conn, const UvFrame *frame)
{
    const char *why = uv_host_is_held(conn->server);

    if (why)
        reply_outcome(conn, frame, EFI_WRITE_PROTECTED, EROFS, why);
    return why;
}

/* ---- reading requests ---- */

/* u16 length and a file name; false: malformed. */
static bool read_name(UvReader *reader, char **ret_name)
{
    const size_t size = uv_read_u16(reader);
    const uint8_t *bytes = uv_read_bytes(reader, size);

    if (!bytes || memchr(bytes, '\0', size))
        return false;
    *ret_name = g_strndup((const char *)bytes, size);
    return true;
}

static void payload_reader(const UvFrame *frame, UvReader *ret_reader)
{
    gsize size;
    const void *data = g_bytes_get_data(frame->payload, &size);

    uv_reader_init(ret_reader, data, size);
}

/* ---- SET and TOUCH ---- */

typedef struct {
    uint32_t flags;
    UvSetRequest request;
    UvName *name;
} HostSet;

static void host_set_clear(HostSet *set)
{
    g_clear_pointer(&set->name, uv_name_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostSet, host_set_clear)

/* NULL, or why it can't even be asked. */
static const char *complete_set(const UvServer *server, HostSet *set, const char *file_name,
                                UvReader *content)
{
    switch (uv_shown_name_parse(uv_service_variables(server->service), file_name, &set->name,
                                &set->request.guid)) {
    case UV_SHOWN_NO_NAME:
        return "not a variable's file name";
    case UV_SHOWN_UNKNOWN:
        return "the shortened name of a variable that is not there";
    case UV_SHOWN_NAME:
        break;
    }
    set->request.door = UV_DOOR_HOST;
    set->request.name = set->name;
    set->request.only_asks = set->flags & UV_HOST_SET_ASK;
    if (set->flags & UV_HOST_SET_DELETE)
        return NULL;
    set->request.attributes = uv_read_u32(content);
    set->request.data_bytes = content->left;
    set->request.data = uv_read_bytes(content, content->left);
    return content->failed ? "shorter than the four bytes of attributes" : NULL;
}

/* A front's O_EXCL: it took the variable for absent. */
static bool is_in_the_way(UvServer *server, const HostSet *set)
{
    return (set->flags & UV_HOST_SET_EXCLUSIVE) &&
           uv_varset_lookup(uv_service_variables(server->service), &set->request.guid, set->name);
}

static const char *reason_of(UvServer *server, const UvRefusal *refusal)
{
    const char *text = uv_service_refusal_text(server->service, refusal);

    return text ? text : server->store->read_only_reason;
}

static void handle_set(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_auto(HostSet) set = {0};
    g_autofree char *file_name = NULL;
    const char *reason = NULL;
    UvRefusal refusal = {0};
    UvReader reader;

    payload_reader(frame, &reader);
    set.flags = uv_read_u32(&reader);
    set.request.mtime_ns = uv_read_u64(&reader);
    if (!read_name(&reader, &file_name)) {
        malformed(conn, frame);
        return;
    }
    if (refuse_held(conn, frame))
        return;
    uv_server_refresh(server);
    reason = complete_set(server, &set, file_name, &reader);
    if (reason) {
        reply_outcome(conn, frame, EFI_INVALID_PARAMETER, EINVAL, reason);
        return;
    }
    if (is_in_the_way(server, &set)) {
        reply_outcome(conn, frame, EFI_INVALID_PARAMETER, EEXIST, "the variable exists");
        return;
    }
    const uint64_t generation = server->store->generation;
    EfiStatus status = uv_service_set(server->service, &set.request, &refusal);
    if (status == EFI_SUCCESS && set.request.only_asks && server->store->read_only_reason)
        status = EFI_WRITE_PROTECTED; /* as the store will say */
    if (server->store->generation != generation)
        uv_saved_warn(server);
    uv_session_persist(server);
    uv_events_state_changed(server);
    reply_outcome(conn, frame, status, status == EFI_SUCCESS ? 0 : refusal.error,
                  status == EFI_SUCCESS ? NULL : reason_of(server, &refusal));
}

static void handle_touch(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_autofree char *file_name = NULL;
    g_autoptr(UvName) name = NULL;
    g_autoptr(GError) error = NULL;
    UvReader reader;
    UvGuid guid;

    payload_reader(frame, &reader);
    const int64_t mtime_ns = uv_read_u64(&reader);
    if (!read_name(&reader, &file_name) || !uv_reader_done(&reader)) {
        malformed(conn, frame);
        return;
    }
    if (refuse_held(conn, frame))
        return;
    if (uv_shown_name_parse(uv_service_variables(server->service), file_name, &name, &guid) !=
        UV_SHOWN_NAME) {
        reply_outcome(conn, frame, EFI_NOT_FOUND, ENOENT, "not a variable's file name");
        return;
    }
    if (!uv_service_touch(server->service, &guid, name, mtime_ns, &error)) {
        reply_outcome(conn, frame, EFI_NOT_FOUND, ENOENT, error->message);
        return;
    }
    uv_events_touched(server, uv_varset_lookup(uv_service_variables(server->service), &guid, name));
    reply_outcome(conn, frame, EFI_SUCCESS, 0, NULL);
}

/* ---- whole stores ---- */

static void handle_snapshot(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    const UvVarset *set = uv_service_variables(server->service);
    g_auto(UvWriter) writer = {0};

    uv_server_refresh(server);
    uv_writer_init(&writer, 2 * UV_WIRE_BLOB_MAX);
    uv_write_u32(&writer, uv_events_state(server));
    uv_events_write_usage(server, &writer);
    uv_events_write_identity(server, &writer);
    uv_write_u32(&writer, uv_varset_count(set));
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        uv_events_write_entry(server, &writer, v);
    conn->subscribed = true;
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

/* The file's own text where the file is such a text and complete; NULL otherwise. */
static GBytes *own_text(UvServer *server)
{
    UvStore *store = server->store;
    g_autoptr(GError) error = NULL;

    if (strcmp(store->ops->format, "json") != 0 || server->session.mode != UV_SESSION_SERVING)
        return NULL;
    if (!store->read_only_reason && !uv_server_compact(server))
        return NULL;
    uv_autofd int fd = uv_folder_open(store->folder, UV_FILE_STORE, O_RDONLY, &error);
    if (fd < 0)
        return NULL;
    return uv_read_file(fd, server->store_path, UV_JSON_FILE_MAX, &error);
}

static void handle_export(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;

    uv_server_refresh(server);
    GBytes *text = own_text(server);
    if (!text)
        text = uv_json_format(uv_service_variables(server->service));
    uv_conn_reply(conn, frame, text);
}

static void handle_import(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_autoptr(GError) error = NULL;
    gsize size;
    const char *text = g_bytes_get_data(frame->payload, &size);
    unsigned left_out;

    if (server->session_alive) {
        reply_outcome(conn, frame, EFI_WRITE_PROTECTED, EBUSY, "a guest is connected");
        return;
    }
    if (refuse_held(conn, frame))
        return;
    uv_server_refresh(server);
    g_autoptr(GPtrArray) variables = uv_json_parse("store.json", text, size, &left_out, &error);
    if (!variables) {
        reply_outcome(conn, frame, EFI_INVALID_PARAMETER, EINVAL, error->message);
        return;
    }
    if (!uv_service_replace(server->service, variables, &error)) {
        reply_outcome(conn, frame, uv_store_error_status(error), 0, error->message);
        return;
    }
    uv_log_limited(&server->events, LOG_INFO, "the store was replaced by the host");
    uv_saved_warn(server);
    if (left_out > 0)
        uv_log_limited(&server->events, LOG_NOTICE,
                       "volatile variables (%u) in what the host wrote are left out", left_out);
    reply_outcome(conn, frame, EFI_SUCCESS, 0, NULL);
}

/* ---- the engine ---- */

static void handle_hello(UvConn *conn, const UvFrame *frame)
{
    static const char build[] = "uefivarsd " UV_VERSION;
    g_auto(UvWriter) writer = {0};
    UvReader reader;

    payload_reader(frame, &reader);
    const uint32_t version = uv_read_u32(&reader);
    if (reader.failed) {
        malformed(conn, frame);
        return;
    }
    if (version != UV_WIRE_VERSION) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_VERSION, "this engine speaks version 1");
        return;
    }
    conn->greeted = true;
    uv_writer_init(&writer, 256);
    uv_write_u32(&writer, UV_WIRE_VERSION);
    uv_write_u32(&writer, uv_events_state(conn->server));
    uv_write_u32(&writer, getpid());
    uv_events_write_identity(conn->server, &writer);
    uv_write_bytes(&writer, build, strlen(build));
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

static void handle_check(UvConn *conn, const UvFrame *frame)
{
    g_auto(UvWriter) writer = {0};

    uv_server_refresh(conn->server);
    uv_writer_init(&writer, 256);
    uv_write_u32(&writer, uv_events_state(conn->server));
    uv_events_write_usage(conn->server, &writer);
    uv_events_write_identity(conn->server, &writer);
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

static void handle_end(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;

    uv_server_refresh(server); /* a store that changed is a successor's to complete */
    /* A connection that has not said HELLO yet may be the guest. */
    const bool ends =
        !server->session_alive && g_queue_is_empty(&server->pending) && uv_server_compact(server);
    g_auto(UvWriter) writer = {0};

    uv_writer_init(&writer, 64);
    uv_write_u32(&writer, ends);
    uv_events_write_identity(server, &writer);
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
    if (ends)
        uv_server_stop(server, 0);
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

    if (!conn->server->selftest) {
        unknown_type(conn, frame);
        return;
    }
    text = conn->server->selftest(path);
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

void uv_host_frame(UvConn *conn, const UvFrame *frame)
{
    if (is_given_up(conn, frame->type))
        return;
    if (!conn->greeted && frame->type != UV_HOST_HELLO) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_STATE, "HELLO comes first");
        return;
    }
    switch (frame->type) {
    case UV_HOST_HELLO:
        handle_hello(conn, frame);
        break;
    case UV_HOST_SNAPSHOT:
        handle_snapshot(conn, frame);
        break;
    case UV_HOST_SET:
        handle_set(conn, frame);
        break;
    case UV_HOST_STATUS:
        uv_conn_reply(conn, frame, uv_status_format(conn->server));
        break;
    case UV_HOST_EXPORT:
        handle_export(conn, frame);
        break;
    case UV_HOST_IMPORT:
        handle_import(conn, frame);
        break;
    case UV_HOST_TOUCH:
        handle_touch(conn, frame);
        break;
    case UV_HOST_LISTENER:
        uv_conn_reply_fd(conn, frame, conn->server->guest_listener);
        break;
    case UV_HOST_CHECK:
        handle_check(conn, frame);
        break;
    case UV_HOST_END:
        handle_end(conn, frame);
        break;
    case UV_HOST_ACTOR:
        uv_actor_said(conn, frame);
        return;
    case UV_HOST_VIEW_LIST:
    case UV_HOST_VIEW_READ:
    case UV_HOST_VIEW_ACT:
        uv_host_view_frame(conn, frame);
        break;
    case UV_HOST_SELFTEST:
        handle_selftest(conn, frame);
        break;
    default:
        unknown_type(conn, frame);
        break;
    }
    conn->actor = (UvActor){0}; /* it was for this one */
}
