/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "record-line.h"

#include <string.h>

#include "digest.h"
#include "json-put.h"
#include "shown-name.h"
#include "uv-limits.h"

/* A larger old value is known by its hash alone. */
#define OLD_BYTES_MAX 1024u
#define REASON_BYTES_MAX 512u

static const char *phase_name(const UvPhase *phase)
{
    return phase->exit_boot_services ? "runtime"
           : phase->ready_to_boot    ? "ready-to-boot"
           : phase->end_of_dxe       ? "end-of-dxe"
                                     : "boot";
}

const char *uv_record_door_name(UvRecordDoor door)
{
    static const char *const doors[UV_RECORD_DOORS] = {
        [UV_RECORD_GUEST] = "guest",         [UV_RECORD_HOST] = "host",
        [UV_RECORD_OWNER] = "owner",         [UV_RECORD_NEXT_BOOT] = "next-boot",
        [UV_RECORD_MIGRATION] = "migration", [UV_RECORD_OUTSIDE] = "outside",
    };

    return doors[door];
}

static void add_process(GString *out, const UvActor *actor)
{
    uv_json_begin(out, "who", '{');
    uv_json_put_number(out, "uid", actor->uid);
    uv_json_put_number(out, "gid", actor->gid);
    uv_json_put_number(out, "pid", actor->pid);
    uv_json_put_text(out, "comm", actor->comm);
    uv_json_end(out, '}');
}

static void add_session(GString *out, const UvActor *actor)
{
    uv_json_begin(out, "who", '{');
    uv_json_put_hex(out, "session", actor->session_id, UV_RECORD_SESSION_BYTES);
    uv_json_put_text(out, "phase", phase_name(&actor->phase));
    uv_json_put_text(out, "client", actor->client ? actor->client : "");
    uv_json_end(out, '}');
}

static void add_actor(GString *out, const UvActor *actor)
{
    uv_json_put_text(out, "door", uv_record_door_name(actor->door));
    switch (actor->door) {
    case UV_RECORD_GUEST:
    case UV_RECORD_MIGRATION:
        add_session(out, actor);
        break;
    case UV_RECORD_HOST:
    case UV_RECORD_OWNER:
    case UV_RECORD_NEXT_BOOT:
        if (actor->known)
            add_process(out, actor);
        break;
    case UV_RECORD_OUTSIDE:
    case UV_RECORD_DOORS:
        break;
    }
}

/* As vars/ lists it. */
static void add_variable(GString *out, const UvName *name, const UvGuid *guid)
{
    g_autofree char *text = name ? uv_shown_name_format(name, guid) : g_strdup("");

    uv_json_put_text(out, "variable", text);
}

/* What was there: null where nothing was. */
static void add_value_before(GString *out, const UvRecordValue *before)
{
    if (!before) {
        uv_json_put_null(out, "attributes-before");
        uv_json_put_null(out, "size-before");
        return;
    }
    uv_json_put_number(out, "attributes-before", before->attributes);
    uv_json_put_number(out, "size-before", (int64_t)before->data_bytes);
    uv_json_put_hex(out, "sha256-before", before->digest.bytes, sizeof(before->digest.bytes));
    if (before->data && before->data_bytes <= OLD_BYTES_MAX)
        uv_json_put_hex(out, "old", g_bytes_get_data(before->data, NULL), before->data_bytes);
}

static void add_before(GString *out, const UvVariable *before)
{
    if (!before) {
        add_value_before(out, NULL);
        return;
    }
    const UvRecordValue value = {
        .attributes = before->attributes,
        .data_bytes = g_bytes_get_size(before->data),
        .digest = uv_digest_of_bytes(before->data),
        .data = before->data,
    };
    add_value_before(out, &value);
}

static void add_after(GString *out, uint32_t attributes, const void *data, size_t size)
{
    UvDigest digest;

    uv_digest_of(data, size, &digest);
    uv_json_put_number(out, "attributes", attributes);
    uv_json_put_number(out, "size", (int64_t)size);
    uv_json_put_hex(out, "sha256", digest.bytes, sizeof(digest.bytes));
}

/* What is there: null where nothing is. */
static void add_variable_after(GString *out, const UvVariable *after)
{
    gsize size;

    if (!after) {
        uv_json_put_null(out, "attributes");
        uv_json_put_null(out, "size");
        return;
    }
    const void *data = g_bytes_get_data(after->data, &size);
    add_after(out, after->attributes, data, size);
}

static void begin_line(GString *out, int64_t time_us, const UvActor *actor)
{
    uv_json_begin(out, NULL, '{');
    uv_json_put_time(out, "time", time_us);
    if (actor && actor->on_host)
        uv_json_put_text(out, "host", actor->on_host);
    if (actor)
        add_actor(out, actor);
}

static void end_line(GString *out)
{
    uv_json_end(out, '}');
    g_string_append_c(out, '\n');
}

void uv_record_line_change(GString *out, int64_t time_us, const UvActor *actor,
                           const UvChangeItem *item)
{
    const UvVariable *variable = item->after ? item->after : item->before;

    begin_line(out, time_us, actor);
    add_variable(out, variable->name, &variable->guid);
    add_before(out, item->before);
    add_variable_after(out, item->after);
    uv_json_put_number(out, "status", 0);
    end_line(out);
}

void uv_record_line_found(GString *out, const UvActor *actor, const UvRecordFound *found)
{
    begin_line(out, g_get_real_time(), actor);
    uv_json_put_time(out, "file-time", found->file_time_us);
    uv_json_put_text(out, "variable", found->variable);
    if (found->is_known)
        add_value_before(out, found->before);
    else
        uv_json_put_text(out, "before", "not known");
    add_variable_after(out, found->after);
    uv_json_put_number(out, "status", 0);
    end_line(out);
}

static void add_errno(GString *out, const UvRecordRefusal *refusal)
{
    const char *name = strerrorname_np(refusal->error);

    uv_json_put_text(out, "operation", refusal->operation);
    uv_json_put_text(out, "errno", name ? name : "unknown");
    uv_json_put_null(out, "status");
}

void uv_record_line_refusal(GString *out, const UvActor *actor, const UvRecordRefusal *refusal)
{
    const UvSetRequest *request = refusal->request;
    const char *reason = refusal->reason ? refusal->reason : "";
    g_autofree char *short_reason = g_strndup(reason, REASON_BYTES_MAX);

    begin_line(out, refusal->error ? refusal->at_us : g_get_real_time(), actor);
    if (request) {
        add_variable(out, request->name, &request->guid);
        add_before(out, refusal->before);
        add_after(out, request->attributes, request->data, request->data_bytes);
    } else {
        g_autofree char *path = g_strndup(refusal->path, UV_FILE_NAME_MAX);
        uv_json_put_text(out, "path", path);
    }
    if (refusal->error)
        add_errno(out, refusal);
    else
        uv_json_put_number(out, "status", (int64_t)(refusal->status & ~EFI_ERROR_BIT));
    uv_json_put_text(out, "rule", refusal->rule ? refusal->rule : "");
    uv_json_put_text(out, "reason", short_reason);
    end_line(out);
}

void uv_record_line_lost(GString *out, unsigned count)
{
    begin_line(out, g_get_real_time(), NULL);
    uv_json_put_number(out, "not-recorded", count);
    end_line(out);
}
