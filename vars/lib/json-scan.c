/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-scan.h"

#include <string.h>

static const char *const literals[] = {"true", "false", "null"};
/* An int64 has 18 that are always right; json-glib does not notice more. */
#define DIGITS_MAX 18

typedef struct {
    const char *text;
    size_t size, at;
    GArray *objects;
    UvJsonFault *fault;
    unsigned depth;
    char closers[UV_JSON_DEPTH_MAX];
    unsigned owners[UV_JSON_DEPTH_MAX]; /* index of the object, at the levels that are one */
} Scan;

static bool refuse(Scan *scan, size_t offset, const char *expected)
{
    *scan->fault = (UvJsonFault){offset, expected};
    return false;
}

/* The four digits of a \u escape, or -1. */
static int escape_unit(const Scan *scan, size_t at)
{
    int value = 0;

    if (at > scan->size || scan->size - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(scan->text[at + i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* `at` is behind "\u"; moves over the digits, and over the second half of a pair. */
static bool scan_unicode_escape(Scan *scan)
{
    size_t start = scan->at - 2;
    int unit = escape_unit(scan, scan->at), low;

    if (unit < 0)
        return refuse(scan, start, "four hex digits after \\u");
    if (unit == 0)
        return refuse(scan, start, "a character other than NUL");
    scan->at += 4;
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    low = unit < 0xdc00 && scan->size - scan->at >= 6 && scan->text[scan->at] == '\\' &&
                  scan->text[scan->at + 1] == 'u'
              ? escape_unit(scan, scan->at + 2)
              : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return refuse(scan, start, "a whole surrogate pair");
    scan->at += 6;
    return true;
}

/* `at` is behind the opening quote; moves behind the closing one. */
static bool scan_string(Scan *scan)
{
    size_t start = scan->at - 1;

    while (scan->at < scan->size) {
        unsigned char c = scan->text[scan->at++];

        if (c == '"')
            return true;
        if (c < 0x20)
            return refuse(scan, scan->at - 1, "no control character inside a string");
        if (c != '\\')
            continue;
        if (scan->at == scan->size)
            break;
        c = scan->text[scan->at++];
        if (c == 'u') {
            if (!scan_unicode_escape(scan))
                return false;
        } else if (c == 0 || !strchr("\"\\/bfnrt", c)) {
            return refuse(scan, scan->at - 2, "an escape that JSON knows");
        }
    }
    return refuse(scan, start, "the end of this string");
}

static bool scan_open(Scan *scan, char c)
{
    if (scan->depth == UV_JSON_DEPTH_MAX)
        return refuse(scan, scan->at - 1, "less nesting");
    if (c == '{') {
        UvJsonObject object = {scan->at - 1, 0};

        scan->owners[scan->depth] = scan->objects->len;
        g_array_append_val(scan->objects, object);
    }
    scan->closers[scan->depth++] = c == '{' ? '}' : ']';
    return true;
}

static size_t count_digits(const Scan *scan, size_t at)
{
    size_t n = 0;

    while (at + n < scan->size && g_ascii_isdigit(scan->text[at + n]))
        n++;
    return n;
}

/*
 * A number or a literal, `at` behind its first character. The tree would show an octal or
 * hexadecimal number as any other, so the spelling is looked at here; fractions and exponents stay
 * json-glib's.
 */
static bool scan_word(Scan *scan)
{
    size_t start = scan->at - 1, digits = start + (scan->text[start] == '-');

    if (g_ascii_isalpha(scan->text[start])) {
        while (scan->at < scan->size && g_ascii_isalpha(scan->text[scan->at]))
            scan->at++;
        for (size_t i = 0; i < G_N_ELEMENTS(literals); i++)
            if (scan->at - start == strlen(literals[i]) &&
                memcmp(scan->text + start, literals[i], scan->at - start) == 0)
                return true;
        return refuse(scan, start, "a JSON value");
    }
    if (count_digits(scan, digits) == 0)
        return refuse(scan, start, "a JSON value");
    if (scan->text[digits] == '0' && count_digits(scan, digits) > 1)
        return refuse(scan, start, "a number without leading zeros");
    scan->at = digits + count_digits(scan, digits);
    if (scan->at - digits > DIGITS_MAX)
        return refuse(scan, start, "a smaller number");
    while (scan->at < scan->size && scan->text[scan->at] &&
           strchr(".eE+-0123456789", scan->text[scan->at]))
        scan->at++;
    return true;
}

static bool scan_structure(Scan *scan, char c)
{
    switch (c) {
    case '{':
    case '[':
        return scan_open(scan, c);
    case '}':
    case ']':
        if (scan->depth == 0 || scan->closers[scan->depth - 1] != c)
            return refuse(scan, scan->at - 1, c == '}' ? "no '}' here" : "no ']' here");
        scan->depth--;
        return true;
    case ':':
        if (scan->depth == 0 || scan->closers[scan->depth - 1] != '}')
            return refuse(scan, scan->at - 1, "no ':' here");
        g_array_index(scan->objects, UvJsonObject, scan->owners[scan->depth - 1]).n_members++;
        return true;
    case ',':
        return true;
    default:
        return scan_word(scan);
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool scan_all(Scan *scan)
{
    bool begun = false;

    while (scan->at < scan->size) {
        char c = scan->text[scan->at++];

        if (is_space(c))
            continue;
        if (!begun && c != '{')
            return refuse(scan, scan->at - 1, "an object ('{')");
        if (begun && scan->depth == 0)
            return refuse(scan, scan->at - 1, "nothing after the end of the object");
        begun = true;
        if (c == '"' ? !scan_string(scan) : !scan_structure(scan, c))
            return false;
    }
    if (!begun)
        return refuse(scan, scan->size, "an object ('{')");
    if (scan->depth > 0)
        return refuse(scan, scan->size,
                      scan->closers[scan->depth - 1] == '}' ? "a '}' (the text ends too early)"
                                                            : "a ']' (the text ends too early)");
    return true;
}

GArray *uv_json_scan(const char *text, size_t size, UvJsonFault *ret_fault)
{
    Scan scan = {.text = text, .size = size, .fault = ret_fault};
    const char *end;

    if (!g_utf8_validate_len(text, size, &end)) {
        *ret_fault = (UvJsonFault){end - text, "valid UTF-8"};
        return NULL;
    }
    scan.objects = g_array_new(FALSE, FALSE, sizeof(UvJsonObject));
    if (!scan_all(&scan))
        g_clear_pointer(&scan.objects, g_array_unref);
    return scan.objects;
}

static size_t skip_space(const char *text, size_t size, size_t at)
{
    while (at < size && (is_space(text[at]) || text[at] == ':'))
        at++;
    return at;
}

/* The text has been scanned: strings and brackets are known to be whole. */
size_t uv_json_find_member(const char *text, size_t size, size_t object_offset, const char *key)
{
    unsigned depth = 0;
    bool at_key = true;
    size_t n = strlen(key);

    for (size_t at = object_offset; at < size; at++) {
        char c = text[at];

        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (--depth == 0)
                break;
        } else if (c == ',' && depth == 1) {
            at_key = true;
        } else if (c == ':' && depth == 1) {
            at_key = false;
        } else if (c == '"') {
            size_t start = ++at;

            while (at < size && text[at] != '"')
                at += text[at] == '\\' ? 2 : 1;
            if (at_key && depth == 1 && at - start == n && memcmp(text + start, key, n) == 0)
                return skip_space(text, size, at + 1);
        }
    }
    return object_offset;
}

void uv_json_position(const char *text, size_t size, size_t offset, unsigned *ret_line,
                      unsigned *ret_column)
{
    unsigned line = 1, column = 1;

    for (size_t at = 0; at < offset && at < size; at++) {
        if (text[at] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[at] & 0xc0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}
