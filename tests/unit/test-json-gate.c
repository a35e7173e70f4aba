/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The gate: the grammar by tables, every cut of a text, the limits, and what a text costs that was
 * made to be dear: names that all fall into one place of json-glib's table.
 */

#include "json-gate.h"

#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <string.h>

/* In the place of GLib's own, also for json-glib's tables: it counts. */
static uint64_t n_compared;

gboolean(g_str_equal)(gconstpointer a, gconstpointer b)
{
    n_compared++;
    return strcmp(a, b) == 0;
}

static bool check(const UvJsonRules *rules, const char *text, UvJsonFault *ret_fault)
{
    return uv_json_check(rules, text, strlen(text), ret_fault);
}

static void test_taken(void)
{
    static const char *const texts[] = {
        "{}",
        " \t\r\n{ \"a\" : [ ] } \n",
        "{\"a\":[1,-1,0,-0,10,-105]}",
        "{\"a\":[true,false,null,\"\",{},[[]]]}",
        "{\"\":{\"\":1}}",
        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\\uDE00\"}",
        ("{\"ä\":\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf"
         "\xbf\"}"),
        "{\"a\":\"\x7f\"}",
        "{\"a\":999999999999999999}",
        "{\"a\":{\"b\":1},\"b\":{\"a\":1}}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(JsonParser) parser = json_parser_new();
        g_autoptr(GError) error = NULL;
        UvJsonFault fault;

        g_test_message("%s", texts[i]);
        if (!check(&uv_json_config, texts[i], &fault))
            g_error("%zu: expected %s", fault.offset, fault.expected);
        json_parser_load_from_data(parser, texts[i], -1, &error);
        g_assert_no_error(error);
    }
}

typedef struct {
    const char *text;
    size_t offset;
    const char *expected; /* begins so */
} RefusedRow;

