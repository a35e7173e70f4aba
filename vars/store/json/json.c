/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Theory of operation: the text passes the gate (json-gate.h), and its values are then taken
 * strictly: QEMU's loader takes bad hex digits for zeros and a half byte for a whole one, and a
 * store loaded that way would be saved that way. The first thing that is wrong ends the reading,
 * with its place in the text.
 */

#include "json.h"

#include "efi-abi.h"
#include "hex.h"
#include "json-gate.h"
#include "json-put.h"
#include "json-reader.h"
#include "store.h"
#include "uv-limits.h"

#include <string.h>

#define STORE_VERSION 2
/* Of the store, and of a variable. */
#define KNOWN_MAX 7

typedef struct {
    const char *name;
    const char *text;
    size_t size;
    UvJsonReader object;            /* being read */
    const char *const *known;       /* its members, up to a NULL */
    UvJsonReader values[KNOWN_MAX]; /* theirs; without text where there is none */
    unsigned left_out;              /* volatile variables */
    GError **error;
} Loader;

static bool fail_at(Loader *loader, size_t offset, const char *expected)
{
    unsigned line, column;

    uv_json_position(loader->text, loader->size, offset, &line, &column);
    return uv_fail(loader->error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE, "%s:%u:%u: expected %s",
                   loader->name, line, column, expected);
}

/* NULL if it is none that the object may have. */
static UvJsonReader *known_value(Loader *loader, const char *key)
{
    for (size_t i = 0; loader->known[i]; i++) {
        if (strcmp(loader->known[i], key) == 0)
            return &loader->values[i];
    }
    return NULL;
}

/* NULL if the object has no such member. */
static const UvJsonReader *member(Loader *loader, const char *key)
{
    const UvJsonReader *value = known_value(loader, key);

    return value && value->text ? value : NULL;
}

/* Where the member's value is, else the object. */
static bool fail_member(Loader *loader, const char *key, const char *expected)
{
    const UvJsonReader *value = member(loader, key);

    return fail_at(loader, value ? value->at : loader->object.at, expected);
}

/* Goes into an object; every member is one of `known`. The gate saw that none is there twice. */
static bool enter_object(Loader *loader, const UvJsonReader *object, const char *const *known)
{
    UvJsonReader at = *object, value;
    char *name;

    loader->object = *object;
    loader->known = known;
    memset(loader->values, 0, sizeof(loader->values));
    while (uv_json_next_member(&at, &name, &value)) {
        g_autofree char *key = name;
        UvJsonReader *place = known_value(loader, key);

        if (!place) {
            g_autofree char *expected = g_strdup_printf("no member '%s'", key);
            return fail_at(loader, value.at, expected);
        }
        *place = value;
    }
    return true;
}

static bool read_string(Loader *loader, const char *key, char **ret_text)
{
    const UvJsonReader *value = member(loader, key);

    if (!value || uv_json_kind(value) != UV_JSON_STRING) {
        g_autofree char *expected = g_strdup_printf("a string '%s'", key);
        return fail_member(loader, key, expected);
    }
    *ret_text = uv_json_string(value);
    return true;
}

static bool read_number(Loader *loader, const char *key, int64_t *ret_value)
{
    const UvJsonReader *value = member(loader, key);

    if (!value || uv_json_kind(value) != UV_JSON_NUMBER) {
        g_autofree char *expected = g_strdup_printf("a number '%s'", key);
        return fail_member(loader, key, expected);
    }
    *ret_value = uv_json_number(value);
    return true;
}

static bool read_hex(Loader *loader, const char *key, GBytes **ret_bytes)
{
    g_autofree uint8_t *bytes = NULL;
    g_autofree char *text = NULL;
    size_t n;

    if (!read_string(loader, key, &text))
        return false;
    n = strlen(text);
    if (n % 2 != 0)
        return fail_member(loader, key, "an even number of hex digits");
    bytes = g_malloc(MAX(n / 2, 1));
    if (!uv_hex_read(text, n / 2, bytes))
        return fail_member(loader, key, "hex digits only");
    *ret_bytes = g_bytes_new_take(g_steal_pointer(&bytes), n / 2);
    return true;
}

