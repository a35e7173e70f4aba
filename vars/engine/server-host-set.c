/* SPDX-License-Identifier: GPL-2.0-or-later */

/* SET and TOUCH: a host changes one variable. */

#include <errno.h>
#include <string.h>

#include "server-internal.h"
#include "shown-name.h"

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

/* Refused before it came to a SetVariable. */
static void refuse(UvConn *conn, const UvFrame *frame, const char *file_name, EfiStatus status,
                   int error, const char *reason)
{
    g_autofree char *path = g_strconcat("vars/", file_name, NULL);

    uv_record_refused_path(conn->server, path, status, reason);
    uv_host_reply_outcome(conn, frame, status, error, reason);
}

void uv_host_set(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_auto(HostSet) set = {0};
    g_autofree char *file_name = NULL;
    const char *reason = NULL;
    UvRefusal refusal = {0};
    UvReader reader = uv_reader_of(frame->payload);

    set.flags = uv_read_u32(&reader);
    set.request.mtime_ns = uv_read_u64(&reader);
    file_name = uv_host_read_text(&reader);
    if (!file_name) {
        uv_host_malformed(conn, frame);
        return;
    }
    reason = uv_host_is_held(server);
    if (reason) {
        refuse(conn, frame, file_name, EFI_WRITE_PROTECTED, EROFS, reason);
        return;
    }
    uv_server_refresh(server);
    reason = complete_set(server, &set, file_name, &reader);
    if (reason) {
        refuse(conn, frame, file_name, EFI_INVALID_PARAMETER, EINVAL, reason);
        return;
    }
    if (is_in_the_way(server, &set)) {
        refuse(conn, frame, file_name, EFI_INVALID_PARAMETER, EEXIST, "the variable exists");
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
    uv_host_reply_outcome(conn, frame, status, status == EFI_SUCCESS ? 0 : refusal.error,
                          status == EFI_SUCCESS ? NULL : reason_of(server, &refusal));
}

void uv_host_touch(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    g_autofree char *file_name = NULL;
    g_autoptr(UvName) name = NULL;
    g_autoptr(GError) error = NULL;
    UvReader reader = uv_reader_of(frame->payload);
    UvGuid guid;

    const int64_t mtime_ns = uv_read_u64(&reader);
    file_name = uv_host_read_text(&reader);
    if (!file_name || !uv_reader_done(&reader)) {
        uv_host_malformed(conn, frame);
        return;
    }
    if (uv_host_refuse_held(conn, frame))
        return;
    if (uv_shown_name_parse(uv_service_variables(server->service), file_name, &name, &guid) !=
        UV_SHOWN_NAME) {
        uv_host_reply_outcome(conn, frame, EFI_NOT_FOUND, ENOENT, "not a variable's file name");
        return;
    }
    if (!uv_service_touch(server->service, &guid, name, mtime_ns, &error)) {
        uv_host_reply_outcome(conn, frame, EFI_NOT_FOUND, ENOENT, error->message);
        return;
    }
    uv_events_touched(server, uv_varset_lookup(uv_service_variables(server->service), &guid, name));
    uv_host_reply_outcome(conn, frame, EFI_SUCCESS, 0, NULL);
}
