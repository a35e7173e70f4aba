/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "json-put.h"

#include <string.h>

#include "json-gate.h"

static void test_layout(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    UvJsonFault fault;

    uv_json_begin(out, NULL, '{');
    uv_json_begin(out, "empty", '[');
    uv_json_end(out, ']');
    uv_json_put_number(out, "n", INT64_MIN);
    uv_json_put_number(out, "zero", 0);
    uv_json_put_number(out, "most", INT64_MAX);
    uv_json_put_bool(out, "yes", true);
    uv_json_put_bool(out, "no", false);
    uv_json_put_null(out, "null");
    uv_json_put_text(out, "none", NULL);
    uv_json_put_hex(out, "hex", "\x00\xfa\x10", 3);
    uv_json_begin(out, "list", '[');
    uv_json_put_text(out, NULL, "a{");
    uv_json_put_text(out, NULL, "b[");
    uv_json_begin(out, NULL, '{');
    uv_json_end(out, '}');
    uv_json_end(out, ']');
    uv_json_end(out, '}');
    g_assert_cmpstr(out->str, ==,
                    "{\"empty\":[],\"n\":-9223372036854775808,\"zero\":0,"
                    "\"most\":9223372036854775807,\"yes\":true,\"no\":false,"
                    "\"null\":null,\"none\":null,\"hex\":\"00fa10\",\"list\":[\"a{\",\"b[\",{}]}");
    g_string_append_c(out, '\n');
    uv_json_begin(out, NULL, '{');
    g_assert_true(g_str_has_suffix(out->str, "}\n{"));
    g_string_truncate(out, 0);
    uv_json_begin(out, NULL, '{');
    uv_json_put_text(out, "a", "\xff\x01ä");
    uv_json_end(out, '}');
    g_assert_true(uv_json_check(&uv_json_status, out->str, out->len, &fault));
}

static void test_text(void)
{
    static const struct {
        const char *text, *written;
    } rows[] = {
        {"", "\"\""},
        {"q\"b\\s/", "\"q\\\"b\\\\s/\""},
        {"\x01\n\x7fä😀", "\"\\u0001\\u000a\\u007fä😀\""},
        {"\xc2\x80\xc2\x9f\u00a0\u2027\u2028\u2029",
         "\"\\u0080\\u009f\u00a0\u2027\\u2028\\u2029\""},
        {"a\xff"
         "b",
         "\"a\xef\xbf\xbd"
         "b\""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);

        uv_json_add_text(out, rows[i].text);
        g_assert_cmpstr(out->str, ==, rows[i].written);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-put/layout", test_layout);
    g_test_add_func("/json-put/text", test_text);
    return g_test_run();
}
