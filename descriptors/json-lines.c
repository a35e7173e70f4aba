/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-lines.h"

#include "schema.h"

#include <gio/gio.h>

struct DescJson {
    char *name;
    GBytes *text;
    JsonParser *parser;
    GHashTable *indexes; /* JsonObject * -> its number, in the order in which they begin */
    GArray *open;        /* of guint: numbers of the objects that are being parsed */
    guint n_objects;
};

static void on_object_start(JsonParser *parser, void *data)
{
    DescJson *json = data;

    g_array_append_val(json->open, json->n_objects);
    json->n_objects++;
}

static void on_object_end(JsonParser *parser, JsonObject *object, void *data)
{
    DescJson *json = data;
    const guint index = g_array_index(json->open, guint, json->open->len - 1);

    g_hash_table_insert(json->indexes, object, GUINT_TO_POINTER(index));
    g_array_set_size(json->open, json->open->len - 1);
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

static bool check(const UvJsonRules *rules, const char *name, const char *text, size_t size,
                  GError **error)
{
    g_autofree char *message = NULL;
    UvJsonFault fault;

    if (uv_json_check(rules, text, size, &fault))
        return true;
    message = uv_json_fault_text(name, text, size, &fault);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, message);
    return false;
}

DescJson *desc_json_parse(const UvJsonRules *rules, const char *name, const char *text, size_t size,
                          GError **error)
{
    g_autoptr(DescJson) json = NULL;
    g_autoptr(GError) inner = NULL;

    if (!check(rules, name, text, size, error))
        return NULL;
    json = g_new0(DescJson, 1);
    json->name = g_strdup(name);
    json->text = g_bytes_new(text, size);
    json->parser = json_parser_new();
    json->indexes = g_hash_table_new(NULL, NULL);
    json->open = g_array_new(FALSE, FALSE, sizeof(guint));
    g_signal_connect(json->parser, "object-start", G_CALLBACK(on_object_start), json);
    g_signal_connect(json->parser, "object-end", G_CALLBACK(on_object_end), json);
    if (!json_parser_load_from_data(json->parser, text, (gssize)size, &inner)) {
        set_parse_error(name, inner, error);
        return NULL;
    }
    return g_steal_pointer(&json);
}

void desc_json_free(DescJson *json)
{
    if (!json)
        return;
    g_object_unref(json->parser);
    g_bytes_unref(json->text);
    g_hash_table_unref(json->indexes);
    g_array_unref(json->open);
    g_free(json->name);
    g_free(json);
}

JsonObject *desc_json_root(const DescJson *json)
{
    return json_node_get_object(json_parser_get_root(json->parser));
}

unsigned desc_json_line(const DescJson *json, JsonObject *object, const char *member)
{
    const guint index = GPOINTER_TO_UINT(g_hash_table_lookup(json->indexes, object));
    unsigned line, column;
    gsize size;
    const char *text = g_bytes_get_data(json->text, &size);

    uv_json_position(text, size, uv_json_find(text, size, index, member), &line, &column);
    return line;
}

bool desc_json_fail(const DescJson *json, JsonObject *object, const char *member, GError **error,
                    const char *format, ...)
{
    g_autofree char *reason = NULL;
    va_list arguments;

    va_start(arguments, format);
    reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    for (char *at = reason; *at; at++) { /* what it quotes comes from the text */
        if (g_ascii_iscntrl(*at))
            *at = '?';
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s: %s", json->name,
                desc_json_line(json, object, member), member, reason);
    return false;
}

typedef enum {
    STRING,
    BOOLEAN,
    NUMBER,
    OBJECT,
    ARRAY,
} Kind;

static const struct {
    JsonNodeType type;
    GType value; /* of a value */
    const char *expected;
} kinds[] = {
    [STRING] = {JSON_NODE_VALUE, G_TYPE_STRING, "expected a string"},
    [BOOLEAN] = {JSON_NODE_VALUE, G_TYPE_BOOLEAN, "expected true or false"},
    [NUMBER] = {JSON_NODE_VALUE, G_TYPE_INT64, "expected a whole number"},
    [OBJECT] = {.type = JSON_NODE_OBJECT, .expected = "expected an object"},
    [ARRAY] = {.type = JSON_NODE_ARRAY, .expected = "expected an array"},
};

