/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-reader.h"

#include <inttypes.h>
#include <string.h>

static UvJsonReader at_value(const char *text)
{
    const UvJsonReader value = {.text = text, .size = strlen(text)};

    return value;
}

static void test_members(void)
{
    static const char text[] =
        " { \"a\" : {\"x\": [1, \"}\"]} ,\n\"\\u00e4\\\"\":[ ],\"c\":\"\\\\\" ,\"\":-7 } ";
    static const struct {
        const char *name;
        UvJsonKind kind;
        const char *from; /* the text from there on begins so */
    } expected[] = {
        {"a", UV_JSON_OBJECT, "{\"x\""},
        {"ä\"", UV_JSON_ARRAY, "[ ]"},
        {"c", UV_JSON_STRING, "\"\\\\\""},
        {"", UV_JSON_NUMBER, "-7"},
    };
    UvJsonReader at = uv_json_reader(text, strlen(text)), value;
    char *name = NULL;

    g_assert_cmpint(uv_json_kind(&at), ==, UV_JSON_OBJECT);
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_true(uv_json_next_member(&at, &name, &value));
        g_assert_cmpstr(name, ==, expected[i].name);
        g_assert_cmpint(uv_json_kind(&value), ==, expected[i].kind);
        g_assert_true(g_str_has_prefix(text + value.at, expected[i].from));
        g_free(name);
    }
    g_assert_false(uv_json_next_member(&at, &name, &value));
    g_assert_false(uv_json_next_member(&at, &name, &value));
}

static void test_elements(void)
{
    static const char text[] = "[ 0,\"a,]\" , [[],{}], true,null ]";
    static const UvJsonKind expected[] = {UV_JSON_NUMBER, UV_JSON_STRING, UV_JSON_ARRAY,
                                          UV_JSON_WORD, UV_JSON_WORD};
    UvJsonReader at = at_value(text), value, inner;

    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_true(uv_json_next_element(&at, &value));
        g_assert_cmpint(uv_json_kind(&value), ==, expected[i]);
        if (expected[i] != UV_JSON_ARRAY)
            continue;
        g_assert_true(uv_json_next_element(&value, &inner));
        g_assert_cmpint(uv_json_kind(&inner), ==, UV_JSON_ARRAY);
        g_assert_false(uv_json_next_element(&inner, &inner));
        g_assert_true(uv_json_next_element(&value, &inner));
        g_assert_cmpint(uv_json_kind(&inner), ==, UV_JSON_OBJECT);
        g_assert_false(uv_json_next_element(&value, &inner));
    }
    g_assert_false(uv_json_next_element(&at, &value));
}

static void test_strings(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"\"\"", ""},
        {"\"plain\" ", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"a\\u00E4b\\u20ac\\ud83d\\ude00\"", "aäb€😀"},
        {"\"\\uD800\\uDC00\\udbff\\udfff\\ue000\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xee\x80\x80"},
        {"\"ä\\\\u0041\"", "ä\\u0041"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const UvJsonReader value = at_value(rows[i].text);
        g_autofree char *says = uv_json_string(&value);

        g_assert_cmpstr(says, ==, rows[i].says);
    }
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {"39,", 39},
        {"-105]", -105},
        {"999999999999999999 ", INT64_C(999999999999999999)},
        {"-999999999999999999", INT64_C(-999999999999999999)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const UvJsonReader value = at_value(rows[i].text);

        g_assert_cmpint(uv_json_number(&value), ==, rows[i].value);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-reader/members", test_members);
    g_test_add_func("/json-reader/elements", test_elements);
    g_test_add_func("/json-reader/strings", test_strings);
    g_test_add_func("/json-reader/numbers", test_numbers);
    return g_test_run();
}
