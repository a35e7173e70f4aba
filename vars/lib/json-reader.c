/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-reader.h"

#include <string.h>

/* NUL, which no text has, stands for its end. */
static char byte_at_hand(const UvJsonReader *reader)
{
    return reader->at < reader->size ? reader->text[reader->at] : '\0';
}

static void skip_space(UvJsonReader *reader)
{
    while (reader->at < reader->size && strchr(" \t\r\n", reader->text[reader->at]))
        reader->at++;
}

static void skip_string(UvJsonReader *reader)
{
    const char *text = reader->text;
    const size_t size = reader->size;
    size_t at = reader->at + 1;

    while (at < size && text[at] != '"')
        at += text[at] == '\\' ? 2 : 1;
    reader->at = MIN(at + 1, size);
}

/* A value, up to the comma or bracket behind it. */
static void skip_value(UvJsonReader *reader)
{
    size_t depth = 0;

    while (reader->at < reader->size) {
        const char byte = reader->text[reader->at];

        if (depth == 0 && (byte == ',' || byte == '}' || byte == ']'))
            return;
        if (byte == '"') {
            skip_string(reader);
            continue;
        }
        if (byte == '{' || byte == '[')
            depth++;
        else if (byte == '}' || byte == ']')
            depth--;
        reader->at++;
    }
}

/* From the opening bracket, or from behind a member or element, to the next one. */
static bool next(UvJsonReader *at)
{
    const char byte = byte_at_hand(at);

    if (byte != '{' && byte != '[' && byte != ',')
        return false;
    at->at++;
    skip_space(at);
    return byte_at_hand(at) != '}' && byte_at_hand(at) != ']';
}

UvJsonReader uv_json_reader(const char *text, size_t size)
{
    UvJsonReader root = {.text = text, .size = size};

    skip_space(&root);
    return root;
}

UvJsonKind uv_json_kind(const UvJsonReader *value)
{
    switch (byte_at_hand(value)) {
    case '{':
        return UV_JSON_OBJECT;
    case '[':
        return UV_JSON_ARRAY;
    case '"':
        return UV_JSON_STRING;
    case 't':
    case 'f':
    case 'n':
        return UV_JSON_WORD;
    default:
        return UV_JSON_NUMBER;
    }
}

bool uv_json_next_element(UvJsonReader *at, UvJsonReader *ret_value)
{
    if (!next(at))
        return false;
    *ret_value = *at;
    skip_value(at);
    return true;
}

bool uv_json_next_member(UvJsonReader *at, char **ret_name, UvJsonReader *ret_value)
{
    if (!next(at))
        return false;
    *ret_name = uv_json_string(at);
    skip_string(at);
    skip_space(at);
    at->at += byte_at_hand(at) == ':';
    skip_space(at);
    *ret_value = *at;
    skip_value(at);
    return true;
}

/* Four hex digits, if there are so many. */
static gunichar unit_at(const UvJsonReader *string, size_t at)
{
    gunichar unit = 0;

    for (size_t i = at; i < at + 4 && i < string->size; i++)
        unit = unit << 4 | (g_ascii_xdigit_value(string->text[i]) & 15);
    return unit;
}

/* The character of the escape at hand; the reader is behind it then. */
static gunichar take_escape(UvJsonReader *string)
{
    static const char escapes[] = "bfnrt", characters[] = "\b\f\n\r\t";
    const char letter = string->at + 1 < string->size ? string->text[string->at + 1] : '\\';
    const char *at = strchr(escapes, letter);
    gunichar unit;

    string->at += 2;
    if (letter != 'u')
        return at && *at ? (gunichar)characters[at - escapes] : (gunichar)letter;
    unit = unit_at(string, string->at);
    string->at += 4;
    if (unit < 0xd800 || unit > 0xdbff)
        return unit;
    unit = 0x10000 + ((unit - 0xd800) << 10) + (unit_at(string, string->at + 2) - 0xdc00);
    string->at += 6;
    return unit;
}

char *uv_json_string(const UvJsonReader *value)
{
    UvJsonReader end = *value, string = *value;
    GString *out;

    skip_string(&end);
    string.size = MAX(end.at, 1) - 1;
    string.at++;
    out = g_string_new(NULL);
    while (string.at < string.size) {
        const char *from = string.text + string.at;
        const char *escape = memchr(from, '\\', string.size - string.at);
        const size_t plain = escape ? (size_t)(escape - from) : string.size - string.at;

        g_string_append_len(out, from, plain);
        string.at += plain;
        if (escape)
            g_string_append_unichar(out, take_escape(&string));
    }
    return g_string_free(out, FALSE);
}

int64_t uv_json_number(const UvJsonReader *value)
{
    UvJsonReader number = *value;
    const bool is_negative = byte_at_hand(value) == '-';
    uint64_t magnitude = 0;

    for (number.at += is_negative; g_ascii_isdigit(byte_at_hand(&number)); number.at++)
        magnitude = 10 * magnitude + (byte_at_hand(&number) - '0');
    return is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
}
