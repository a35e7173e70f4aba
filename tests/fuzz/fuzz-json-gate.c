/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The gate: one answer in whatever pieces a text comes (the first byte says how it is cut), no
 * fault outside of it, and nothing let through that json-glib or the gate itself takes otherwise
 * when json-glib writes it anew. The reader finds in it what json-glib does, and stays inside of
 * what was refused.
 */

#include "fuzz.h"
#include "json-gate.h"
#include "json-reader.h"

#include <json-glib/json-glib.h>
#include <string.h>

static void check_pieces(const UvJsonRules *rules, const char *text, size_t size, size_t piece,
                         bool taken, const UvJsonFault *fault)
{
    g_autoptr(UvJsonGate) gate = uv_json_gate_new(rules);
    UvJsonState state = UV_JSON_OPEN;
    UvJsonFault again;

    for (size_t at = 0; at < size; at += piece)
        state = uv_json_gate_feed(gate, text + at, MIN(piece, size - at));
    g_assert_true((state == UV_JSON_WHOLE) == taken);
    if (taken)
        return;
    again = uv_json_gate_fault(gate);
    g_assert_cmpuint(again.offset, ==, fault->offset);
    g_assert_cmpuint(again.offset, <=, size);
    g_assert_cmpstr(again.expected, ==, fault->expected);
    g_free(uv_json_fault_text("fuzz", text, size, fault));
}

static void check_read(const UvJsonReader *value, JsonNode *node);

static void check_object(UvJsonReader at, JsonObject *object)
{
    UvJsonReader value;
    unsigned n = 0;
    char *next;

    while (uv_json_next_member(&at, &next, &value)) {
        g_autofree char *name = next;

        check_read(&value, json_object_get_member(object, name));
        n++;
    }
    g_assert_cmpuint(n, ==, json_object_get_size(object));
}

static void check_array(UvJsonReader at, JsonArray *array)
{
    UvJsonReader value;
    unsigned n = 0;

    while (uv_json_next_element(&at, &value))
        check_read(&value, json_array_get_element(array, n++));
    g_assert_cmpuint(n, ==, json_array_get_length(array));
}

/* The value is what json-glib made of it. */
static void check_read(const UvJsonReader *value, JsonNode *node)
{
    const UvJsonKind kind = uv_json_kind(value);
    g_autofree char *text = kind == UV_JSON_STRING ? uv_json_string(value) : NULL;

    g_assert_nonnull(node);
    if (kind == UV_JSON_OBJECT)
        check_object(*value, json_node_get_object(node));
    else if (kind == UV_JSON_ARRAY)
        check_array(*value, json_node_get_array(node));
    else if (kind == UV_JSON_STRING)
        g_assert_cmpstr(text, ==, json_node_get_string(node));
    else if (kind == UV_JSON_NUMBER)
        g_assert_cmpint(uv_json_number(value), ==, json_node_get_int(node));
    else
        g_assert_true(JSON_NODE_HOLDS_NULL(node) ||
                      json_node_get_value_type(node) == G_TYPE_BOOLEAN);
}

/* Whatever it is: in a copy without a byte behind it. */
static void read_refused(const char *text, size_t size)
{
    g_autofree char *copy = g_memdup2(text, size);
    UvJsonReader at = uv_json_reader(copy, size), value;
    char *name;

    while (uv_json_next_member(&at, &name, &value)) {
        g_free(name);
        g_free(uv_json_string(&value));
        uv_json_kind(&value);
        uv_json_number(&value);
        g_assert_cmpuint(value.at, <=, size);
    }
    g_assert_cmpuint(at.at, <=, size);
}

static void check_taken(const UvJsonRules *rules, const char *text, size_t size)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autofree char *anew = NULL;
    UvJsonFault fault;

    if (!json_parser_load_from_data(parser, text, size, NULL))
        return; /* some versions refuse an empty name */
    g_assert_true(JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)));
    g_assert_cmpuint(uv_json_find(text, size, 0, NULL), <, size);
    if (rules->lenient)
        return; /* nothing of it is written anew, and json-glib can't write each number */
    const UvJsonReader root = uv_json_reader(text, size);
    check_read(&root, json_parser_get_root(parser));
    anew = json_to_string(json_parser_get_root(parser), FALSE);
    g_assert_true(uv_json_check(rules, anew, strlen(anew), &fault));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const UvJsonRules *const rules[] = {&uv_json_store, &uv_json_config, &uv_json_descriptor};
    const char *text = (const char *)data + 1;

    if (size < 1)
        return 0;
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        UvJsonFault fault = {0};
        const bool taken = uv_json_check(rules[i], text, size - 1, &fault);

        check_pieces(rules[i], text, size - 1, 1 + data[0] % 16, taken, &fault);
        if (taken)
            check_taken(rules[i], text, size - 1);
        else
            read_refused(text, size - 1);
    }
    return 0;
}
