/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "shown-name.h"

#include "name.h"
#include "uv-limits.h"

#include <string.h>

static const UvGuid guid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* `unit` so many times, then `last`. */
static UvName *name_of(const char *unit, size_t count, const char *last)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; i < count; i++)
        g_string_append(text, unit);
    g_string_append(text, last);
    UvName *name = uv_name_new_utf8(text->str, NULL);
    g_assert_nonnull(name);
    return name;
}

static void put(UvVarset *set, UvName *name)
{
    g_autoptr(GBytes) data = g_bytes_new_static("x", 1);
    const UvVariable fields = {.guid = guid, .name = name, .attributes = 7, .data = data};
    g_autoptr(UvVariable) variable = uv_variable_new(&fields);

    uv_varset_put(set, variable);
}

static void test_short(void)
{
    g_autoptr(UvName) name = name_of("a", UV_FILE_NAME_MAX - UV_FILE_NAME_GUID_BYTES, "");
    g_autofree char *full = uv_file_name_format(name, &guid);
    g_autofree char *shown = uv_shown_name_format(name, &guid);

    g_assert_cmpstr(shown, ==, full);
}

static void test_long(void)
{
    static const char *const units[] = {"a", "%", "\xc3\xa4", "\xf0\x9f\x98\x80", "/", "a/", "ab/"};
    g_autoptr(UvVarset) set = uv_varset_new();

    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        g_autoptr(UvName) one = name_of(units[i], 250, "1");
        g_autoptr(UvName) two = name_of(units[i], 250, "2");
        g_autofree char *shown = uv_shown_name_format(one, &guid);
        g_autofree char *other = uv_shown_name_format(two, &guid);
        g_autoptr(UvName) found = NULL;
        UvGuid found_guid;

        g_assert_cmpuint(strlen(shown), <=, UV_FILE_NAME_MAX - 20);
        g_assert_true(g_utf8_validate(shown, -1, NULL));
        g_assert_cmpstr(shown, !=, other);
        g_assert_cmpint(uv_shown_name_parse(set, shown, &found, &found_guid), ==, UV_SHOWN_UNKNOWN);
        put(set, one);
        put(set, two);
        g_assert_cmpint(uv_shown_name_parse(set, shown, &found, &found_guid), ==, UV_SHOWN_NAME);
        g_assert_true(uv_name_equal(found, one));
    }
}

/* A variable may be called so. */
static void test_own_name_first(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvName) full = name_of("a", 250, ""), found = NULL, literal = NULL;
    g_autofree char *shown = uv_shown_name_format(full, &guid);
    UvGuid found_guid;

    put(set, full);
    g_assert_true(uv_file_name_parse(shown, &literal, &found_guid));
    put(set, literal);
    g_assert_cmpint(uv_shown_name_parse(set, shown, &found, &found_guid), ==, UV_SHOWN_NAME);
    g_assert_true(uv_name_equal(found, literal));
}

static void test_none(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvName) found = NULL;
    UvGuid found_guid;

    g_assert_cmpint(uv_shown_name_parse(set, "Boot0000", &found, &found_guid), ==,
                    UV_SHOWN_NO_NAME);
    g_assert_null(found);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shown-name/short", test_short);
    g_test_add_func("/shown-name/long", test_long);
    g_test_add_func("/shown-name/own-name-first", test_own_name_first);
    g_test_add_func("/shown-name/none", test_none);
    return g_test_run();
}
