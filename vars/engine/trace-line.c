/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "trace-line.h"

#include <string.h>

#include "efi-abi.h"
#include "json-put.h"
#include "mm.h"
#include "shown-name.h"

/* What every reader of JSON has (RFC 7493). A guest can say more: then it is this. */
#define NUMBER_MAX ((UINT64_C(1) << 53) - 1)

static void add_number(GString *out, const char *member, uint64_t value)
{
    uv_json_put_number(out, member, (int64_t)MIN(value, NUMBER_MAX));
}

/* As its file in vars/ is called. */
static void add_name(GString *out, const char *member, const UvName *name, const UvGuid *guid)
{
    g_autofree char *text = name ? uv_shown_name_format(name, guid) : NULL;

    uv_json_put_text(out, member, text ? text : "");
}

static void add_sizes(GString *out, const UvMmDescription *what)
{
    if (what->has_size)
        add_number(out, "size", what->size_bytes);
    if (what->has_reply_size)
        add_number(out, "reply-size", what->reply_bytes);
    if (!what->has_query)
        return;
    add_number(out, "maximum-storage", what->maximum_storage_bytes);
    add_number(out, "remaining-storage", what->remaining_storage_bytes);
    add_number(out, "maximum-variable", what->maximum_variable_bytes);
}

static void add_what(GString *out, const UvMmDescription *what)
{
    uv_json_put_text(out, "function", what->function);
    if (what->has_number)
        add_number(out, "number", what->number);
    if (what->has_variable)
        add_name(out, "variable", what->name, &what->guid);
    if (what->has_next)
        add_name(out, "next", what->next, &what->next_guid);
    if (what->has_attributes)
        add_number(out, "attributes", what->attributes);
    add_sizes(out, what);
    if (what->has_status)
        add_number(out, "status", what->status & ~EFI_ERROR_BIT);
}

static void end_line(GString *out)
{
    uv_json_end(out, '}');
    g_string_append_c(out, '\n');
}

void uv_trace_line_call(GString *out, const UvTraceCall *call)
{
    g_auto(UvMmDescription) what = {0};
    gsize size, reply_size;
    const uint8_t *request = g_bytes_get_data(call->request, &size);
    const uint8_t *reply = g_bytes_get_data(call->reply, &reply_size);

    uv_mm_describe(request, reply, MIN(size, reply_size), &what);
    uv_json_begin(out, NULL, '{');
    uv_json_put_time(out, "time", call->time_us);
    add_what(out, &what);
    if (call->device_status != UV_DEVICE_SUCCESS)
        add_number(out, "device", call->device_status);
    uv_json_put_number(out, "us", call->took_us);
    end_line(out);
}

static void add_text(GString *out, const char *member, const char *text)
{
    if (text)
        uv_json_put_text(out, member, text);
}

void uv_trace_line_event(GString *out, const UvTraceEvent *event)
{
    uv_json_begin(out, NULL, '{');
    uv_json_put_time(out, "time", event->time_us);
    uv_json_put_text(out, "event", event->event);
    if (event->session_id)
        uv_json_put_hex(out, "session", event->session_id, event->session_id_bytes);
    add_text(out, "client", event->client);
    add_text(out, "phase", event->phase);
    add_text(out, "policy", event->policy);
    end_line(out);
}