static const RefusedRow refused[] = {
    {"", 0, "an object"},
    {" ", 1, "an object"},
    {"[]", 0, "an object"},
    {"\xef\xbb\xbf{}", 0, "an object"},
    {"{", 1, "a '}'"},
    {"{\"a", 1, "the end of this string"},
    {"{\"a\\", 1, "the end of this string"},
    {"{\"a\":[1", 7, "a ']'"},
    {"{\"a\":tru", 8, "a '}'"},
    {"{}{", 2, "nothing after"},
    {"{}x", 2, "nothing after"},
    {"{,}", 1, "a member's name"},
    {"{\"a\":1,}", 7, "a member's name"},
    {"{\"a\":1,,\"b\":1}", 7, "a member's name"},
    {"{\"a\":[,1]}", 6, "a JSON value"},
    {"{\"a\":[1,]}", 8, "a JSON value"},
    {"{\"a\":[1}", 7, "',' or ']'"},
    {"{\"a\":1]", 6, "',' or '}'"},
    {"{\"a\"}", 4, "':'"},
    {"{\"a\":}", 5, "a JSON value"},
    {"{\"a\" 1}", 5, "':'"},
    {"{\"a\"::1}", 5, "a JSON value"},
    {"{a:1}", 1, "a member's name"},
    {"{'a':1}", 1, "a member's name"},
    {"{1:1}", 1, "a member's name"},
    {"{\"a\":1 /**/}", 7, "',' or '}'"},
    {"{//\n}", 1, "a member's name"},
    {"{\"a\":1;}", 6, "',' or '}'"},
    {"{\"a\":'b'}", 5, "a JSON value"},
    {"{\"a\":True}", 5, "a JSON value"},
    {"{\"a\":nul}", 5, "a JSON value"},
    {"{\"a\":nullx}", 9, "',' or '}'"},
    {"{\"a\":NaN}", 5, "a JSON value"},
    {"{\"a\":-Infinity}", 6, "a digit"},
    {"{\"a\":+1}", 5, "a JSON value"},
    {"{\"a\":-}", 6, "a digit"},
    {"{\"a\":.5}", 5, "a JSON value"},
    {"{\"a\":1.}", 7, "a digit"},
    {"{\"a\":1.e5}", 7, "a digit"},
    {"{\"a\":1e}", 7, "a digit"},
    {"{\"a\":1e+}", 8, "a digit"},
    {"{\"a\":1e5.5}", 5, "a whole number"},
    {"{\"a\":01}", 5, "a number without leading zeros"},
    {"{\"a\":-01}", 5, "a number without leading zeros"},
    {"{\"a\":0x10}", 6, "',' or '}'"},
    {"{\"a\":0b10}", 6, "',' or '}'"},
    {"{\"a\":1 2}", 7, "',' or '}'"},
    {"{\"a\":1234567890123456789}", 5, "a shorter number"},
    {"{\"a\":1e100}", 5, "a shorter number"},
    {"{\"a\":1.5}", 5, "a whole number"},
    {"{\"a\":1e+20 }", 5, "a whole number"},
    {"{\"a\":-0.0}", 5, "a whole number"},
    {"{\"a\":\"\n\"}", 6, "no control character"},
    {"{\"a\":\"\t\"}", 6, "no control character"},
    {"{\"a\":\"\\x35\"}", 6, "an escape"},
    {"{\"a\":\"\\'\"}", 6, "an escape"},
    {"{\"a\":\"\\\n\"}", 6, "an escape"},
    {"{\"a\":\"\\u12g4\"}", 6, "four hex digits"},
    {"{\"a\":\"\\u0000\"}", 6, "a character other than NUL"},
    {"{\"a\":\"\\ud800x\"}", 6, "a whole surrogate pair"},
    {"{\"a\":\"\\ud800\"}", 6, "a whole surrogate pair"},
    {"{\"a\":\"\\ud800\\n\"}", 6, "a whole surrogate pair"},
    {"{\"a\":\"\\ud800\\u0041\"}", 6, "a whole surrogate pair"},
    {"{\"a\":\"\\ud800\\ud800\"}", 6, "a whole surrogate pair"},
    {"{\"a\":\"\\udc00\"}", 6, "a whole surrogate pair"},
    {"{\"a\":\"\x80\"}", 6, "valid UTF-8"},
    {"{\"a\":\"\xc0\x80\"}", 6, "valid UTF-8"},
    {"{\"a\":\"\xc3(\"}", 7, "valid UTF-8"},
    {"{\"a\":\"\xe0\x80\x80\"}", 7, "valid UTF-8"},
    {"{\"a\":\"\xed\xa0\x80\"}", 7, "valid UTF-8"},
    {"{\"a\":\"\xf4\x90\x80\x80\"}", 7, "valid UTF-8"},
    {"{\"a\":\"\xf5\"}", 6, "valid UTF-8"},
    {"{\"a\":\"\xe2\x82\"}", 8, "valid UTF-8"},
    {"{\"a\":\xc3\xa4}", 5, "a JSON value"},
    {"{\"a\":1,\"a\":2}", 7, "each member once"},
    {"{\"a\":{\"b\":1,\"\\u0062\":2}}", 12, "each member once"},
    {"{\"a\":[[[[[[[[[[[[[[[[1", 20, "less nesting"},
};

static void test_refused(gconstpointer data)
{
    const RefusedRow *row = data;
    g_autoptr(UvJsonGate) gate = uv_json_gate_new(&uv_json_config);
    UvJsonFault fault, in_pieces;
    UvJsonState state = UV_JSON_OPEN;

    g_assert_false(check(&uv_json_config, row->text, &fault));
    if (fault.offset != row->offset || !g_str_has_prefix(fault.expected, row->expected))
        g_error("%s\ngives: %zu: expected %s", row->text, fault.offset, fault.expected);
    for (const char *at = row->text; *at; at++)
        state = uv_json_gate_feed(gate, at, 1);
    in_pieces = uv_json_gate_fault(gate);
    g_assert_cmpint(state, !=, UV_JSON_WHOLE);
    g_assert_cmpuint(in_pieces.offset, ==, fault.offset);
    g_assert_cmpstr(in_pieces.expected, ==, fault.expected);
    g_assert_cmpstr(in_pieces.key, ==, fault.key);
}

