/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "varset.h"

#include "efi-abi.h"

#include <string.h>

#define NV_BS_RT 7u
#define BS_RT 6u

static UvVariable *make(const char *name_text, uint32_t attributes, const char *data_text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autoptr(GBytes) data = g_bytes_new(data_text, strlen(data_text));
    const UvVariable fields = {
        .guid = uv_guid_global_variable, .name = name, .attributes = attributes, .data = data};

    return uv_variable_new(&fields);
}

static void put(UvVarset *set, const char *name, uint32_t attributes, const char *data)
{
    g_autoptr(UvVariable) variable = make(name, attributes, data);
    uv_varset_put(set, variable);
}

static void change_put(UvChange *change, const char *name, uint32_t attributes, const char *data)
{
    g_autoptr(UvVariable) variable = make(name, attributes, data);
    uv_change_put(change, variable);
}

static void removal(UvChange *change, const char *text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(text, NULL);
    uv_change_remove(change, &uv_guid_global_variable, name);
}

/* "a=1 b=2": what enumeration gives. */
static void assert_content(const UvVarset *set, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        g_autofree char *name = uv_name_to_utf8(v->name);
        g_string_append_printf(text, "%s%s=%.*s", text->len ? " " : "", name,
                               (int)g_bytes_get_size(v->data),
                               (const char *)g_bytes_get_data(v->data, NULL));
    }
    g_assert_cmpstr(text->str, ==, expected);
}

static void test_order(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();

    g_assert_null(uv_varset_first(set));
    put(set, "n1", NV_BS_RT, "1");
    put(set, "v1", BS_RT, "2");
    put(set, "n2", NV_BS_RT, "3");
    put(set, "v2", BS_RT, "4");
    assert_content(set, "v1=2 v2=4 n1=1 n2=3");
    put(set, "n1", NV_BS_RT, "5");
    put(set, "v1", BS_RT, "6");
    assert_content(set, "v2=4 v1=6 n2=3 n1=5");
    put(set, "v2", NV_BS_RT, "7"); /* another class */
    assert_content(set, "v1=6 n2=3 n1=5 v2=7");
    g_assert_cmpuint(uv_varset_count(set), ==, 4);
}

static void test_accounting(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvName) name = uv_name_new_utf8("ab", NULL);

    put(set, "ab", NV_BS_RT, "x"); /* 60 + 6 + 1 -> 68 */
    g_assert_cmpuint(uv_varset_used_bytes(set, true), ==, 68);
    g_assert_cmpuint(uv_varset_used_bytes(set, false), ==, 0);
    put(set, "ab", NV_BS_RT, "xyz"); /* 69 -> 72 */
    g_assert_cmpuint(uv_varset_used_bytes(set, true), ==, 72);
    put(set, "c", BS_RT, ""); /* 60 + 4 */
    g_assert_cmpuint(uv_varset_used_bytes(set, false), ==, 64);
    uv_varset_remove(set, &uv_guid_global_variable, name);
    uv_varset_remove(set, &uv_guid_global_variable, name);
    g_assert_cmpuint(uv_varset_used_bytes(set, true), ==, 0);
}

static void test_key(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvName) name = uv_name_new_utf8("a", NULL);
    g_autoptr(UvName) upper = uv_name_new_utf8("A", NULL);

    put(set, "a", NV_BS_RT, "1");
    g_assert_nonnull(uv_varset_lookup(set, &uv_guid_global_variable, name));
    g_assert_null(uv_varset_lookup(set, &uv_guid_image_security, name));
    g_assert_null(uv_varset_lookup(set, &uv_guid_global_variable, upper));
}

static void test_variable(void)
{
    g_autoptr(UvVariable) a = make("a", NV_BS_RT | EFI_VARIABLE_APPEND_WRITE, "1");
    g_autoptr(UvVariable) b = make("a", NV_BS_RT, "1");

    g_assert_cmphex(a->attributes, ==, NV_BS_RT);
    g_assert_true(uv_variable_same(a, b));
    b->mtime_ns = 5;
    g_assert_true(uv_variable_same(a, b));
    b->time[15] = 1;
    g_assert_false(uv_variable_same(a, b));
    b->time[15] = 0;
    b->digest = g_bytes_new("x", 1);
    g_assert_false(uv_variable_same(a, b));
}

static void test_change_overlay(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvName) b = uv_name_new_utf8("b", NULL);

    put(set, "a", NV_BS_RT, "1");
    put(set, "b", NV_BS_RT, "2");
    g_autoptr(UvChange) change = uv_change_new(set);
    change_put(change, "c", NV_BS_RT, "3");
    change_put(change, "a", NV_BS_RT, "9");
    removal(change, "b");
    removal(change, "nothing");
    g_assert_null(uv_change_lookup(change, &uv_guid_global_variable, b));
    g_assert_nonnull(uv_varset_lookup(set, &uv_guid_global_variable, b));
    g_assert_cmpuint(uv_change_count(change), ==, 3);
    g_assert_null(uv_change_item(change, 0)->before);
    g_assert_true(uv_name_is(uv_change_item(change, 0)->after->name, "c"));
    g_assert_null(uv_change_item(change, 2)->after);
    assert_content(set, "a=1 b=2");
    uv_change_apply(change, set);
    assert_content(set, "c=3 a=9");
}

static void test_change_no_step(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();

    put(set, "a", NV_BS_RT, "1");
    put(set, "z", NV_BS_RT, "1");
    g_autoptr(UvChange) change = uv_change_new(set);
    change_put(change, "a", NV_BS_RT, "1"); /* as it is */
    g_assert_cmpuint(uv_change_count(change), ==, 0);
    change_put(change, "a", NV_BS_RT, "2");
    change_put(change, "b", NV_BS_RT, "2");
    g_assert_cmpuint(uv_change_count(change), ==, 2);
    change_put(change, "a", NV_BS_RT, "1"); /* and back */
    removal(change, "b");
    g_assert_cmpuint(uv_change_count(change), ==, 0);
    g_assert_false(uv_change_touches_nv(change));
    uv_change_apply(change, set);
    assert_content(set, "a=1 z=1");
}

static void test_change_accounting(void)
{
    g_autoptr(UvVarset) set = uv_varset_new();

    put(set, "a", NV_BS_RT, "1");
    g_autoptr(UvChange) change = uv_change_new(set);
    change_put(change, "v", BS_RT, "1");
    g_assert_false(uv_change_touches_nv(change));
    change_put(change, "a", NV_BS_RT, "12345678");
    change_put(change, "a", BS_RT, "12345678"); /* the last step counts */
    g_assert_true(uv_change_touches_nv(change));
    g_assert_cmpuint(uv_change_used_bytes(change, true), ==, 0);
    const size_t expected = uv_change_used_bytes(change, false);
    uv_change_apply(change, set);
    g_assert_cmpuint(uv_varset_used_bytes(set, false), ==, expected);
    g_assert_cmpuint(uv_varset_used_bytes(set, true), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/varset/order", test_order);
    g_test_add_func("/varset/accounting", test_accounting);
    g_test_add_func("/varset/key", test_key);
    g_test_add_func("/varset/variable", test_variable);
    g_test_add_func("/varset/change-overlay", test_change_overlay);
    g_test_add_func("/varset/change-no-step", test_change_no_step);
    g_test_add_func("/varset/change-accounting", test_change_accounting);
    return g_test_run();
}
