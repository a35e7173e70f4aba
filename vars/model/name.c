/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Two escapes lead through text and back:
 *
 * File names: "%XX" with upper case digits is always an escape, so a literal '%' that two hex
 * digits follow must be "%25". Only what uv_file_name_format() writes is read: a name has one file
 * name, and "%41-…" is none at all.
 *
 * JSON: an escaped surrogate is the nine characters "%ED%Ax%yy" or "%ED%Bx%yy". A literal text of
 * that form is told from it by "25" after its first '%'; a literal text of *that* form gets one
 * more "25", and so on: reading takes one away.
 */

#include "name.h"

#include "hash.h"

#include <string.h>

struct UvName {
    grefcount refs;
    guint hash;
    size_t n_units;
    uint8_t units[]; /* little endian, with a NUL unit */
};

#define SURROGATE_ESCAPE_BYTES 9

static UvName *name_alloc(const uint8_t *units, size_t n_units)
{
    UvName *name = g_malloc(sizeof(*name) + 2 * (n_units + 1));

    g_ref_count_init(&name->refs);
    name->n_units = n_units;
    memcpy(name->units, units, 2 * n_units);
    name->units[2 * n_units] = name->units[2 * n_units + 1] = 0;
    name->hash = uv_hash(units, 2 * n_units);
    return name;
}

UvName *uv_name_new_utf16le(const void *bytes, size_t n_units)
{
    const uint8_t *units = bytes;

    if (n_units == 0)
        return NULL;
    for (size_t i = 0; i < n_units; i++) {
        if (units[2 * i] == 0 && units[2 * i + 1] == 0)
            return NULL;
    }
    return name_alloc(units, n_units);
}

UvName *uv_name_ref(const UvName *name)
{
    UvName *mutable = (UvName *)name;

    g_ref_count_inc(&mutable->refs);
    return mutable;
}

void uv_name_unref(UvName *name)
{
    if (name && g_ref_count_dec(&name->refs))
        g_free(name);
}

size_t uv_name_units(const UvName *name)
{
    return name->n_units;
}

size_t uv_name_size_bytes(const UvName *name)
{
    return 2 * (name->n_units + 1);
}

const uint8_t *uv_name_utf16le(const UvName *name)
{
    return name->units;
}

bool uv_name_equal(const UvName *a, const UvName *b)
{
    return a == b || (a->hash == b->hash && a->n_units == b->n_units &&
                      memcmp(a->units, b->units, 2 * a->n_units) == 0);
}

bool uv_name_is(const UvName *name, const char *ascii)
{
    size_t i = 0;

    for (; i < name->n_units && ascii[i]; i++) {
        if (name->units[2 * i] != (uint8_t)ascii[i] || name->units[2 * i + 1] != 0)
            return false;
    }
    return i == name->n_units && !ascii[i];
}

guint uv_name_hash(const UvName *name)
{
    return name->hash;
}

/* ---- text to units ---- */

static void append_unit(GByteArray *units, uint16_t unit)
{
    const uint8_t bytes[2] = {unit & 0xff, unit >> 8};

    g_byte_array_append(units, bytes, sizeof(bytes));
}

