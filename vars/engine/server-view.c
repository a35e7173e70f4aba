/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The host socket's frames about views (view.h), and what the views have in common. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "server-internal.h"
#include "uv-limits.h"
#include "view.h"

/* A view is a hundred files or so; db and dbx of a hostile guest fill this before its engine. */
#define LIST_BYTES_MAX (1024u * 1024)
#define REASON_BYTES_MAX 1024u
#define TEXT_BYTES_MAX (4u * 1024 * 1024)

struct UvViewList {
    UvWriter writer;
    uint32_t count;
};

static const UvView *const views[] = {&uv_view_boot, &uv_view_secure_boot, &uv_view_next_boot};

bool uv_view_list_add(UvViewList *list, const char *path, uint32_t mode, size_t size)
{
    const size_t path_bytes = MIN(strlen(path), UV_FILE_NAME_MAX);

    uv_write_u32(&list->writer, mode);
    uv_write_u64(&list->writer, size);
    uv_write_u16(&list->writer, (uint16_t)path_bytes);
    uv_write_bytes(&list->writer, path, path_bytes);
    list->count++;
    return !list->writer.failed;
}

bool uv_view_refuse(UvViewOutcome *outcome, EfiStatus status, int error, const char *format, ...)
{
    va_list args;

    g_free(outcome->reason);
    va_start(args, format);
    *outcome = (UvViewOutcome){status, error, g_strdup_vprintf(format, args)};
    va_end(args);
    return false;
}

bool uv_view_refuse_path(UvViewOutcome *outcome)
{
    return uv_view_refuse(outcome, EFI_NOT_FOUND, ENOENT,
                          "no such file, or nothing can be done with it");
}

char *uv_view_text(GBytes *content, size_t max_bytes, UvViewOutcome *outcome)
{
    gsize size;
    const char *bytes = g_bytes_get_data(content, &size);

    if (size > max_bytes)
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "more than %zu bytes", max_bytes);
    else if (!g_utf8_validate_len(bytes ? bytes : "", size, NULL))
        uv_view_refuse(outcome, EFI_INVALID_PARAMETER, EINVAL, "not a text in UTF-8");
    else
        return g_strstrip(g_strndup(bytes ? bytes : "", size));
    return NULL;
}

GBytes *uv_view_line(const char *text)
{
    char *line = g_strconcat(text, "\n", NULL);

    return g_bytes_new_take(line, strlen(line));
}

UvService *uv_view_service(const UvServer *server)
{
    return server->service;
}

static void set_outcome(const UvServer *server, EfiStatus status, const UvRefusal *refusal,
                        UvViewOutcome *outcome)
{
    const char *text = uv_service_refusal_text(server->service, refusal);

    if (status == EFI_SUCCESS) {
        *outcome = (UvViewOutcome){0};
        return;
    }
    if (!text)
        text = server->store->read_only_reason;
    uv_view_refuse(outcome, status, refusal->error, "%s", text ? text : "refused");
}

/* What waited for the next boot is recorded as that, whatever it waives. */
static UvRecordDoor enter_door(UvServer *server, UvDoor door)
{
    const UvRecordDoor now = server->actor.door;

    return uv_actor_enter(server,
                          door == UV_DOOR_OWNER && now == UV_RECORD_HOST ? UV_RECORD_OWNER : now);
}

void uv_view_set(UvServer *server, const UvSetRequest *request, UvViewOutcome *outcome)
{
    UvRefusal refusal = {0};
    const UvRecordDoor before = enter_door(server, request->door);
    const EfiStatus status = uv_service_set(server->service, request, &refusal);

    uv_actor_leave(server, before);
    set_outcome(server, status, &refusal, outcome);
}

void uv_view_set_all(UvServer *server, const UvSetRequest *requests, size_t count,
                     UvViewOutcome *outcome)
{
    UvRefusal refusal = {0};
    size_t failed = 0;
    const UvRecordDoor before = enter_door(server, requests[0].door);
    const EfiStatus status =
        uv_service_set_all(server->service, requests, count, &failed, &refusal);

    uv_actor_leave(server, before);
    set_outcome(server, status, &refusal, outcome);
    if (status != EFI_SUCCESS && failed < count) {
        g_autofree char *name = uv_name_to_utf8(requests[failed].name);
        char *reason = g_strdup_printf("%s: %s", name, outcome->reason);
        g_free(outcome->reason);
        outcome->reason = reason;
    }
}