/* `time` is QEMU's name for it, `timestamp` python-uefivars'. */
static bool read_time(Loader *loader, uint8_t ret_time[EFI_TIME_BYTES])
{
    const bool has_time = member(loader, "time"), has_timestamp = member(loader, "timestamp");
    const char *key = has_time ? "time" : "timestamp";
    g_autofree char *text = NULL;

    if (!has_time && !has_timestamp)
        return true;
    if (has_time && has_timestamp)
        return fail_member(loader, "timestamp", "only one of 'time' and 'timestamp'");
    if (!read_string(loader, key, &text))
        return false;
    if (strlen(text) != 2 * EFI_TIME_BYTES || !uv_hex_read(text, EFI_TIME_BYTES, ret_time))
        return fail_member(loader, key, "32 hex digits (an EFI_TIME)");
    return true;
}

static bool read_digest(Loader *loader, GBytes **ret_digest)
{
    g_autoptr(GBytes) digest = NULL;

    if (!member(loader, "digest"))
        return true;
    if (!read_hex(loader, "digest", &digest))
        return false;
    if (g_bytes_get_size(digest) > UV_SIGNER_DIGEST_MAX)
        return fail_member(loader, "digest", "at most 128 hex digits");
    if (g_bytes_get_size(digest) > 0)
        *ret_digest = g_steal_pointer(&digest);
    return true;
}

static bool read_attributes(Loader *loader, uint32_t *ret_attributes)
{
    int64_t value;

    if (!read_number(loader, "attr", &value))
        return false;
    if (value < 0 || value > EFI_VARIABLE_ATTRIBUTES_MASK)
        return fail_member(loader, "attr", "attributes that UEFI knows (at most 127)");
    if (value & EFI_VARIABLE_APPEND_WRITE)
        return fail_member(loader, "attr", "attributes of a variable (bit 6 is none)");
    *ret_attributes = value;
    return true;
}

static bool read_name(Loader *loader, UvName **ret_name)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *text = NULL;

    if (!read_string(loader, "name", &text))
        return false;
    *ret_name = uv_name_new_utf8(text, &local);
    if (!*ret_name)
        return fail_member(loader, "name", "the name of a variable");
    return true;
}

static bool read_guid(Loader *loader, UvGuid *ret_guid)
{
    g_autofree char *text = NULL;

    if (!read_string(loader, "guid", &text))
        return false;
    if (!uv_guid_parse(text, ret_guid))
        return fail_member(loader, "guid", "a GUID (8-4-4-4-12 hex digits)");
    return true;
}

static UvVariable *read_variable(Loader *loader, const UvJsonReader *object)
{
    static const char *const known[KNOWN_MAX + 1] = {"name", "guid",      "attr",  "data",
                                                     "time", "timestamp", "digest"};
    g_autoptr(UvName) name = NULL;
    g_autoptr(GBytes) data = NULL, digest = NULL;
    UvVariable fields = {0};

    if (!enter_object(loader, object, known) || !read_name(loader, &name) ||
        !read_guid(loader, &fields.guid) || !read_attributes(loader, &fields.attributes) ||
        !read_hex(loader, "data", &data) || !read_time(loader, fields.time) ||
        !read_digest(loader, &digest))
        return NULL;
    if (!(fields.attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)) {
        /* python-uefivars gives every variable both, but they mean nothing here. */
        memset(fields.time, 0, sizeof(fields.time));
        g_clear_pointer(&digest, g_bytes_unref);
    }
    fields.name = name;
    fields.data = data;
    fields.digest = digest;
    return uv_variable_new(&fields);
}