/* It says that it is open until the brace that ends it. */
static void test_every_cut(void)
{
    static const char text[] =
        "{\"ä\\u00e4\": [\"\\ud83d\\ude00\", -153, true], \"b\": {\"c\": 0}}";

    for (size_t cut = 0; cut < strlen(text); cut++) {
        g_autoptr(UvJsonGate) gate = uv_json_gate_new(&uv_json_config);

        g_assert_cmpint(uv_json_gate_feed(gate, text, cut), ==, UV_JSON_OPEN);
        g_assert_cmpint(uv_json_gate_feed(gate, text + cut, strlen(text) - cut), ==, UV_JSON_WHOLE);
        g_assert_cmpint(uv_json_gate_feed(gate, "\n", 1), ==, UV_JSON_WHOLE);
        g_assert_cmpint(uv_json_gate_feed(gate, "}", 1), ==, UV_JSON_REFUSED);
        g_assert_cmpint(uv_json_gate_feed(gate, "\n", 1), ==, UV_JSON_REFUSED);
        uv_json_gate_restart(gate);
        g_assert_cmpint(uv_json_gate_feed(gate, text, strlen(text)), ==, UV_JSON_WHOLE);
    }
}

static void test_lenient(void)
{
    static const char text[] = "{\"a\": 1, \"a\":\n 2}";
    UvJsonFault fault;

    g_assert_false(check(&uv_json_config, text, &fault));
    g_assert_true(check(&uv_json_descriptor, text, &fault));
    g_assert_true(check(&uv_json_descriptor, "{\"a\":[1.5,0.0,1e5,1E+5,1e-5,-12.25e07]}", &fault));
    g_assert_false(check(&uv_json_descriptor, "{\"a\":1e5.5}", &fault));
    g_assert_cmpuint(fault.offset, ==, 8);
    g_assert_cmpuint(uv_json_find(text, strlen(text), 0, "a"), ==, strchr(text, '2') - text);
}

static void test_find(void)
{
    static const char text[] = " {\"a\": [{\"b\": {}, \"x\": 1}, {\"\\u0062\" : 7}], \"b\": 8}";
    const size_t n = strlen(text);

    g_assert_cmpuint(uv_json_find(text, n, 0, NULL), ==, 1);
    g_assert_cmpuint(uv_json_find(text, n, 0, "none"), ==, 1);
    g_assert_cmpuint(uv_json_find(text, n, 0, "a"), ==, strchr(text, '[') - text);
    g_assert_cmpuint(uv_json_find(text, n, 0, "b"), ==, strchr(text, '8') - text);
    g_assert_cmpuint(uv_json_find(text, n, 1, "b"), ==, strstr(text, "{}") - text);
    g_assert_cmpuint(uv_json_find(text, n, 1, "x"), ==, strchr(text, '1') - text);
    g_assert_cmpuint(uv_json_find(text, n, 2, NULL), ==, strstr(text, "{}") - text);
    g_assert_cmpuint(uv_json_find(text, n, 3, "b"), ==, strchr(text, '7') - text);
}

static void test_fault_text(void)
{
    static const char text[] = "{\n \"k\\u0001\": \"ä\", \"\\u0001\": 01}";
    g_autofree char *message = NULL;
    UvJsonFault fault;

    g_assert_false(check(&uv_json_config, text, &fault));
    message = uv_json_fault_text("x.json", text, strlen(text), &fault);
    g_assert_cmpstr(message, ==, "x.json:2:28: ?: expected a number without leading zeros");
}

/* A text of `n` members. */
static char *members(unsigned n)
{
    GString *text = g_string_new("{");

    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(text, "%s\"m%u\":0", i > 0 ? "," : "", i);
    return g_string_free(g_string_append_c(text, '}'), FALSE);
}

static void test_counts(void)
{
    g_autofree char *most = members(uv_json_config.members_max);
    g_autofree char *more = members(uv_json_config.members_max + 1);
    g_autofree char *name = g_strnfill(UV_JSON_NAME_MAX + 1, 'n');
    g_autofree char *named = g_strdup_printf("{\"%s\":1}", name);
    g_autoptr(GString) elements = g_string_new("{\"a\":[0");
    UvJsonFault fault;

    g_assert_true(check(&uv_json_config, most, &fault));
    g_assert_false(check(&uv_json_config, more, &fault));
    g_assert_cmpstr(fault.expected, ==, "fewer members in this object");
    g_assert_cmpstr(fault.key, ==, "m64");
    g_assert_false(check(&uv_json_config, named, &fault));
    g_assert_cmpstr(fault.expected, ==, "a shorter name");
    for (size_t i = 2; i < uv_json_config.values_max; i++)
        g_string_append(elements, ",0");
    g_assert_true(uv_json_check(&uv_json_config, "{}", 2, &fault));
    g_autofree char *all = g_strconcat(elements->str, "]}", NULL);
    g_assert_true(check(&uv_json_config, all, &fault));
    g_autofree char *too_many = g_strconcat(elements->str, ",0]}", NULL);
    g_assert_false(check(&uv_json_config, too_many, &fault));
    g_assert_cmpstr(fault.expected, ==, "fewer values");
}

