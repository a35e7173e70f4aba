/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The gate: one answer in whatever pieces a text comes (the first byte says how it is cut), no
 * fault outside of it, and nothing let through that json-glib or the gate itself takes otherwise
 * when json-glib writes it anew.
 */

#include "fuzz.h"
#include "json-gate.h"

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
    }
    return 0;
}
