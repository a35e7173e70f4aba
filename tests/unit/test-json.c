/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json.h"

#include <string.h>

#include "json-gate.h"
#include "store.h"

#define GUID "8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define VARIABLE(rest) "{\"name\": \"A\", \"guid\": \"" GUID "\", " rest "}"
#define STORE(variables) "{\"version\": 2, \"variables\": [" variables "]}"

static GPtrArray *parse(const char *text, GError **error)
{
    return uv_json_parse("x.json", text, strlen(text), NULL, error);
}

static GPtrArray *parse_ok(const char *text)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *variables = parse(text, &error);

    g_assert_no_error(error);
    return variables;
}

static void test_empty(void)
{
    static const char *const texts[] = {"", " \n\t\r\n", STORE(""), " " STORE("") "\n\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GPtrArray) variables = parse_ok(texts[i]);
        g_assert_cmpuint(variables->len, ==, 0);
    }
}

static void test_fields(void)
{
    g_autoptr(GPtrArray) variables = parse_ok(
        STORE("{\"name\": \"Boot \\u00e4\\ud83d\\ude00\", \"guid\": "
              "\"8BE4DF61-93CA-11D2-AA0D-00E098032B8C\","
              "\"attr\": 39, \"data\": \"00fFa0\", \"time\": \"e8070b15000000000000000000000000\","
              "\"digest\": \"0102\"}, " VARIABLE("\"data\": \"\", \"attr\": 7")));
    const UvVariable *v = variables->pdata[0], *empty = variables->pdata[1];
    g_autofree char *name = uv_name_to_utf8(v->name);

    g_assert_cmpuint(variables->len, ==, 2);
    g_assert_cmpstr(name, ==, "Boot ä😀");
    g_assert_true(uv_guid_equal(&v->guid, &uv_guid_global_variable));
    g_assert_cmpuint(v->attributes, ==, 39);
    g_assert_cmpmem(g_bytes_get_data(v->data, NULL), g_bytes_get_size(v->data), "\0\xff\xa0", 3);
    g_assert_cmphex(v->time[0], ==, 0xe8);
    g_assert_cmphex(v->time[3], ==, 0x15);
    g_assert_cmpmem(g_bytes_get_data(v->digest, NULL), g_bytes_get_size(v->digest), "\1\2", 2);
    g_assert_cmpuint(g_bytes_get_size(empty->data), ==, 0);
    g_assert_null(empty->digest);
}

static void test_timestamp(void)
{
    g_autoptr(GPtrArray) variables =
        parse_ok(STORE(VARIABLE("\"attr\": 39, \"data\": \"00\", \"digest\": \"\", "
                                "\"timestamp\": \"e8070b15000000000000000000000000\"")));
    const UvVariable *v = variables->pdata[0];

    g_assert_cmphex(v->time[1], ==, 0x07);
    g_assert_null(v->digest);
}

