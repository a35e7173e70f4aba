/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-lines.h"

#include <gio/gio.h>
#include <string.h>

/*
 * json-glib's parser calls itself for every nested value, so a file of brackets would take its
 * stack. All opening brackets are counted, wherever they stand: no descriptor has a tenth of so
 * many.
 */
#define BRACKETS_MAX 1000u

struct DescJson {
    char *name;
    JsonParser *parser;
    GHashTable *lines; /* "object pointer/member" -> line */
    char *repeated;    /* the first member that its object had already; NULL: none */
    unsigned repeated_line;
};

static char *line_key(JsonObject *object, const char *member)
{
    return g_strdup_printf("%p/%s", (void *)object, member);
}

static void on_member(JsonParser *parser, JsonObject *object, const char *member, void *data)
{
    DescJson *json = data;
    unsigned line = json_parser_get_current_line(parser);

    if (!g_hash_table_insert(json->lines, line_key(object, member), GUINT_TO_POINTER(line)) &&
        !json->repeated) {
        json->repeated = g_strdup(member);
        json->repeated_line = line;
    }
}

static bool has_too_many_brackets(const char *text, size_t size)
{
    unsigned n = 0;

    for (size_t i = 0; i < size && n <= BRACKETS_MAX; i++)
        n += text[i] == '[' || text[i] == '{';
    return n > BRACKETS_MAX;
}

/* json-glib's own messages start with its "<data>:line:column: ": put the name in its place. */
static void set_parse_error(const char *name, const GError *inner, GError **error)
{
    const char *place = g_str_has_prefix(inner->message, "<data>:") ? inner->message + 7 : NULL;

    if (place)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%s", name, place);
    else
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:1: %s", name, inner->message);
}

DescJson *desc_json_parse(const char *name, const char *text, size_t size, GError **error)
{
    g_autoptr(DescJson) json = g_new0(DescJson, 1);
    g_autoptr(GError) inner = NULL;
    JsonNode *root;

    json->name = g_strdup(name);
    json->parser = json_parser_new();
    json->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_signal_connect(json->parser, "object-member", G_CALLBACK(on_member), json);
    if (size > G_MAXSSIZE || !g_utf8_validate(text, (gssize)size, NULL)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:1: not UTF-8 text", name);
        return NULL;
    }
    if (has_too_many_brackets(text, size)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:1: more than %u brackets", name,
                    BRACKETS_MAX);
        return NULL;
    }
    if (!json_parser_load_from_data(json->parser, text, (gssize)size, &inner)) {
        set_parse_error(name, inner, error);
        return NULL;
    }
    root = json_parser_get_root(json->parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:1: expected a JSON object",
                    name);
        return NULL;
    }
    return g_steal_pointer(&json);
}

/* The end of the string that begins behind the quote at `at`, and whether it escapes a NUL. */
static size_t string_end(const char *text, size_t size, size_t at, bool *ret_nul)
{
    static const char nul[] = "\\u0000";

    *ret_nul = false;
    for (at++; at < size && text[at] != '"'; at++) {
        if (text[at] != '\\')
            continue;
        *ret_nul |= size - at >= strlen(nul) && memcmp(text + at, nul, strlen(nul)) == 0;
        at++;
    }
    return MIN(at, size);
}

static bool is_key(const char *text, size_t size, size_t end)
{
    do
        end++;
    while (end < size && g_ascii_isspace(text[end]));
    return end < size && text[end] == ':';
}

/* What json-glib takes at `at`, outside strings, and JSON has not; NULL: nothing. */
static const char *find_liberty(const char *text, size_t size, size_t at)
{
    const char next = at + 1 < size ? text[at + 1] : '\0';

    if (text[at] == '/')
        return "JSON has no comments";
    if (text[at] == '\'')
        return "JSON has double quotes only";
    if (text[at] == '0' && at > 0 &&
        (g_ascii_isspace(text[at - 1]) || strchr(":,[", text[at - 1])) &&
        (g_ascii_isdigit(next) || next == 'x' || next == 'X'))
        return "JSON has decimal numbers only";
    return NULL;
}

/* json-glib also ends a string at an escaped NUL, and drops the rest. */
static bool refuse_liberties(const char *name, const char *text, size_t size, GError **error)
{
    size_t key = 0, key_size = 0;
    const char *wrong = NULL;
    unsigned line = 1;
    bool nul;

    for (size_t at = 0; at < size && !wrong; at++) {
        line += text[at] == '\n';
        if (text[at] != '"') {
            wrong = find_liberty(text, size, at);
            continue;
        }
        const size_t start = at + 1;

        at = string_end(text, size, at, &nul);
        if (is_key(text, size, at)) {
            key = start;
            key_size = at - start;
        }
        wrong = nul ? "contains a NUL" : NULL;
    }
    if (wrong)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %.*s%s%s", name, line,
                    (int)key_size, text + key, key_size > 0 ? ": " : "", wrong);
    return !wrong;
}

