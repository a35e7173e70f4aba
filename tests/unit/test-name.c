/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "name.h"

#include <string.h>

#define GUID_TEXT "8be4df61-93ca-11d2-aa0d-00e098032b8c"

typedef struct {
    const char *what;
    uint16_t units[32]; /* up to a 0 */
    const char *json;
    const char *file; /* without "-GUID" */
} Spelling;

static const Spelling spellings[] = {
    {"plain", {'B', 'o', 'o', 't'}, "Boot", "Boot"},
    {"space", {'a', ' ', 'b'}, "a b", "a b"},
    {"umlaut", {0xe4}, "\xc3\xa4", "\xc3\xa4"},
    {"three bytes", {0x20ac}, "\xe2\x82\xac", "\xe2\x82\xac"},
    {"pair", {0xd83d, 0xde00}, "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    {"slash", {'a', '/', 'b'}, "a/b", "a%2Fb"},
    {"percent", {'5', '0', '%'}, "50%", "50%"},
    {"percent, one digit", {'%', 'a', 'x'}, "%ax", "%ax"},
    {"percent before hex", {'%', '2', 'f'}, "%2f", "%252f"},
    {"literal %2F", {'%', '2', 'F'}, "%2F", "%252F"},
    {"literal %25", {'%', '2', '5'}, "%25", "%2525"},
    {"percent, slash", {'%', '/'}, "%/", "%%2F"},
    {"percent before surrogate", {'%', 0xd800}, "%%ED%A0%80", "%%ED%A0%80"},
    {"high surrogate", {'a', 0xd800, 'b'}, "a%ED%A0%80b", "a%ED%A0%80b"},
    {"low surrogate", {0xdfff}, "%ED%BF%BF", "%ED%BF%BF"},
    {"low, high", {0xdc00, 0xd800}, "%ED%B0%80%ED%A0%80", "%ED%B0%80%ED%A0%80"},
    {"high, pair",
     {0xd800, 0xd83d, 0xde00},
     "%ED%A0%80\xf0\x9f\x98\x80",
     "%ED%A0%80\xf0\x9f\x98\x80"},
    {"literal surrogate escape",
     {'%', 'E', 'D', '%', 'A', '0', '%', '8', '0'},
     "%25ED%A0%80",
     "%25ED%25A0%2580"},
    {"literal escaped escape",
     {'%', '2', '5', 'E', 'D', '%', 'A', '0', '%', '8', '0'},
     "%2525ED%A0%80",
     "%2525ED%25A0%2580"},
    {"literal, not a surrogate",
     {'%', 'E', 'D', '%', '9', '0', '%', '8', '0'},
     "%ED%90%80",
     "%25ED%2590%2580"},
    {"literal, lower case",
     {'%', 'e', 'd', '%', 'a', '0', '%', '8', '0'},
     "%ed%a0%80",
     "%25ed%25a0%2580"},
    {"control character", {1, '\n'}, "\x01\n", "\x01\n"},
};

static UvName *name_of(const uint16_t *units)
{
    uint8_t bytes[64];
    size_t n = 0;

    for (; units[n]; n++) {
        bytes[2 * n] = units[n] & 0xff;
        bytes[2 * n + 1] = units[n] >> 8;
    }
    return uv_name_new_utf16le(bytes, n);
}

static void test_spelling(gconstpointer data)
{
    const Spelling *row = data;
    g_autoptr(UvName) name = name_of(row->units);
    g_autofree char *json = uv_name_to_utf8(name);
    g_autofree char *file = uv_file_name_format(name, &uv_guid_global_variable);
    g_autofree char *expected = g_strconcat(row->file, "-" GUID_TEXT, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(UvName) from_file = NULL;
    UvGuid guid;

    g_assert_cmpstr(json, ==, row->json);
    g_autoptr(UvName) from_json = uv_name_new_utf8(json, &error);
    g_assert_no_error(error);
    g_assert_true(uv_name_equal(name, from_json));

    g_assert_cmpstr(file, ==, expected);
    g_assert_true(uv_file_name_parse(file, &from_file, &guid));
    g_assert_true(uv_name_equal(name, from_file));
    g_assert_true(uv_guid_equal(&guid, &uv_guid_global_variable));
}

static void test_bad_file_names(void)
{
    static const char *const bad[] = {
        "",
        GUID_TEXT,
        "-" GUID_TEXT,
        "Boot" GUID_TEXT,
        "Boot-8be4df61-93ca-11d2-aa0d-00e098032b8",
        "Boot-8be4df61-93ca-11d2-aa0d-00e098032b8x",
        "Boot-" GUID_TEXT ".Xa7Yz1",
        ".Boot-" GUID_TEXT ".abcdef",
        "%41-" GUID_TEXT,                /* nobody writes that */
        "%2f-" GUID_TEXT,                /* only %2F */
        "%00-" GUID_TEXT,                /* no unit is 0 */
        "%ED%A0%80%ED%B0%80-" GUID_TEXT, /* a pair is written in UTF-8 */
        "\xff-" GUID_TEXT,               /* not UTF-8 */
        "\xed\xa0\x80-" GUID_TEXT,       /* a bare surrogate is not UTF-8 */
    };
    g_autoptr(UvName) name = NULL;
    UvGuid guid;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(uv_file_name_parse(bad[i], &name, &guid));
        g_assert_null(name);
    }
    g_assert_true(uv_file_name_parse("a-8BE4DF61-93CA-11D2-AA0D-00E098032B8C", &name, &guid));
    g_assert_true(uv_guid_equal(&guid, &uv_guid_global_variable));
}

static void test_bad_names(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(uv_name_new_utf8("", &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_null(uv_name_new_utf8("a\xff", &error));
    g_assert_nonnull(error);
    g_assert_null(uv_name_new_utf16le("a\0\0\0b\0", 3));
    g_assert_null(uv_name_new_utf16le("", 0));
}

static void test_sizes(void)
{
    g_autoptr(UvName) name = uv_name_new_utf8("PK", NULL);
    g_autoptr(UvName) again = uv_name_new_utf16le("P\0K\0", 2);
    g_autoptr(UvName) wide = uv_name_new_utf16le("P\1K\0", 2);
    g_autoptr(UvName) reference = uv_name_ref(name);

    g_assert_cmpuint(uv_name_units(name), ==, 2);
    g_assert_cmpuint(uv_name_size_bytes(name), ==, 6);
    g_assert_cmpmem(uv_name_utf16le(name), 6, "P\0K\0\0\0", 6);
    g_assert_true(uv_name_is(name, "PK"));
    g_assert_false(uv_name_is(name, "P"));
    g_assert_false(uv_name_is(name, "PKX"));
    g_assert_false(uv_name_is(wide, "PK"));
    g_assert_true(uv_name_equal(name, again));
    g_assert_cmpuint(uv_name_hash(name), ==, uv_name_hash(again));
    g_assert_false(uv_name_equal(name, wide));
    g_assert_true(reference == name);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++) {
        g_autofree char *path = g_strconcat("/name/spelling/", spellings[i].what, NULL);
        g_strdelimit(path + strlen("/name/spelling/"), "/", '_');
        g_test_add_data_func(path, &spellings[i], test_spelling);
    }
    g_test_add_func("/name/bad-file-names", test_bad_file_names);
    g_test_add_func("/name/bad-names", test_bad_names);
    g_test_add_func("/name/sizes", test_sizes);
    return g_test_run();
}
