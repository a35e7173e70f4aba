/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A function of a loaded object gets another name; UV_STAMPED is one that was linked as our module
 * of QEMU is. */

#include "stamp.h"

#include <dlfcn.h>
#include <glib.h>
#include <string.h>

static void *load(void)
{
    void *object = dlopen(g_getenv("UV_STAMPED"), RTLD_NOW | RTLD_LOCAL);

    g_assert_nonnull(object);
    return object;
}

/* This program's constants have some, as QEMU's have one; the bare beginning is none. */
static void test_wanted(void)
{
#ifdef __SANITIZE_ADDRESS__
    /* It keeps poisoned bytes between a program's constants; QEMU is not built with it. */
    g_test_skip("AddressSanitizer");
    return;
#endif
    const char *found = glue_stamp_wanted();

    g_assert_nonnull(found);
    g_assert_true(g_str_has_prefix(found, "qemu_stamp_"));
    g_assert_cmpuint(strlen(found), >, strlen("qemu_stamp_"));
}

static void test_renamed(void)
{
    void *object = load();
    void *function = dlsym(object, "qemu_stamp_aaaa"), *other = dlsym(object, "stamped_other");

    g_assert_nonnull(function);
    g_assert_true(glue_stamp_rename(other, "qemu_stamp_aaaa", "qemu_stamp_0f0f"));
    g_assert_true(dlsym(object, "qemu_stamp_0f0f") == function);
    g_assert_null(dlsym(object, "qemu_stamp_aaaa"));
    g_assert_true(dlsym(object, "stamped_other") == other);
    /* There and back, through each of its lists. */
    for (char digit = 'a'; digit <= 'f'; digit++) {
        g_autofree char *name = g_strdup_printf("qemu_stamp_%c000", digit);

        g_assert_true(glue_stamp_rename(other, "qemu_stamp_0f0f", name));
        g_assert_true(glue_stamp_rename(other, name, "qemu_stamp_0f0f"));
    }
    g_assert_true(dlsym(object, "qemu_stamp_0f0f") == function);
    g_assert_true(glue_stamp_rename(other, "qemu_stamp_0f0f", "qemu_stamp_aaaa"));
    dlclose(object);
}

static void test_refused(void)
{
    void *object = load();
    void *function = dlsym(object, "qemu_stamp_aaaa");
    const int nowhere = 0;

    g_assert_false(glue_stamp_rename(function, "qemu_stamp_aaaa", "qemu_stamp_aaaaa"));
    g_assert_false(glue_stamp_rename(function, "qemu_stamp_bbbb", "qemu_stamp_cccc"));
    g_assert_false(glue_stamp_rename(&nowhere, "qemu_stamp_aaaa", "qemu_stamp_cccc"));
    /* GLib has a table of the other kind. */
    g_assert_false(glue_stamp_rename((const void *)g_free, "g_free", "g_fred"));
    g_assert_true(dlsym(object, "qemu_stamp_aaaa") == function);
    dlclose(object);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stamp/wanted", test_wanted);
    g_test_add_func("/stamp/renamed", test_renamed);
    g_test_add_func("/stamp/refused", test_refused);
    return g_test_run();
}
