/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "record-line.h"

#include <string.h>

#include "digest.h"

/* A larger old value is known by its hash alone. */
#define OLD_BYTES_MAX 1024u

static const char hex_digits[] = "0123456789abcdef";

static void add_hex(GString *out, const uint8_t *bytes, size_t size)
{
    const gsize at = out->len;

    g_string_set_size(out, at + 2 * size);
    for (size_t i = 0; i < size; i++) {
        out->str[at + 2 * i] = hex_digits[bytes[i] >> 4];
        out->str[at + 2 * i + 1] = hex_digits[bytes[i] & 15];
    }
}

/* A JSON string; `text` is UTF-8 or is made so. */
static void add_text(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    g_string_append_c(out, '"');
    for (const char *at = valid; *at; at++) {
        const unsigned char c = (unsigned char)*at;

        if (c == '"' || c == '\\')
            g_string_append_c(out, '\\');
        if (c < 0x20 || c == 0x7f)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_c(out, (char)c);
    }
    g_string_append_c(out, '"');
}

static void add_time(GString *out)
{
    const int64_t now_us = g_get_real_time();
    const time_t seconds = (time_t)(now_us / G_USEC_PER_SEC);
    struct tm tm;
    char text[32];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    g_string_append_printf(out, "{\"time\":\"%s.%06uZ\"", text,
                           (unsigned)(now_us % G_USEC_PER_SEC));
}

static const char *phase_name(const UvPhase *phase)
{
    return phase->exit_boot_services ? "runtime"
           : phase->ready_to_boot    ? "ready-to-boot"
           : phase->end_of_dxe       ? "end-of-dxe"
                                     : "boot";
}

static void add_actor(GString *out, const UvActor *actor)
{
    static const char *const doors[UV_RECORD_DOORS] = {
        [UV_RECORD_GUEST] = "guest",         [UV_RECORD_HOST] = "host",
        [UV_RECORD_OWNER] = "owner",         [UV_RECORD_NEXT_BOOT] = "next-boot",
        [UV_RECORD_MIGRATION] = "migration", [UV_RECORD_OUTSIDE] = "outside",
    };

    g_string_append_printf(out, ",\"door\":\"%s\"", doors[actor->door]);
    if (actor->known) {
        g_string_append_printf(out,
                               ",\"who\":{\"uid\":%u,\"gid\":%u,\"pid\":%u,\"comm\":", actor->uid,
                               actor->gid, actor->pid);
        add_text(out, actor->comm);
        g_string_append_c(out, '}');
    } else if (actor->door == UV_RECORD_GUEST) {
        g_string_append(out, ",\"who\":{\"session\":\"");
        add_hex(out, actor->session_id, actor->session_id_bytes);
        g_string_append_printf(out, "\",\"phase\":\"%s\",\"client\":", phase_name(&actor->phase));
        add_text(out, actor->client ? actor->client : "");
        g_string_append_c(out, '}');
    }
}

static void add_variable(GString *out, const UvName *name, const UvGuid *guid)
{
    g_autofree char *text = name ? uv_file_name_format(name, guid) : g_strdup("");

    g_string_append(out, ",\"variable\":");
    add_text(out, text);
}

static void add_digest(GString *out, const void *bytes, size_t size)
{
    UvDigest digest;

    uv_digest_of(bytes, size, &digest);
    g_string_append_c(out, '"');
    add_hex(out, digest.bytes, sizeof digest.bytes);
    g_string_append_c(out, '"');
}

/* What was there: null where nothing was. */
static void add_before(GString *out, const UvVariable *before)
{
    gsize size;

    if (!before) {
        g_string_append(out, ",\"attributes-before\":null,\"size-before\":null");
        return;
    }
    const void *data = g_bytes_get_data(before->data, &size);
    g_string_append_printf(out, ",\"attributes-before\":%u,\"size-before\":%zu,\"sha256-before\":",
                           before->attributes, size);
    add_digest(out, data, size);
    if (size <= OLD_BYTES_MAX) {
        g_string_append(out, ",\"old\":\"");
        add_hex(out, data, size);
        g_string_append_c(out, '"');
    }
}

static void add_after(GString *out, uint32_t attributes, const void *data, size_t size)
{
    g_string_append_printf(out, ",\"attributes\":%u,\"size\":%zu,\"sha256\":", attributes, size);
    add_digest(out, data, size);
}

void uv_record_line_change(GString *out, const UvActor *actor, const UvChangeItem *item)
{
    const UvVariable *variable = item->after ? item->after : item->before;

    add_time(out);
    add_actor(out, actor);
    add_variable(out, variable->name, &variable->guid);
    add_before(out, item->before);
    if (item->after) {
        gsize size;
        const void *data = g_bytes_get_data(item->after->data, &size);
        add_after(out, item->after->attributes, data, size);
    } else {
        g_string_append(out, ",\"attributes\":null,\"size\":null");
    }
    g_string_append(out, ",\"status\":0}\n");
}

void uv_record_line_refusal(GString *out, const UvActor *actor, const UvSetRequest *request,
                            const UvVariable *before, EfiStatus status, const char *rule,
                            const char *text)
{
    add_time(out);
    add_actor(out, actor);
    add_variable(out, request->name, &request->guid);
    add_before(out, before);
    add_after(out, request->attributes, request->data, request->data_bytes);
    g_string_append_printf(
        out, ",\"status\":%" G_GUINT64_FORMAT ",\"rule\":", (guint64)(status & ~EFI_ERROR_BIT));
    add_text(out, rule ? rule : "");
    g_string_append(out, ",\"reason\":");
    add_text(out, text ? text : "");
    g_string_append(out, "}\n");
}

void uv_record_line_lost(GString *out, const UvActor *actor, unsigned count)
{
    add_time(out);
    add_actor(out, actor);
    g_string_append_printf(out, ",\"not-recorded\":%u}\n", count);
}
