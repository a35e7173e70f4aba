/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "status.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* The engine is confined because it may be taken over: a member is only added, never replaced. */
static void add_member(JsonObject *object, const char *name, JsonNode *node, gpointer data)
{
    JsonObject *status = data;

    if (!json_object_has_member(status, name)) {
        json_object_set_member(status, name, json_node_copy(node));
    }
}

static JsonNode *parse(const char *text, gssize size)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root;

    if (!json_parser_load_from_data(parser, text, size, NULL)) {
        return NULL;
    }
    root = json_parser_steal_root(parser);
    if (root && !JSON_NODE_HOLDS_OBJECT(root)) {
        g_clear_pointer(&root, json_node_unref);
    }
    return root;
}

GBytes *fs_status_text(FsGuest *guest, GBytes *engine, size_t block)
{
    g_autofree char *front = fs_guest_status_object(guest);
    g_autoptr(JsonNode) status = parse(front, -1);
    g_autoptr(JsonNode) said = NULL;
    g_autofree char *pretty = NULL;
    size_t used, size;
    char *text;

    if (!status) {
        status = json_node_new(JSON_NODE_OBJECT);
        json_node_take_object(status, json_object_new());
    }
    if (engine) {
        said = parse(g_bytes_get_data(engine, NULL), g_bytes_get_size(engine));
    }
    if (said) {
        json_object_foreach_member(json_node_get_object(said), add_member,
                                   json_node_get_object(status));
    }
    pretty = json_to_string(status, TRUE);
    used = strlen(pretty);
    size = (used + 1 + block - 1) / block * block;
    text = g_malloc(size);
    memcpy(text, pretty, used);
    memset(text + used, ' ', size - used);
    text[size - 1] = '\n';
    return g_bytes_new_take(text, size);
}
