/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-lines.h"

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

/* The member's node if it is there; `ret_ok` is false if it must be and is not. */
static JsonNode *find_member(const DescJson *json, JsonObject *object, const char *member,
                             bool required, bool *ret_ok, GError **error)
{
    JsonNode *node = json_object_get_member(object, member);

    *ret_ok = node || !required;
    if (!*ret_ok)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s:%u: %s: missing", json->name,
                    desc_json_line(json, object, NULL), member);
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
