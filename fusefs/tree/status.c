/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "status.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "json-gate.h"

static void add_members(JsonObject *status, JsonObject *said);

static void append(JsonArray *array, guint index, JsonNode *node, gpointer data)
{
    json_array_add_element(data, json_node_copy(node));
}

/* The engine is confined because it may be taken over: it adds to what the front says, and
 * replaces nothing. */
static void add_member(JsonObject *said, const char *name, JsonNode *node, gpointer data)
{
    JsonObject *status = data;
    JsonNode *ours = json_object_get_member(status, name);

    if (!ours)
        json_object_set_member(status, name, json_node_copy(node));
    else if (JSON_NODE_HOLDS_OBJECT(ours) && JSON_NODE_HOLDS_OBJECT(node))
        add_members(json_node_get_object(ours), json_node_get_object(node));
    else if (JSON_NODE_HOLDS_ARRAY(ours) && JSON_NODE_HOLDS_ARRAY(node))
        json_array_foreach_element(json_node_get_array(node), append, json_node_get_array(ours));
}

static void add_members(JsonObject *status, JsonObject *said)
{
    json_object_foreach_member(said, add_member, status);
}

/* NULL unless it is one JSON object that json-glib can be trusted with. */
static JsonNode *parse(const char *text, size_t size)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    UvJsonFault fault;

    if (!uv_json_check(&uv_json_status, text, size, &fault) ||
        !json_parser_load_from_data(parser, text, (gssize)size, NULL))
        return NULL;
    return json_parser_steal_root(parser);
}

/*
 * Layout. How large the text is must be told before it is made, and archivers insist on what they
 * were told; so it is filled up. Blanks at the end would be a page of nothing on a terminal: each
 * line is filled instead, to one width, which then shows nowhere.
 */

typedef struct {
    const char *text;
    size_t bytes;
} Line;

static GArray *lines_of(const char *text)
{
    GArray *lines = g_array_new(FALSE, FALSE, sizeof(Line));
    Line line;

    for (;; text += line.bytes + 1) {
        line = (Line){text, strcspn(text, "\n")};
        g_array_append_val(lines, line);
        if (!text[line.bytes])
            return lines;
    }
}

/* How many blanks it takes to fill the lines to that width. */
static size_t blanks_to(const GArray *lines, size_t width, size_t *ret_filled)
{
    size_t blanks = 0;

    *ret_filled = 0;
    for (guint i = 0; i < lines->len; i++) {
        size_t bytes = g_array_index(lines, Line, i).bytes;
        blanks += width - MIN(width, bytes);
        *ret_filled += bytes <= width;
    }
    return blanks;
}

/* The largest width that those blanks suffice for. */
static size_t width_for(const GArray *lines, size_t blanks)
{
    size_t low = 0, high = blanks + 2, filled;

    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (blanks_to(lines, middle, &filled) <= blanks)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static GBytes *lay_out(const char *text, size_t block)
{
    g_autoptr(GArray) lines = lines_of(text);
    size_t used = strlen(text) + 1, size = (used + block - 1) / block * block;
    size_t width = width_for(lines, size - used), filled, wider;
    char *out = g_malloc(size), *to = out;

    /* One more for the last ones that are no longer than that. */
    wider = size - used - blanks_to(lines, width, &filled);
    memset(out, ' ', size);
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);
        bool is_filled = line->bytes <= width;
        memcpy(to, line->text, line->bytes);
        to += MAX(line->bytes, width + (is_filled && filled <= wider));
        *to++ = '\n';
        filled -= is_filled;
    }
    return g_bytes_new_take(out, size);
}

GBytes *fs_status_text(FsGuest *guest, GBytes *engine, size_t block)
{
    g_autofree char *ours = fs_guest_status(guest);
    g_autoptr(JsonNode) status = json_from_string(ours, NULL);
    g_autoptr(JsonNode) said = NULL;
    g_autofree char *pretty = NULL;

    if (engine)
        said = parse(g_bytes_get_data(engine, NULL), g_bytes_get_size(engine));
    if (said)
        add_members(json_node_get_object(status), json_node_get_object(said));
    pretty = json_to_string(status, TRUE);
    return lay_out(pretty, block);
}
