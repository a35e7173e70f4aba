/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "load-option.h"

#include <string.h>

#include "bytes.h"

bool uv_load_option_read(GBytes *bytes, UvLoadOption *ret_option)
{
    UvReader reader = uv_reader_of(bytes);
    uint16_t unit;

    *ret_option = (UvLoadOption){0};
    const uint32_t attributes = uv_read_u32(&reader);
    const uint16_t path_bytes = uv_read_u16(&reader);
    const uint8_t *description = reader.at;
    do
        unit = uv_read_u16(&reader);
    while (unit != 0 && !reader.failed);
    const size_t description_bytes = reader.failed ? 0 : (size_t)(reader.at - description) - 2;
    const uint8_t *path = uv_read_bytes(&reader, path_bytes);
    if (reader.failed)
        return false;
    *ret_option = (UvLoadOption){
        .attributes = attributes,
        .description = g_bytes_new(description, description_bytes),
        .path = g_bytes_new(path, path_bytes),
        .data = g_bytes_new(reader.at, reader.left),
    };
    return true;
}

void uv_load_option_clear(UvLoadOption *option)
{
    g_clear_pointer(&option->description, g_bytes_unref);
    g_clear_pointer(&option->path, g_bytes_unref);
    g_clear_pointer(&option->data, g_bytes_unref);
}

GBytes *uv_load_option_write(const UvLoadOption *option, size_t max_bytes)
{
    if (g_bytes_get_size(option->path) > UINT16_MAX)
        return NULL;
    g_auto(UvWriter) writer = uv_writer(max_bytes);
    uv_write_u32(&writer, option->attributes);
    uv_write_u16(&writer, (uint16_t)g_bytes_get_size(option->path));
    uv_write_gbytes(&writer, option->description);
    uv_write_u16(&writer, 0);
    uv_write_gbytes(&writer, option->path);
    uv_write_gbytes(&writer, option->data);
    return uv_writer_steal(&writer);
}

/* Whether \uXXXX begins at `text`; its unit. */
static bool read_escape(const char *text, uint16_t *ret_unit)
{
    unsigned value = 0;

    if (text[0] != '\\' || text[1] != 'u')
        return false;
    for (int i = 2; i < 6; i++) {
        const int digit = g_ascii_xdigit_value(text[i]);

        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *ret_unit = (uint16_t)value;
    return value != 0;
}

/* Escapes what would not stand in a line, then the backslashes that would now read as escapes. */
char *uv_load_option_description(const UvLoadOption *option)
{
    g_autoptr(GString) text = g_string_new(NULL);
    UvReader reader = uv_reader_of(option->description);

    while (reader.left >= 2) {
        gunichar c = uv_read_u16(&reader);

        if (c >= 0xd800 && c < 0xdc00 && reader.left >= 2) {
            UvReader ahead = reader;
            const gunichar low = uv_read_u16(&ahead);

            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                reader = ahead;
            }
        }
        if (c < 0x10000 && (!g_unichar_validate(c) || g_unichar_iscntrl(c)))
            g_string_append_printf(text, "\\u%04x", c);
        else if (c == '\\' && reader.left >= 10 && reader.at[0] == 'u' && reader.at[1] == 0)
            g_string_append(text, "\\u005c"); /* perhaps four digits follow: it costs nothing */
        else
            g_string_append_unichar(text, c);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void write_character(UvWriter *writer, gunichar c)
{
    if (c >= 0x10000) {
        uv_write_u16(writer, (uint16_t)(0xd800 + ((c - 0x10000) >> 10)));
        c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    uv_write_u16(writer, (uint16_t)c);
}

bool uv_load_option_set_description(UvLoadOption *option, const char *text)
{
    uint16_t unit;

    if (!g_utf8_validate(text, -1, NULL))
        return false;
    g_auto(UvWriter) writer = uv_writer(2 * strlen(text) + 2);
    for (const char *at = text; *at;) {
        const gunichar c = g_utf8_get_char(at);

        if (g_unichar_iscntrl(c))
            return false;
        if (read_escape(at, &unit)) {
            uv_write_u16(&writer, unit);
            at += 6;
            continue;
        }
        write_character(&writer, c);
        at = g_utf8_next_char(at);
    }
    GBytes *description = uv_writer_steal(&writer);
    if (!description)
        return false;
    g_bytes_unref(option->description);
    option->description = description;
    return true;
}
