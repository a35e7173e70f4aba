/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "guid.h"

static const char *const good = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

static void test_round_trip(void)
{
    const UvGuid expected =
        UV_GUID(0x8be4df61, 0x93ca, 0x11d2, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c);
    char text[UV_GUID_TEXT_BYTES + 1];
    UvGuid guid;

    g_assert_true(uv_guid_parse(good, &guid));
    g_assert_true(uv_guid_equal(&guid, &expected));
    g_assert_true(uv_guid_equal(&guid, &uv_guid_global_variable));
    g_assert_cmphex(guid.bytes[0], ==, 0x61);
    g_assert_true(uv_guid_parse("8BE4DF61-93CA-11D2-AA0D-00E098032B8C", &guid));
    g_assert_true(uv_guid_equal(&guid, &expected));
    uv_guid_format(&guid, text);
    g_assert_cmpstr(text, ==, good);
    guid.bytes[15] ^= 1;
    g_assert_false(uv_guid_equal(&guid, &expected));
    g_assert_cmpuint(uv_guid_hash(&guid), !=, uv_guid_hash(&expected));
}

static void test_bad(void)
{
    static const char *const bad[] = {
        "",
        "8be4df61",
        "8be4df61-93ca-11d2-aa0d-00e098032b8",
        "8be4df61-93ca-11d2-aa0d-00e098032b8c0",
        "8be4df61-93ca-11d2-aa0d-00e098032b8g",
        "8be4df6193ca11d2aa0d00e098032b8c",
        "8be4df61-93ca-11d2-aa0d000e098032b8c",
        "8be4df61-93ca-11d2aa-0d-00e098032b8c",
        "{8be4df61-93ca-11d2-aa0d-00e098032b8c}",
        "-8be4df61-93ca-11d2-aa0d-00e098032b8",
    };
    UvGuid guid = uv_guid_global_variable;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(uv_guid_parse(bad[i], &guid));
        g_assert_true(uv_guid_equal(&guid, &uv_guid_global_variable));
    }
}

static void test_known(void)
{
    const struct {
        const UvGuid *guid;
        const char *text;
    } known[] = {
        {&uv_guid_image_security, "d719b2cb-3d3a-4596-a3bc-dad00e67656f"},
        {&uv_guid_cert_db, "d9bee56e-75dc-49d9-b4d7-b534210f637a"},
        {&uv_guid_smm_variable_protocol, "ed32d533-99e6-4209-9cc0-2d72cdd998a7"},
        {&uv_guid_event_exit_boot, "27abf055-b1b8-4c26-8048-748f37baa2df"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        char text[UV_GUID_TEXT_BYTES + 1];
        uv_guid_format(known[i].guid, text);
        g_assert_cmpstr(text, ==, known[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guid/round-trip", test_round_trip);
    g_test_add_func("/guid/bad", test_bad);
    g_test_add_func("/guid/known", test_known);
    return g_test_run();
}