/* ---- frames ---- */

static const UvView *find_view(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(views); i++) {
        if (strcmp(views[i]->name, name) == 0)
            return views[i];
    }
    return NULL;
}

/* Components that are neither empty nor "." nor "..". */
static bool is_path(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    for (char **part = parts; *part; part++) {
        if (!**part || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0)
            return false;
    }
    return *path != '\0';
}

static void reply_list(UvConn *conn, const UvFrame *frame, const UvView *view)
{
    UvViewList list = {0};

    list.writer = uv_writer(LIST_BYTES_MAX);
    uv_write_u32(&list.writer, 0);
    view->list(conn->server, &list);
    uv_write_u32_at(&list.writer, 0, list.count);
    GBytes *payload = uv_writer_steal(&list.writer);
    if (payload)
        uv_conn_reply(conn, frame, payload);
    else
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STORE, "too many files to list");
}

static void reply_outcome(UvConn *conn, const UvFrame *frame, const UvViewOutcome *outcome,
                          GBytes *text)
{
    g_auto(UvWriter) writer = uv_writer(16 + REASON_BYTES_MAX + TEXT_BYTES_MAX);

    uv_write_u64(&writer, outcome->status);
    uv_write_u32(&writer, (uint32_t)outcome->error);
    if (outcome->reason)
        uv_write_bytes(&writer, outcome->reason, MIN(strlen(outcome->reason), REASON_BYTES_MAX));
    uv_write_gbytes(&writer, text);
    uv_conn_reply(conn, frame, uv_writer_steal(&writer));
}

static void read_view(UvConn *conn, const UvFrame *frame, const UvView *view, const char *path)
{
    UvViewOutcome outcome = {0};
    g_autoptr(GBytes) text = view->read(conn->server, path);

    if (!text)
        uv_view_refuse_path(&outcome);
    else if (g_bytes_get_size(text) > TEXT_BYTES_MAX)
        uv_view_refuse(&outcome, EFI_OUT_OF_RESOURCES, EFBIG, "too large a text");
    reply_outcome(conn, frame, &outcome, outcome.status == EFI_SUCCESS ? text : NULL);
    g_free(outcome.reason);
}

static void act_on_view(UvConn *conn, const UvFrame *frame, const UvView *view, const char *path,
                        uint32_t act, UvReader *content)
{
    g_autoptr(GBytes) bytes = g_bytes_new(content->at, content->left);
    UvViewOutcome outcome = {0};
    UvServer *server = conn->server;

    const char *why = uv_host_is_held(server);

    uv_server_refresh(server);
    const uint64_t generation = server->store->generation;
    if (why)
        uv_view_refuse(&outcome, EFI_WRITE_PROTECTED, EROFS, "%s", why);
    else
        view->act(server, (UvViewAct)act, path, bytes, &outcome);
    if (server->store->generation != generation)
        uv_saved_warn(server);
    if (outcome.status != EFI_SUCCESS) {
        g_autofree char *full = g_strconcat(view->name, "/", path, NULL);
        uv_record_refused_path(server, full, outcome.status, outcome.reason);
    }
    uv_session_persist(server);
    uv_events_state_changed(server);
    reply_outcome(conn, frame, &outcome, NULL);
    g_free(outcome.reason);
}

void uv_host_view_frame(UvConn *conn, const UvFrame *frame)
{
    uint32_t act = UV_VIEW_WRITE;
    UvReader reader = uv_reader_of(frame->payload);

    if (frame->type == UV_HOST_VIEW_ACT)
        act = uv_read_u32(&reader);
    g_autofree char *name = uv_host_read_text(&reader);
    g_autofree char *path = frame->type == UV_HOST_VIEW_LIST ? NULL : uv_host_read_text(&reader);
    const UvView *view = name ? find_view(name) : NULL;

    if (!view || act >= UV_VIEW_ACTS ||
        (frame->type != UV_HOST_VIEW_LIST && (!path || !is_path(path))) ||
        (frame->type != UV_HOST_VIEW_ACT && !uv_reader_done(&reader))) {
        uv_conn_error(conn, frame->cookie, UV_WIRE_E_STATE, "no such view, or malformed");
        return;
    }
    if (frame->type == UV_HOST_VIEW_LIST)
        reply_list(conn, frame, view);
    else if (frame->type == UV_HOST_VIEW_READ)
        read_view(conn, frame, view, path);
    else
        act_on_view(conn, frame, view, path, act, &reader);
}
