/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "guest-name.h"
#include "uv-limits.h"

#include <glib.h>
#include <string.h>

static void test_files(void)
{
    static const struct {
        const char *file, *guest;
    } cases[] = {
        {"a.json", "a"},
        {"a_VARS.json", "a"},
        {"a.fd", "a"},
        {"a_VARS.fd", "a"},
        {"a_VARS.qcow2", "a"},
        {"a.config.json", "a"},
        {"a.b.json", "a.b"},
        {"a_VARS_VARS.fd", "a_VARS"},
        {"_VARS.json", "_VARS"}, /* there is nothing before it */
        {".json", NULL},
        {".config.json", NULL},
        {".a.json", NULL},
        {"a", NULL},
        {"a.qcow2", NULL},
        {"a.JSON", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *guest = uv_guest_of_file(false, cases[i].file);
        g_assert_cmpstr(guest, ==, cases[i].guest);
    }
}

static void test_rules(void)
{
    for (UvGuestRule rule = 0; rule < UV_GUEST_RULES; rule++) {
        g_autofree char *file = uv_guest_file(rule, "web");
        UvGuestRule meant = UV_GUEST_RULES;
        size_t size = 0;

        g_assert_true(uv_guest_fits(false, rule, "web"));
        g_assert_true(uv_guest_classify(false, file, rule == UV_GUEST_FOLDER, &meant, &size));
        g_assert_cmpint(meant, ==, rule);
        g_assert_cmpuint(size, ==, strlen("web"));
    }
    /* web_VARS.json is web's. */
    g_assert_false(uv_guest_fits(false, UV_GUEST_JSON, "web_VARS"));
    g_assert_false(uv_guest_fits(false, UV_GUEST_JSON, "web.config"));
    g_assert_true(uv_guest_fits(false, UV_GUEST_FOLDER, "web_VARS"));
}

static void test_names(void)
{
    static const char *const bad[] = {"", ".", "..", ".a", "a/b", "a\nb", "a.config.json"};
    g_autofree char *longest = g_strnfill(UV_GUEST_NAME_MAX, 'x');
    g_autofree char *longer = g_strnfill(UV_GUEST_NAME_MAX + 1, 'x');

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(uv_guest_name_valid(false, bad[i]));
    g_assert_true(uv_guest_name_valid(false, "a.json"));
    g_assert_true(uv_guest_name_valid(false, longest));
    g_assert_false(uv_guest_name_valid(false, longer));
}

static void test_domains(void)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "a\nb"};
    UvGuestRule rule;
    size_t size;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(uv_guest_name_valid(true, bad[i]));
    g_assert_true(uv_guest_name_valid(true, ".a"));
    g_assert_true(uv_guest_name_valid(true, "a.config.json"));
    g_assert_true(uv_guest_classify(true, ".a_VARS.json", false, &rule, &size));
    g_assert_cmpint(rule, ==, UV_GUEST_JSON);
    g_assert_cmpuint(size, ==, strlen(".a_VARS"));
    g_assert_false(uv_guest_classify(true, "a.fd", false, &rule, &size));
    g_assert_false(uv_guest_classify(true, "a", true, &rule, &size));
    g_autofree char *guest = uv_guest_of_file(true, "a.json.config");
    g_assert_cmpstr(guest, ==, "a");
    g_autofree char *config = uv_guest_config(true, UV_GUEST_JSON, "a");
    g_assert_cmpstr(config, ==, "a.json.config");
}

static void test_others(void)
{
    g_autofree char *incus = uv_guest_others_store(0, "100");
    g_autofree char *proxmox = uv_guest_others_store(1, "100");

    g_assert_cmpstr(incus, ==, "qemu.nvram");
    g_assert_cmpstr(proxmox, ==, "vm-100-disk-0.qcow2");
    g_assert_null(uv_guest_others_store(4, "100"));
    g_assert_true(uv_guest_store_is_of_others("vm-100-disk-0.raw", "100"));
    g_assert_false(uv_guest_store_is_of_others("vm-100-disk-0.raw", "101"));
    g_assert_false(uv_guest_store_is_of_others("vars.json", "100"));
}

static void test_configs(void)
{
    g_autofree char *folder = uv_guest_config(false, UV_GUEST_FOLDER, "a");
    g_autofree char *file = uv_guest_config(false, UV_GUEST_FD, "a");

    g_assert_cmpstr(folder, ==, "a/config.json");
    g_assert_cmpstr(file, ==, "a.config.json");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest-name/files", test_files);
    g_test_add_func("/guest-name/rules", test_rules);
    g_test_add_func("/guest-name/names", test_names);
    g_test_add_func("/guest-name/configs", test_configs);
    g_test_add_func("/guest-name/others", test_others);
    g_test_add_func("/guest-name/domains", test_domains);
    return g_test_run();
}
