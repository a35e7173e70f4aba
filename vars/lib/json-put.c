/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-put.h"

#include "hex.h"

#include <string.h>
#include <time.h>

static void put_name(GString *out, const char *name)
{
    if (out->len > 0 && !strchr("{[\n", out->str[out->len - 1]))
        g_string_append_c(out, ',');
    if (!name)
        return;
    g_string_append_c(out, '"');
    g_string_append(out, name);
    g_string_append(out, "\":");
}

void uv_json_begin(GString *out, const char *name, char bracket)
{
    put_name(out, name);
    g_string_append_c(out, bracket);
}

void uv_json_end(GString *out, char bracket)
{
    g_string_append_c(out, bracket);
}

void uv_json_put_text(GString *out, const char *name, const char *text)
{
    put_name(out, name);
    if (text)
        uv_json_add_text(out, text);
    else
        g_string_append(out, "null");
}

void uv_json_put_number(GString *out, const char *name, int64_t value)
{
    char digits[20];
    size_t first = sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    put_name(out, name);
    if (value < 0)
        g_string_append_c(out, '-');
    do {
        digits[--first] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    g_string_append_len(out, digits + first, (gssize)(sizeof(digits) - first));
}

void uv_json_put_bool(GString *out, const char *name, bool value)
{
    put_name(out, name);
    g_string_append(out, value ? "true" : "false");
}

void uv_json_put_null(GString *out, const char *name)
{
    uv_json_put_text(out, name, NULL);
}

void uv_json_put_hex(GString *out, const char *name, const void *bytes, size_t size)
{
    put_name(out, name);
    uv_json_add_hex(out, bytes, size);
}

/* A line or paragraph separator too ends a line, for some. */
static bool needs_escape(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

static void add_character(GString *out, const char *at, size_t size)
{
    const gunichar c = size == 1 ? (unsigned char)*at : g_utf8_get_char(at);

    if (needs_escape(c)) {
        g_string_append_printf(out, "\\u%04x", c);
        return;
    }
    if (c == '"' || c == '\\')
        g_string_append_c(out, '\\');
    g_string_append_len(out, at, (gssize)size);
}

/* Nearly all of nearly every text. */
static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void uv_json_add_text(GString *out, const char *text)
{
    g_autofree char *made = g_utf8_validate(text, -1, NULL) ? NULL : g_utf8_make_valid(text, -1);

    g_string_append_c(out, '"');
    for (const char *at = made ? made : text, *next; *at; at = next) {
        for (next = at; is_plain(*next); next++)
            ;
        if (next > at) {
            g_string_append_len(out, at, next - at);
            continue;
        }
        next = g_utf8_next_char(at);
        add_character(out, at, (size_t)(next - at));
    }
    g_string_append_c(out, '"');
}

void uv_json_add_hex(GString *out, const void *bytes, size_t size)
{
    g_string_append_c(out, '"');
    uv_hex_append(out, bytes, size);
    g_string_append_c(out, '"');
}

/* `digits` decimal ones, and what stands behind them. */
static char *put_digits(char *to, unsigned value, int digits, char behind)
{
    for (int i = digits; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
    to[digits] = behind;
    return to + digits + 1;
}

void uv_json_put_time(GString *out, const char *name, int64_t time_us)
{
    const time_t seconds = (time_t)(time_us / G_USEC_PER_SEC);
    char text[] = "0000-00-00T00:00:00.000000Z", *at = text;
    struct tm tm;

    gmtime_r(&seconds, &tm);
    at = put_digits(at, (unsigned)tm.tm_year + 1900, 4, '-');
    at = put_digits(at, (unsigned)tm.tm_mon + 1, 2, '-');
    at = put_digits(at, (unsigned)tm.tm_mday, 2, 'T');
    at = put_digits(at, (unsigned)tm.tm_hour, 2, ':');
    at = put_digits(at, (unsigned)tm.tm_min, 2, ':');
    at = put_digits(at, (unsigned)tm.tm_sec, 2, '.');
    put_digits(at, (unsigned)(time_us % G_USEC_PER_SEC), 6, 'Z');
    uv_json_put_text(out, name, text);
}