/* The `i`th of many names of one g_str_hash(): of two bytes each (c, d) weighs as (c + 1, d - 33).
 */
static void colliding_name(unsigned i, char ret_name[21])
{
    for (unsigned at = 0; at < 20; at += 2, i /= 3) {
        ret_name[at] = 'a' + i % 3;
        ret_name[at + 1] = 'z' - 33 * (i % 3);
    }
    ret_name[20] = '\0';
}

/* An object of `n` of them. */
static char *colliding_text(unsigned n)
{
    GString *text = g_string_new("{");

    for (unsigned i = 0; i < n; i++) {
        char name[21];

        colliding_name(i, name);
        g_string_append_printf(text, "%s\"%s\":0", i > 0 ? "," : "", name);
    }
    return g_string_free(g_string_append_c(text, '}'), FALSE);
}

static uint64_t cost_of_parsing(const char *text)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    n_compared = 0;
    g_assert_true(json_parser_load_from_data(parser, text, -1, NULL));
    return n_compared;
}

/* Work, not time: how often json-glib compares two names. */
static void test_colliding_names(void)
{
    g_autofree char *text = colliding_text(64 * 1024 / strlen(",\"12345678901234567890\":0"));
    g_autofree char *twice = colliding_text(128 * 1024 / strlen(",\"12345678901234567890\":0"));
    const uint64_t before = cost_of_parsing(text), before_twice = cost_of_parsing(twice);
    UvJsonFault fault;

    g_test_message("compared by json-glib alone: %" PRIu64 " for 64 KiB, %" PRIu64 " for 128 KiB",
                   before, before_twice);
    g_assert_cmpuint(before, >, 1000 * 1000); /* else this test shows nothing */
    g_assert_cmpuint(before_twice, >, 3 * before);
    g_assert_false(check(&uv_json_config, text, &fault));
    g_assert_cmpstr(fault.expected, ==, "fewer members in this object");
    g_assert_false(check(&uv_json_descriptor, text, &fault));
    g_assert_cmpuint(fault.offset, <, 2 * 1024);
}

/* The dearest object that the gate lets through, of each kind of text. */
static void test_colliding_names_taken(void)
{
    const UvJsonRules *const rules[] = {&uv_json_store, &uv_json_config, &uv_json_pin,
                                        &uv_json_descriptor, &uv_json_status};

    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        const unsigned n = MIN(rules[i]->members_max, (unsigned)rules[i]->values_max);
        g_autofree char *text = colliding_text(n);
        uint64_t compared;
        UvJsonFault fault;

        g_assert_true(check(rules[i], text, &fault));
        compared = cost_of_parsing(text);
        g_test_message("%u members: %" PRIu64 " comparisons", n, compared);
        g_assert_cmpuint(compared, >, n);
        g_assert_cmpuint(compared, <=, 4 * n * n);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-gate/taken", test_taken);
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *path = g_strdup_printf("/json-gate/refused/%zu", i);

        g_test_add_data_func(path, &refused[i], test_refused);
    }
    g_test_add_func("/json-gate/every-cut", test_every_cut);
    g_test_add_func("/json-gate/lenient", test_lenient);
    g_test_add_func("/json-gate/find", test_find);
    g_test_add_func("/json-gate/fault-text", test_fault_text);
    g_test_add_func("/json-gate/counts", test_counts);
    g_test_add_func("/json-gate/colliding-names", test_colliding_names);
    g_test_add_func("/json-gate/colliding-names-taken", test_colliding_names_taken);
    return g_test_run();
}
