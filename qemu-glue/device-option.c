/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device-option.h"

#include <string.h>

typedef struct {
    GString *driver, *store, *other;
    bool has_store, has_socket;
} Values;

/* Where the value of `key` goes. */
static GString *place_for(Values *values, const char *key)
{
    if (strcmp(key, "driver") == 0)
        return g_string_truncate(values->driver, 0);
    values->has_socket |= strcmp(key, "socket") == 0;
    if (strcmp(key, "jsonfile") != 0)
        return g_string_truncate(values->other, 0);
    values->has_store = true;
    return g_string_truncate(values->store, 0);
}

/* Text up to a lone comma (two are one that belongs to the text) or a character of `ends`. */
static const char *take_text(const char *at, const char *ends, GString *ret_text)
{
    for (; *at && !strchr(ends, *at); at++) {
        if (*at == ',' && *++at != ',')
            return at - 1;
        g_string_append_c(ret_text, *at);
    }
    return at;
}

/* driver[,key=value]...; a key alone is a switch. */
static void parse_list(const char *at, Values *values)
{
    g_autoptr(GString) key = g_string_new(NULL);
    bool first = true;

    while (*at) {
        g_string_truncate(key, 0);
        at = take_text(at, "=", key);
        if (*at == '=')
            at = take_text(at + 1, "", place_for(values, key->str));
        else if (first)
            g_string_assign(values->driver, key->str);
        first = false;
        if (*at == ',')
            at++;
    }
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *take_unit(const char *at, guint *ret_unit)
{
    *ret_unit = 0;
    for (unsigned i = 0; i < 4; i++, at++) {
        if (!g_ascii_isxdigit(*at))
            return NULL;
        *ret_unit = *ret_unit << 4 | g_ascii_xdigit_value(*at);
    }
    return at;
}

/* What follows a backslash; NULL: malformed. */
static const char *take_escape(const char *at, GString *ret_text)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *plain = *at ? strchr(from, *at) : NULL;
    guint unit, low;

    if (*at != 'u') {
        if (*at)
            g_string_append_c(ret_text, plain ? to[plain - from] : *at);
        return *at ? at + 1 : NULL;
    }
    at = take_unit(at + 1, &unit);
    if (at && unit >= 0xd800 && unit < 0xdc00) {
        if (at[0] != '\\' || at[1] != 'u' || !(at = take_unit(at + 2, &low)) || low < 0xdc00 ||
            low > 0xdfff)
            return NULL;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    if (at && g_unichar_validate(unit) && unit)
        g_string_append_unichar(ret_text, unit);
    else
        at = NULL;
    return at;
}

/* A string in either quotes, as QEMU takes them; `at` is behind the first. NULL: malformed. */
static const char *take_string(const char *at, char quote, GString *ret_text)
{
    while (at && *at && *at != quote) {
        if (*at == '\\')
            at = take_escape(at + 1, ret_text);
        else
            g_string_append_c(ret_text, *at++);
    }
    return at && *at ? at + 1 : NULL;
}

/* Over a value that is no string: to the comma or brace that ends it. */
static const char *skip_value(const char *at, GString *scratch)
{
    unsigned depth = 0;

    for (; at && *at; at++) {
        if (*at == '"' || *at == '\'') {
            at = take_string(at + 1, *at, scratch);
            if (!at)
                return NULL;
            at--;
        } else if (strchr("[{", *at)) {
            depth++;
        } else if (depth == 0 && strchr(",}", *at)) {
            return at;
        } else if (strchr("]}", *at)) {
            depth--;
        }
    }
    return NULL;
}

static void parse_json(const char *at, Values *values)
{
    g_autoptr(GString) key = g_string_new(NULL);

    at = skip_space(at + 1);
    while (at && (*at == '"' || *at == '\'')) {
        g_string_truncate(key, 0);
        at = take_string(at + 1, *at, key);
        at = at ? skip_space(at) : NULL;
        if (!at || *at != ':')
            return;
        at = skip_space(at + 1);
        if (*at == '"' || *at == '\'')
            at = take_string(at + 1, *at, place_for(values, key->str));
        else
            at = skip_value(at, values->other);
        at = at ? skip_space(at) : NULL;
        if (!at || *at != ',')
            return;
        at = skip_space(at + 1);
    }
}

static bool is_ours(const Values *values)
{
    return strcmp(values->driver->str, "uefi-vars-x64") == 0 ||
           strcmp(values->driver->str, "uefi-vars-sysbus") == 0;
}

static GlueDeviceOption parse_device(const char *text)
{
    g_autoptr(GString) driver = g_string_new(NULL), store = g_string_new(NULL);
    g_autoptr(GString) other = g_string_new(NULL);
    Values values = {.driver = driver, .store = store, .other = other};

    if (*skip_space(text) == '{')
        parse_json(skip_space(text), &values);
    else
        parse_list(text, &values);
    if (!is_ours(&values))
        return (GlueDeviceOption){0};
    return (GlueDeviceOption){
        .found = true,
        .store = values.has_store ? g_strdup(store->str) : NULL,
        .socket = values.has_socket,
    };
}

GlueDeviceOption glue_device_option_parse(const char *line, size_t bytes)
{
    GlueDeviceOption option = {0};
    bool device = false;

    for (size_t at = 0; at < bytes && !option.found;) {
        const size_t length = strnlen(line + at, bytes - at);
        g_autofree char *argument = g_strndup(line + at, length);

        if (device)
            option = parse_device(argument);
        device = !device && (strcmp(argument, "-device") == 0 || strcmp(argument, "--device") == 0);
        at += length + 1;
    }
    return option;
}

void glue_device_option_clear(GlueDeviceOption *option)
{
    g_free(option->store);
    *option = (GlueDeviceOption){0};
}