static bool is_of_kind(JsonNode *node, Kind kind)
{
    return json_node_get_node_type(node) == kinds[kind].type &&
           (kinds[kind].type != JSON_NODE_VALUE ||
            json_node_get_value_type(node) == kinds[kind].value);
}

/* `ret_node`: the member's, if it is there and of the kind; else NULL. */
static bool find_member(const DescJson *json, JsonObject *object, const char *member, bool required,
                        Kind kind, JsonNode **ret_node, GError **error)
{
    JsonNode *node = json_object_get_member(object, member);

    *ret_node = node && is_of_kind(node, kind) ? node : NULL;
    if (node)
        return *ret_node || desc_json_fail(json, object, member, error, "%s", kinds[kind].expected);
    if (required)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s: missing", json->name,
                    desc_json_line(json, object, NULL), member);
    return !required;
}

bool desc_json_string(const DescJson *json, JsonObject *object, const char *member, bool required,
                      const char **ret_value, GError **error)
{
    JsonNode *node;
    const bool ok = find_member(json, object, member, required, STRING, &node, error);

    if (node)
        *ret_value = json_node_get_string(node);
    return ok;
}

bool desc_json_bool(const DescJson *json, JsonObject *object, const char *member, bool *ret_value,
                    GError **error)
{
    JsonNode *node;
    const bool ok = find_member(json, object, member, false, BOOLEAN, &node, error);

    if (node)
        *ret_value = json_node_get_boolean(node);
    return ok;
}

bool desc_json_uint(const DescJson *json, JsonObject *object, const char *member,
                    uint64_t *ret_value, GError **error)
{
    JsonNode *node;
    const bool ok = find_member(json, object, member, false, NUMBER, &node, error);

    if (node && json_node_get_int(node) < 0)
        return desc_json_fail(json, object, member, error, "%s", kinds[NUMBER].expected);
    if (node)
        *ret_value = (uint64_t)json_node_get_int(node);
    return ok;
}

bool desc_json_object(const DescJson *json, JsonObject *object, const char *member, bool required,
                      JsonObject **ret_value, GError **error)
{
    JsonNode *node;
    const bool ok = find_member(json, object, member, required, OBJECT, &node, error);

    if (node)
        *ret_value = json_node_get_object(node);
    return ok;
}

bool desc_json_array(const DescJson *json, JsonObject *object, const char *member, bool required,
                     JsonArray **ret_value, GError **error)
{
    JsonNode *node;
    const bool ok = find_member(json, object, member, required, ARRAY, &node, error);

    if (node)
        *ret_value = json_node_get_array(node);
    return ok;
}

bool desc_json_word(const DescJson *json, JsonObject *object, const char *member, bool required,
                    const char *const *table, int *ret_index, GError **error)
{
    const char *word = NULL;

    if (!desc_json_string(json, object, member, required, &word, error))
        return false;
    if (!word)
        return true;
    *ret_index = desc_word_index(table, word);
    return *ret_index >= 0 ||
           desc_json_fail(json, object, member, error, "unknown %s '%s'", member, word);
}

bool desc_json_text(const DescJson *json, JsonObject *object, const char *member, bool required,
                    const char *(*fault_of)(const char *text), char **ret_text, GError **error)
{
    const char *text = NULL, *fault;

    if (!desc_json_string(json, object, member, required, &text, error))
        return false;
    fault = text ? fault_of(text) : NULL;
    if (fault)
        return desc_json_fail(json, object, member, error, "%s", fault);
    *ret_text = g_strdup(text);
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

        if (!is_of_kind(node, STRING)) {
            desc_json_fail(json, object, member, error, "element %u: expected a string", i + 1);
            return NULL;
        }
        g_ptr_array_add(strings, g_strdup(json_node_get_string(node)));
    }
    return g_steal_pointer(&strings);
}