DescJson *desc_json_parse_strict(const char *name, const char *text, size_t size, GError **error)
{
    g_autoptr(DescJson) json = desc_json_parse(name, text, size, error);

    if (!json || !refuse_liberties(name, text, size, error))
        return NULL;
    if (json->repeated) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s: given twice", name,
                    json->repeated_line, json->repeated);
        return NULL;
    }
    return g_steal_pointer(&json);
}

void desc_json_free(DescJson *json)
{
    if (!json)
        return;
    g_free(json->repeated);
    g_clear_object(&json->parser);
    g_clear_pointer(&json->lines, g_hash_table_unref);
    g_free(json->name);
    g_free(json);
}

JsonObject *desc_json_root(const DescJson *json)
{
    return json_node_get_object(json_parser_get_root(json->parser));
}

unsigned desc_json_line(const DescJson *json, JsonObject *object, const char *member)
{
    g_autofree char *key = line_key(object, member);

    return MAX(GPOINTER_TO_UINT(g_hash_table_lookup(json->lines, key)), 1u);
}

bool desc_json_fail(const DescJson *json, JsonObject *object, const char *member, GError **error,
                    const char *format, ...)
{
    g_autofree char *reason = NULL;
    va_list arguments;

    va_start(arguments, format);
    reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s: %s", json->name,
                desc_json_line(json, object, member), member, reason);
    return false;
}

/* Where an object begins, nearly: the line of its first member. */
static unsigned object_line(const DescJson *json, JsonObject *object)
{
    g_autoptr(GList) members = json_object_get_members(object);

    return members ? desc_json_line(json, object, members->data) : 1u;
}

/* The member's node if it is there; `ret_ok` is false if it must be and is not. */
static JsonNode *find_member(const DescJson *json, JsonObject *object, const char *member,
                             bool required, bool *ret_ok, GError **error)
{
    JsonNode *node = json_object_get_member(object, member);

    *ret_ok = node || !required;
    if (!*ret_ok)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s: missing", json->name,
                    object_line(json, object), member);
    return node;
}

bool desc_json_string(const DescJson *json, JsonObject *object, const char *member, bool required,
                      const char **ret_value, GError **error)
{
    bool ok;
    JsonNode *node = find_member(json, object, member, required, &ok, error);

    if (!node)
        return ok;
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
        return desc_json_fail(json, object, member, error, "expected a string");
    *ret_value = json_node_get_string(node);
    return true;
}

bool desc_json_bool(const DescJson *json, JsonObject *object, const char *member, bool *ret_value,
                    GError **error)
{
    bool ok;
    JsonNode *node = find_member(json, object, member, false, &ok, error);

    if (!node)
        return ok;
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
        return desc_json_fail(json, object, member, error, "expected true or false");
    *ret_value = json_node_get_boolean(node);
    return true;
}

bool desc_json_uint(const DescJson *json, JsonObject *object, const char *member,
                    uint64_t *ret_value, GError **error)
{
    bool ok;
    JsonNode *node = find_member(json, object, member, false, &ok, error);

    if (!node)
        return ok;
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64 ||
        json_node_get_int(node) < 0)
        return desc_json_fail(json, object, member, error, "expected a whole number");
    *ret_value = (uint64_t)json_node_get_int(node);
    return true;
}

bool desc_json_object(const DescJson *json, JsonObject *object, const char *member, bool required,
                      JsonObject **ret_value, GError **error)
{
    bool ok;
    JsonNode *node = find_member(json, object, member, required, &ok, error);

    if (!node)
        return ok;
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return desc_json_fail(json, object, member, error, "expected an object");
    *ret_value = json_node_get_object(node);
    return true;
}

bool desc_json_array(const DescJson *json, JsonObject *object, const char *member, bool required,
                     JsonArray **ret_value, GError **error)
{
    bool ok;
    JsonNode *node = find_member(json, object, member, required, &ok, error);

    if (!node)
        return ok;
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return desc_json_fail(json, object, member, error, "expected an array");
    *ret_value = json_node_get_array(node);
    return true;
}

GPtrArray *desc_json_strings(const DescJson *json, JsonObject *object, const char *member,
                             bool required, GError **error)
{
    g_autoptr(GPtrArray) strings = g_ptr_array_new_with_free_func(g_free);
    JsonArray *array = NULL;

    if (!desc_json_array(json, object, member, required, &array, error))
        return NULL;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);

        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING) {
            desc_json_fail(json, object, member, error, "element %u: expected a string", i + 1);
            return NULL;
        }
        g_ptr_array_add(strings, g_strdup(json_node_get_string(node)));
    }
    return g_steal_pointer(&strings);
}