static bool read_variables(Loader *loader, const UvJsonReader *array, GPtrArray *variables)
{
    g_autoptr(UvVarset) seen = uv_varset_new();
    UvJsonReader at = *array, element;

    while (uv_json_next_element(&at, &element)) {
        g_autoptr(UvVariable) variable = NULL;

        if (uv_json_kind(&element) != UV_JSON_OBJECT)
            return fail_at(loader, element.at, "objects only in 'variables'");
        variable = read_variable(loader, &element);
        if (!variable)
            return false;
        if (uv_varset_lookup(seen, &variable->guid, variable->name))
            return fail_at(loader, element.at, "no second variable of this name and GUID");
        uv_varset_put(seen, variable);
        if (uv_varset_used_bytes(seen, true) > UV_STORAGE_MAX)
            return fail_at(loader, element.at, UV_STORE_NOT_LARGER);
        if (uv_variable_is_nv(variable))
            g_ptr_array_add(variables, g_steal_pointer(&variable));
        else
            loader->left_out++;
    }
    return true;
}

static bool read_store(Loader *loader, GPtrArray *variables)
{
    static const char *const known[KNOWN_MAX + 1] = {"version", "variables"};
    const UvJsonReader root = uv_json_reader(loader->text, loader->size);
    const UvJsonReader *member_value;
    int64_t version;

    if (!enter_object(loader, &root, known) || !read_number(loader, "version", &version))
        return false;
    if (version != STORE_VERSION)
        return fail_member(loader, "version", "version 2");
    member_value = member(loader, "variables");
    if (!member_value || uv_json_kind(member_value) != UV_JSON_ARRAY)
        return fail_member(loader, "variables", "an array 'variables'");
    const UvJsonReader array = *member_value; /* which the next object's members replace */
    return read_variables(loader, &array, variables);
}

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!g_ascii_isspace(text[i]))
            return false;
    return true;
}

GPtrArray *uv_json_parse(const char *name, const char *text, size_t size, unsigned *ret_left_out,
                         GError **error)
{
    Loader loader = {.name = name, .text = text, .size = size, .error = error};
    g_autoptr(GPtrArray) variables =
        g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);
    UvJsonFault fault;

    if (ret_left_out)
        *ret_left_out = 0;
    if (is_blank(text, size))
        return g_steal_pointer(&variables);
    if (!uv_json_check(&uv_json_store, text, size, &fault)) {
        g_autofree char *message = uv_json_fault_text(name, text, size, &fault);

        g_set_error_literal(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE, message);
        return NULL;
    }
    if (!read_store(&loader, variables))
        return NULL;
    if (ret_left_out)
        *ret_left_out = loader.left_out;
    return g_steal_pointer(&variables);
}

static void append_hex(GString *out, const char *key, const void *bytes, size_t size)
{
    g_string_append_printf(out, ",\n            \"%s\": ", key);
    uv_json_add_hex(out, bytes, size);
}

static void append_variable(GString *out, const UvVariable *variable)
{
    g_autofree char *name = uv_name_to_utf8(variable->name);
    char guid[UV_GUID_TEXT_BYTES + 1];

    uv_guid_format(&variable->guid, guid);
    g_string_append(out, "        {\n            \"name\": ");
    uv_json_add_text(out, name);
    g_string_append_printf(out, ",\n            \"guid\": \"%s\",\n            \"attr\": %u", guid,
                           variable->attributes);
    append_hex(out, "data", g_bytes_get_data(variable->data, NULL),
               g_bytes_get_size(variable->data));
    if (variable->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS) {
        append_hex(out, "time", variable->time, sizeof(variable->time));
        if (variable->digest && g_bytes_get_size(variable->digest) > 0)
            append_hex(out, "digest", g_bytes_get_data(variable->digest, NULL),
                       g_bytes_get_size(variable->digest));
    }
    g_string_append(out, "\n        }");
}

GBytes *uv_json_format(const UvVarset *set)
{
    /* About what it will take: hex, and 200 bytes of names and white space each. */
    size_t guess = 2 * uv_varset_used_bytes(set, true) + 200 * uv_varset_count(set) + 64;
    GString *out = g_string_sized_new(guess);
    bool first = true;

    g_string_append_printf(out, "{\n    \"version\": %d,\n    \"variables\": [", STORE_VERSION);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (!uv_variable_is_nv(v))
            continue;
        g_string_append(out, first ? "\n" : ",\n");
        append_variable(out, v);
        first = false;
    }
    g_string_append(out, first ? "]\n}\n" : "\n    ]\n}\n");
    return g_string_free_to_bytes(out);
}