/* Each with its place and words of what was expected. */
static void test_refused(void)
{
    static const struct {
        const char *text, *place, *words;
    } cases[] = {
        {"x", "x.json:1:1:", "'{'"},
        {"[]", "x.json:1:1:", "'{'"},
        {"{", "x.json:1:2:", "ends too early"},
        {"{}", "x.json:1:1:", "'version'"},
        {"{\"version\": 2}", "x.json:1:1:", "'variables'"},
        {"{\"version\": 2, \"variables\": {}}", "x.json:1:29:", "array"},
        {"{\"version\": 2, \"variables\": [7]}", "x.json:1:30:", "objects"},
        {STORE(VARIABLE("\"attr\": 7, \"data\": \"\"") ",\n 7"), "x.json:2:2:", "objects"},
        {"{\"version\": 3, \"variables\": []}", "x.json:1:13:", "version 2"},
        {"{\"version\": \"2\", \"variables\": []}", "x.json:1:13:", "number"},
        {"{\"version\": 2.0, \"variables\": []}", "x.json:1:13:", "number"},
        {"{\"version\": 02, \"variables\": []}", "x.json:1:", "expected"},
        {"{\"version\": 0x2, \"variables\": []}", "x.json:1:14:", "','"},
        {STORE("") "x", "x.json:1:32:", "nothing after"},
        {STORE("") STORE(""), "x.json:1:32:", "nothing after"},
        {"{\"version\": 2, \"variables\": [],}", "x.json:1:", "expected"},
        {"{\"version\": 2,\n  \"more\": 1, \"variables\": []}", "x.json:2:11:", "'more'"},
        {"{\"version\": 2, \"version\": 2, \"variables\": []}",
         "x.json:1:16:", "version: expected each member once"},
        {"{/* */\"version\": 2, \"variables\": []}", "x.json:1:2:", "double quotes"},
        {"{\"version\": 2 # \n, \"variables\": []}", "x.json:1:15:", "',' or"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "x.json:1:1:", "'{'"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "x.json:1:21:", "nesting"},
        {"{\"version\": 2, \"variables\": [}", "x.json:1:30:", "a JSON value"},
        {STORE(VARIABLE("\"attr\": 7")), "x.json:1:", "'data'"},
        {STORE(VARIABLE("\"data\": \"00\"")), "x.json:1:", "'attr'"},
        {STORE(VARIABLE("\n\"attr\": 7, \"data\": \"0\"")), "x.json:2:20:", "even"},
        {STORE(VARIABLE("\n\"attr\": 7, \"data\": \"0g\"")), "x.json:2:20:", "hex"},
        {STORE(VARIABLE("\n\"attr\": 7, \"data\": 12")), "x.json:2:20:", "string"},
        {STORE(VARIABLE("\n\"attr\": -1, \"data\": \"\"")), "x.json:2:9:", "attributes"},
        {STORE(VARIABLE("\n\"attr\": 4294967303, \"data\": \"\"")), "x.json:2:9:", "attributes"},
        {STORE(VARIABLE("\n\"attr\": 71, \"data\": \"\"")), "x.json:2:9:", "bit 6"},
        {STORE(VARIABLE("\n\"attr\": 6, \"data\": \"0\"")), "x.json:2:20:", "even"},
        {STORE(
             VARIABLE("\"attr\": 6, \"data\": \"\"") ",\n" VARIABLE("\"attr\": 7, \"data\": \"\"")),
         "x.json:2:1:", "second"},
        {STORE(VARIABLE("\n\"attr\": true, \"data\": \"\"")), "x.json:2:9:", "number"},
        {STORE(VARIABLE("\n\"attr\": null, \"data\": \"\"")), "x.json:2:9:", "number"},
        {STORE(VARIABLE("\"attr\": 39, \"data\": \"\",\n\"time\": \"00\"")),
         "x.json:2:9:", "32 hex"},
        {STORE(VARIABLE("\"attr\": 7, \"data\": \"\", \"x\": 1")), "x.json:1:", "'x'"},
        {STORE("{\"name\": \"A\", \"guid\": \"8be4df61\", \"attr\": 7, \"data\": \"\"}"),
         "x.json:1:52:", "GUID"},
        {STORE("{\"name\": \"\", \"guid\": \"" GUID "\", \"attr\": 7, \"data\": \"\"}"),
         "x.json:1:39:", "name"},
        {STORE("{\"name\": \"\\u0000\", \"guid\": \"" GUID "\", \"attr\": 7, \"data\": \"\"}"),
         "x.json:1:40:", "NUL"},
        {STORE("{\"name\": \"\\ud800x\", \"guid\": \"" GUID "\", \"attr\": 7, \"data\": \"\"}"),
         "x.json:1:40:", "surrogate"},
        {STORE("{\"name\": \"\xff\", \"guid\": \"" GUID "\", \"attr\": 7, \"data\": \"\"}"),
         "x.json:1:40:", "UTF-8"},
        {STORE("{\"name\": \"\\q\"}"), "x.json:1:40:", "escape"},
        {STORE("{\"name\": \"a\n\"}"), "x.json:1:41:", "control"},
        {STORE(VARIABLE("\"attr\": 7, \"data\": \"\"") ",\n" VARIABLE(
             "\"attr\": 7, \"data\": \"01\"")),
         "x.json:2:1:", "second variable"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        if (parse(cases[i].text, &error))
            g_error("%s\nis taken", cases[i].text);
        g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE);
        if (!g_str_has_prefix(error->message, cases[i].place) ||
            !strstr(error->message, cases[i].words))
            g_error("%s\ngives: %s\nwanted: %s ... %s", cases[i].text, error->message,
                    cases[i].place, cases[i].words);
    }
}

