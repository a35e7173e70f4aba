/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "next-boot.h"

#include <string.h>
#include <syslog.h>

#include "bytes.h"
#include "checked-file.h"
#include "server-internal.h"

static const uint8_t magic[UV_CHECKED_MAGIC_BYTES] = {'u', 'v', 'n', 'e', 'x', 't', 0, 2};
static const uint8_t magic_1[UV_CHECKED_MAGIC_BYTES] = {'u', 'v', 'n', 'e', 'x', 't', 0, 1};

/* With who left it, an item of the shortest path and content takes three times as much. */
#define FILE_BYTES_MAX (4 * UV_NEXT_BOOT_BYTES_MAX)
#define VARS "vars/"
#define SECURE_BOOT "secure-boot/"

static void item_free(void *data)
{
    UvNextBootItem *item = data;

    g_free(item->path);
    g_bytes_unref(item->content);
    g_free(item);
}

static UvNextBoot *next_boot_new(void)
{
    UvNextBoot *next = g_new0(UvNextBoot, 1);

    next->items = g_ptr_array_new_with_free_func(item_free);
    next->results = g_string_new(NULL);
    return next;
}

void uv_next_boot_free(UvNextBoot *next)
{
    g_ptr_array_unref(next->items);
    g_string_free(next->results, TRUE);
    g_free(next);
}

void uv_next_boot_add(UvNextBoot *next, const char *path, GBytes *content, const UvActor *actor)
{
    UvNextBootItem *item = g_new0(UvNextBootItem, 1);

    item->path = g_strdup(path);
    item->content = g_bytes_ref(content);
    item->actor = *actor;
    g_ptr_array_add(next->items, item);
}

static void read_actor(UvReader *reader, UvActor *actor)
{
    actor->known = uv_read_u8(reader);
    actor->uid = uv_read_u32(reader);
    actor->gid = uv_read_u32(reader);
    actor->pid = uv_read_u32(reader);
    const size_t comm_bytes = uv_read_u16(reader);
    const uint8_t *comm = uv_read_bytes(reader, comm_bytes);
    if (comm)
        memcpy(actor->comm, comm, MIN(comm_bytes, UV_RECORD_COMM_MAX));
}

static void read_item(UvReader *reader, bool has_actor, UvNextBoot *next)
{
    UvActor actor = {0};
    const size_t path_bytes = uv_read_u16(reader);
    const uint8_t *path = uv_read_bytes(reader, path_bytes);
    if (has_actor)
        read_actor(reader, &actor);
    const size_t size = uv_read_u32(reader);
    const uint8_t *content = uv_read_bytes(reader, size);

    if (!content)
        return;
    g_autofree char *text = g_strndup((const char *)path, path_bytes);
    g_autoptr(GBytes) bytes = g_bytes_new(content, size);
    uv_next_boot_add(next, text, bytes, &actor);
}

UvNextBoot *uv_next_boot_load(UvServer *server)
{
    UvNextBoot *next = next_boot_new();
    g_autoptr(GBytes) body =
        uv_checked_file_read(server->store->folder, UV_FILE_NEXT_BOOT, magic, FILE_BYTES_MAX);
    const bool has_actor = body != NULL;

    if (!body)
        body =
            uv_checked_file_read(server->store->folder, UV_FILE_NEXT_BOOT, magic_1, FILE_BYTES_MAX);
    if (!body)
        return next;
    UvReader reader = uv_reader_of(body);
    const size_t results_bytes = uv_read_u32(&reader);
    const uint8_t *results = uv_read_bytes(&reader, results_bytes);
    if (results)
        g_string_append_len(next->results, (const char *)results, (gssize)results_bytes);
    while (reader.left > 0 && !reader.failed)
        read_item(&reader, has_actor, next);
    return next;
}

static void write_item(UvWriter *writer, const UvNextBootItem *item)
{
    const UvActor *actor = &item->actor;

    uv_write_u16(writer, (uint16_t)strlen(item->path));
    uv_write_bytes(writer, item->path, strlen(item->path));
    uv_write_u8(writer, actor->known);
    uv_write_u32(writer, actor->uid);
    uv_write_u32(writer, actor->gid);
    uv_write_u32(writer, actor->pid);
    uv_write_u16(writer, (uint16_t)strlen(actor->comm));
    uv_write_bytes(writer, actor->comm, strlen(actor->comm));
    uv_write_u32(writer, (uint32_t)g_bytes_get_size(item->content));
    uv_write_gbytes(writer, item->content);
}

