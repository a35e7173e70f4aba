/* SPDX-License-Identifier: GPL-2.0-or-later */

/* SNAPSHOT, EXPORT and IMPORT: what a host asks of a whole store. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>

#include "fd.h"
#include "json.h"
#include "replace-store.h"
#include "server-internal.h"
#include "uv-limits.h"

void uv_host_snapshot(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    const UvVarset *set = uv_service_variables(server->service);

    uv_server_refresh(server);
    g_auto(UvWriter) writer = uv_writer(2 * UV_WIRE_BLOB_MAX);
    uv_events_write_head(server, &writer);
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
    return uv_read_file(fd, server->setup.store_path, UV_JSON_FILE_MAX, &error);
}

void uv_host_export(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;

    uv_server_refresh(server);
    GBytes *text = own_text(server);
    if (!text)
        text = uv_json_format(uv_service_variables(server->service));
    uv_conn_reply(conn, frame, text);
}

static void refuse_import(UvConn *conn, const UvFrame *frame, EfiStatus status, int error,
                          const char *reason)
{
    uv_record_refused_path(conn->server, "store.json", status, reason);
    uv_host_reply_outcome(conn, frame, status, error, reason);
}

void uv_host_import(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_autoptr(GError) error = NULL;
    gsize size;
    const char *text = g_bytes_get_data(frame->payload, &size);
    unsigned left_out;

    if (server->session_alive) {
        refuse_import(conn, frame, EFI_WRITE_PROTECTED, EBUSY, "a guest is connected");
        return;
    }
    if (uv_host_is_held(server)) {
        refuse_import(conn, frame, EFI_WRITE_PROTECTED, EROFS, uv_host_is_held(server));
        return;
    }
    uv_server_refresh(server);
    g_autoptr(GPtrArray) variables = uv_json_parse("store.json", text, size, &left_out, &error);
    if (!variables) {
        refuse_import(conn, frame, EFI_INVALID_PARAMETER, EINVAL, error->message);
        return;
    }
    if (!uv_service_replace(server->service, variables, &error)) {
        refuse_import(conn, frame, uv_store_error_status(error), 0, error->message);
        return;
    }
    uv_log_limited(&server->events, LOG_INFO, "the store was replaced by the host");
    uv_saved_warn(server);
    if (left_out > 0)
        uv_log_limited(&server->events, LOG_NOTICE,
                       "volatile variables (%u) in what the host wrote are left out", left_out);
    uv_host_reply_outcome(conn, frame, EFI_SUCCESS, 0, NULL);
}