/* What no storage holds the front would not take. */
static void test_too_many(void)
{
    g_autofree char *data = g_strnfill(2 * 64000, '0');
    g_autoptr(GString) text = g_string_new("{\"version\": 2, \"variables\": [");
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < 130; i++)
        g_string_append_printf(
            text, "{\"name\": \"V%u\", \"guid\": \"" GUID "\", \"attr\": 7, \"data\": \"%s\"},", i,
            data);
    const gsize fits = text->len - 1;
    g_string_append_printf(text, VARIABLE("\"attr\": 7, \"data\": \"%s%s\""), data, data);
    g_string_append(text, "]}");
    g_assert_null(parse(text->str, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE);
    g_assert_nonnull(strstr(error->message, "8 MiB"));
    g_string_truncate(text, fits);
    g_string_append(text, "]}");
    g_autoptr(GPtrArray) variables = parse(text->str, NULL);
    g_assert_cmpuint(variables->len, ==, 130);
}

static void test_format(void)
{
    static const char expected[] =
        "{\n    \"version\": 2,\n    \"variables\": [\n"
        "        {\n            \"name\": \"q\\\"b\\\\n\\u0001ä\",\n            \"guid\": \"" GUID
        "\",\n"
        "            \"attr\": 7,\n            \"data\": \"00ff\"\n        },\n"
        "        {\n            \"name\": \"auth\",\n            \"guid\": \"" GUID "\",\n"
        "            \"attr\": 39,\n            \"data\": \"01\",\n"
        "            \"time\": \"e8070b15000000000000000000000000\",\n"
        "            \"digest\": \"aabb\"\n        }\n    ]\n}\n";
    g_autoptr(GPtrArray) variables = parse_ok(expected);
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(GBytes) text = NULL;

    for (guint i = 0; i < variables->len; i++)
        uv_varset_put(set, variables->pdata[i]);
    text = uv_json_format(set);
    g_assert_cmpmem(g_bytes_get_data(text, NULL), g_bytes_get_size(text), expected,
                    strlen(expected));
}

static void test_volatile_is_not_written(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvName) name = uv_name_new_utf8("SecureBoot", NULL);
    g_autoptr(GBytes) data = g_bytes_new("\1", 1);
    UvVariable fields = {.name = name, .data = data, .attributes = 6};
    g_autoptr(UvVariable) variable = uv_variable_new(&fields);
    g_autoptr(GBytes) text = NULL;

    uv_varset_put(set, variable);
    text = uv_json_format(set);
    g_assert_cmpmem(g_bytes_get_data(text, NULL), g_bytes_get_size(text),
                    "{\n    \"version\": 2,\n    \"variables\": []\n}\n", 42);
}

/* A text in pieces: no prefix of a store is one, none crashes. */
static void test_every_prefix(void)
{
    static const char text[] = STORE(VARIABLE("\"attr\": 39, \"data\": \"00ff\", "
                                              "\"time\": \"e8070b15000000000000000000000000\""));

    for (size_t n = 1; n < strlen(text); n++) {
        g_autofree char *part = g_memdup2(text, n); /* no NUL behind it */
        g_assert_null(uv_json_parse("x", part, n, NULL, NULL));
    }
}

/* As QEMU's and virt-firmware's loaders take it; the rest of the store counts. */
static void test_volatile(void)
{
    static const char text[] =
        STORE("{\"name\": \"B\", \"guid\": \"" GUID
              "\", \"attr\": 6, \"data\": \"01\"}, " VARIABLE("\"attr\": 7, \"data\": \"02\""));
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) variables = NULL;
    unsigned left_out = 9;

    variables = uv_json_parse("x.json", text, strlen(text), &left_out, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(variables->len, ==, 1);
    g_assert_cmpuint(left_out, ==, 1);
    g_assert_true(uv_variable_is_nv(variables->pdata[0]));
    g_clear_pointer(&variables, g_ptr_array_unref);
    variables = uv_json_parse("x.json", "", 0, &left_out, &error);
    g_assert_cmpuint(left_out, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/volatile", test_volatile);
    g_test_add_func("/json/empty", test_empty);
    g_test_add_func("/json/fields", test_fields);
    g_test_add_func("/json/timestamp", test_timestamp);
    g_test_add_func("/json/refused", test_refused);
    g_test_add_func("/json/too-many", test_too_many);
    g_test_add_func("/json/format", test_format);
    g_test_add_func("/json/volatile-is-not-written", test_volatile_is_not_written);
    g_test_add_func("/json/every-prefix", test_every_prefix);
    return g_test_run();
}