bool uv_next_boot_save(UvServer *server, const UvNextBoot *next, GError **error)
{
    g_auto(UvWriter) writer = uv_writer(FILE_BYTES_MAX);

    uv_write_u32(&writer, (uint32_t)next->results->len);
    uv_write_bytes(&writer, next->results->str, next->results->len);
    for (guint i = 0; i < next->items->len; i++)
        write_item(&writer, next->items->pdata[i]);
    g_autoptr(GBytes) body = uv_writer_steal(&writer);
    g_assert(body);
    return uv_checked_file_write(server->store->folder, UV_FILE_NEXT_BOOT, UV_FILE_NEXT_BOOT_TEMP,
                                 magic, body, true, error);
}

size_t uv_next_boot_bytes(const UvNextBoot *next)
{
    size_t bytes = 0;

    for (guint i = 0; i < next->items->len; i++) {
        const UvNextBootItem *item = next->items->pdata[i];
        bytes += strlen(item->path) + g_bytes_get_size(item->content);
    }
    return bytes;
}

static void apply_variable(UvServer *server, const char *file_name, GBytes *content,
                           UvViewOutcome *outcome)
{
    UvSetRequest request = {.door = UV_DOOR_HOST};
    g_autoptr(UvName) name = NULL;
    UvReader reader = uv_reader_of(content);

    request.attributes = uv_read_u32(&reader);
    if (reader.failed || !uv_file_name_parse(file_name, &name, &request.guid)) {
        uv_view_refuse_path(outcome);
        return;
    }
    request.name = name;
    request.data = reader.at;
    request.data_bytes = reader.left;
    uv_view_set(server, &request, outcome);
}

static void note(UvNextBoot *next, const char *path, const UvViewOutcome *outcome)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");

    g_string_append_printf(next->results, "%s %s: %s%s\n", time, path,
                           outcome->status == EFI_SUCCESS ? "done" : "refused: ",
                           outcome->status == EFI_SUCCESS ? "" : outcome->reason);
    while (next->results->len > UV_NEXT_BOOT_RESULTS_MAX) {
        const char *line_end = strchr(next->results->str, '\n');
        g_string_erase(next->results, 0, line_end - next->results->str + 1);
    }
}

static void apply_item(UvServer *server, UvNextBoot *next, const UvNextBootItem *item)
{
    UvViewOutcome outcome = {0};

    server->is_recorded = false;
    if (g_str_has_prefix(item->path, VARS))
        apply_variable(server, item->path + strlen(VARS), item->content, &outcome);
    else if (g_str_has_prefix(item->path, SECURE_BOOT))
        uv_view_secure_boot.act(server, UV_VIEW_WRITE, item->path + strlen(SECURE_BOOT),
                                item->content, &outcome);
    else
        uv_view_refuse_path(&outcome);
    if (outcome.status != EFI_SUCCESS) {
        g_autofree char *full = g_strconcat("next-boot/", item->path, NULL);
        uv_record_refused_path(server, full, outcome.status, outcome.reason);
    }
    g_autofree char *path = uv_log_escape(item->path);
    uv_log_limited(&server->events, LOG_NOTICE, "kept for this boot: %s: %s", path,
                   outcome.status == EFI_SUCCESS ? "done" : outcome.reason);
    note(next, item->path, &outcome);
    g_free(outcome.reason);
}

/*
 * Saved once, at the end: after a crash in between all of it is done again. An append adds nothing
 * the second time, and what replaces something does so again.
 */
void uv_next_boot_apply(UvServer *server)
{
    g_autoptr(GError) error = NULL;

    if (!server->store || uv_server_is_read_only(server))
        return;
    g_autoptr(UvNextBoot) next = uv_next_boot_load(server);
    if (next->items->len == 0)
        return;
    server->is_boot_work = true;
    uv_service_end_session(server->service);
    server->is_boot_work = false;
    const UvActor before = server->actor;
    for (guint i = 0; i < next->items->len; i++) {
        const UvNextBootItem *item = next->items->pdata[i];
        server->actor = item->actor;
        server->actor.door = UV_RECORD_NEXT_BOOT;
        apply_item(server, next, item);
    }
    server->actor = before;
    g_ptr_array_set_size(next->items, 0);
    if (!uv_next_boot_save(server, next, &error))
        uv_log_limited(&server->troubles, LOG_WARNING,
                       "changes kept for the next boot are done and can't be forgotten: %s",
                       error->message);
}