static void append_character(GByteArray *units, gunichar c)
{
    if (c < 0x10000) {
        append_unit(units, c);
        return;
    }
    append_unit(units, 0xd800 + ((c - 0x10000) >> 10));
    append_unit(units, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

static int upper_hex(char c)
{
    return c >= 'a' && c <= 'f' ? -1 : g_ascii_xdigit_value(c);
}

/* The byte that "%XX" at `text` means, or -1. */
static int escaped_byte(const char *text)
{
    if (text[0] != '%' || upper_hex(text[1]) < 0 || upper_hex(text[2]) < 0)
        return -1;
    return upper_hex(text[1]) << 4 | upper_hex(text[2]);
}

/* The surrogate that "%ED%Ax%yy" or "%ED%Bx%yy" at `text` means, or 0. */
static uint16_t escaped_surrogate(const char *text)
{
    if (escaped_byte(text) != 0xed)
        return 0;
    const int middle = escaped_byte(text + 3);
    if (middle < 0xa0 || middle > 0xbf)
        return 0;
    const int last = escaped_byte(text + 6);
    if (last < 0x80 || last > 0xbf)
        return 0;
    return 0xd000 | (middle & 0x3f) << 6 | (last & 0x3f);
}

/* JSON: "%", any number of "25", and the rest of an escaped surrogate. */
static bool reads_as_json_escape(const char *text)
{
    if (*text != '%')
        return false;
    const char *rest = text + 1;
    while (strncmp(rest, "25", 2) == 0)
        rest += 2;
    char escape[SURROGATE_ESCAPE_BYTES + 1] = "%";
    strncpy(escape + 1, rest, SURROGATE_ESCAPE_BYTES - 1);
    return escaped_surrogate(escape) != 0;
}

/* One step of reading; returns how many bytes of text it took. */
static size_t read_json_escape(GByteArray *units, const char *text)
{
    const uint16_t surrogate = escaped_surrogate(text);

    if (surrogate) {
        append_unit(units, surrogate);
        return SURROGATE_ESCAPE_BYTES;
    }
    append_unit(units, '%');
    return reads_as_json_escape(text) ? 3 : 1;
}

static size_t read_file_escape(GByteArray *units, const char *text)
{
    const uint16_t surrogate = escaped_surrogate(text);

    if (surrogate) {
        append_unit(units, surrogate);
        return SURROGATE_ESCAPE_BYTES;
    }
    const int byte = escaped_byte(text);
    if (byte == '/' || byte == '%') {
        append_unit(units, byte);
        return 3;
    }
    append_unit(units, '%');
    return 1;
}

static UvName *name_from_text(const char *text, size_t size,
                              size_t (*read_escape)(GByteArray *units, const char *text))
{
    g_autoptr(GByteArray) units = g_byte_array_new();
    g_autofree char *copy = g_strndup(text, size);

    if (size == 0 || strlen(copy) != size || !g_utf8_validate(copy, size, NULL))
        return NULL;
    for (const char *at = copy; *at;) {
        if (*at == '%') {
            at += read_escape(units, at);
        } else {
            append_character(units, g_utf8_get_char(at));
            at = g_utf8_next_char(at);
        }
    }
    return name_alloc(units->data, units->len / 2);
}

UvName *uv_name_new_utf8(const char *text, GError **error)
{
    UvName *name = name_from_text(text, strlen(text), read_json_escape);

    if (!name)
        g_set_error_literal(error, G_CONVERT_ERROR, G_CONVERT_ERROR_ILLEGAL_SEQUENCE,
                            *text ? "a name that is not valid UTF-8" : "an empty name");
    return name;
}

/* ---- units to text ---- */

static uint16_t unit_at(const UvName *name, size_t i)
{
    return i < name->n_units ? name->units[2 * i] | name->units[2 * i + 1] << 8 : 0;
}

/* The character at unit `*i`, which moves on; a lone surrogate comes as itself. */
static gunichar next_character(const UvName *name, size_t *i)
{
    const uint16_t first = unit_at(name, (*i)++);
    const uint16_t second = unit_at(name, *i);

    if (first >= 0xd800 && first < 0xdc00 && second >= 0xdc00 && second < 0xe000) {
        (*i)++;
        return 0x10000 + ((gunichar)(first & 0x3ff) << 10) + (second & 0x3ff);
    }
    return first;
}

/* The text with surrogates escaped and every other character as it is; `ret_literal` tells which
 * '%' are literal: one char a byte of the text. */
static GString *to_text(const UvName *name, GString *literal)
{
    GString *text = g_string_sized_new(name->n_units);

    for (size_t i = 0; i < name->n_units;) {
        const gunichar c = next_character(name, &i);
        if (c >= 0xd800 && c < 0xe000)
            g_string_append_printf(text, "%%ED%%%02X%%%02X", 0x80 | (c >> 6 & 0x3f),
                                   0x80 | (c & 0x3f));
        else
            g_string_append_unichar(text, c);
        while (literal->len < text->len)
            g_string_append_c(literal, c >= 0xd800 && c < 0xe000 ? 'e' : 'l');
    }
    return text;
}

static char *escape(const UvName *name, bool (*needs)(const char *text), bool slashes)
{
    g_autoptr(GString) literal = g_string_new(NULL);
    g_autoptr(GString) text = to_text(name, literal);
    GString *out = g_string_sized_new(text->len);

    for (size_t i = 0; i < text->len; i++) {
        const bool is_literal = literal->str[i] == 'l';
        if (is_literal && needs(text->str + i))
            g_string_append(out, "%25");
        else if (is_literal && slashes && text->str[i] == '/')
            g_string_append(out, "%2F");
        else
            g_string_append_c(out, text->str[i]);
    }
    return g_string_free(out, FALSE);
}

char *uv_name_to_utf8(const UvName *name)
{
    return escape(name, reads_as_json_escape, false);
}

static bool percent_before_hex(const char *text)
{
    return text[0] == '%' && g_ascii_isxdigit(text[1]) && g_ascii_isxdigit(text[2]);
}

char *uv_file_name_format(const UvName *name, const UvGuid *guid)
{
    g_autofree char *escaped = escape(name, percent_before_hex, true);
    char text[UV_GUID_TEXT_BYTES + 1];

    uv_guid_format(guid, text);
    return g_strconcat(escaped, "-", text, NULL);
}

bool uv_file_name_parse(const char *file_name, UvName **ret_name, UvGuid *ret_guid)
{
    const size_t size = strlen(file_name);
    UvGuid guid;

    if (size < 1 + 1 + UV_GUID_TEXT_BYTES)
        return false;
    const size_t name_size = size - UV_GUID_TEXT_BYTES - 1;
    if (file_name[name_size] != '-' || !uv_guid_parse(file_name + name_size + 1, &guid))
        return false;
    g_autoptr(UvName) name = name_from_text(file_name, name_size, read_file_escape);
    if (!name)
        return false;
    g_autofree char *canonical = uv_file_name_format(name, &guid);
    if (strncmp(canonical, file_name, name_size + 1) != 0)
        return false;
    *ret_name = g_steal_pointer(&name);
    *ret_guid = guid;
    return true;
}
