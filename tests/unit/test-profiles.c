/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Profiles of keys, as the administrator lays them out, or does not. */

#include "profiles.h"

#include "scratch.h"

#include <glib/gstdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *top;
    char *folders[4]; /* near, far, one that is not there */
} Fixture;

static void set_up(Fixture *f, const void *unused)
{
    static const char *const names[] = {"near", "far", "none"};

    f->top = scratch_new();
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        f->folders[i] = scratch_path(f->top, names[i]);
    scratch_put(f->top, "near/.hidden/db/a.crt", "x");
    scratch_put(f->top, "near/README", "x");
    scratch_put(f->top, "near/new\nline.json", "x");
    scratch_put(f->top, "near/a b/db/a.crt", "x");
    scratch_put(f->top, "near/.json", "x");
    scratch_put(f->top, "near/mine/db/a.crt", "near");
    scratch_put(f->top, "near/mine/db/a.note", "no key");
    scratch_put(f->top, "near/mine/db/.swp.crt", "no key");
    scratch_put(f->top, "near/mine/dbx/b.bin", "");
    scratch_put(f->top, "near/empty/other/a.crt", "x");
    scratch_put(f->top, "near/store.json", "{}");
    scratch_put(f->top, "far/mine/db/a.crt", "far");
    scratch_put(f->top, "far/store.fd", "flash");
    scratch_put(f->top, "far/image.fd", "flash");
}

static void tear_down(Fixture *f, const void *unused)
{
    scratch_free(f->top);
    for (size_t i = 0; f->folders[i]; i++)
        g_free(f->folders[i]);
}

static void test_list(Fixture *f, const void *unused)
{
    g_autoptr(GBytes) list = fs_profiles_list(f->folders), none = fs_profiles_list(NULL);

    /* Names go into lines of text: those that do not fit are no profiles. */
    g_autofree char *text = g_strndup(g_bytes_get_data(list, NULL), g_bytes_get_size(list));
    g_assert_cmpstr(text, ==, "empty\nimage\nmine\nstore\n");
    g_assert_cmpuint(g_bytes_get_size(none), ==, 0);
}

/* {u16 path size, path, u32 size, bytes} ... as "path=bytes ". */
static char *shown(GBytes *profile)
{
    gsize size;
    const uint8_t *at = g_bytes_get_data(profile, &size), *end = at + size;
    GString *text = g_string_new(NULL);

    while (at < end) {
        const unsigned name = at[0] | at[1] << 8;
        const uint8_t *bytes = at + 2 + name;
        const unsigned n = bytes[0] | bytes[1] << 8;
        g_string_append_printf(text, "%.*s=%.*s ", (int)name, (const char *)at + 2, (int)n,
                               (const char *)bytes + 4);
        at = bytes + 4 + n;
    }
    return g_string_free(text, FALSE);
}

static void expect(const Fixture *f, const char *name, const char *expected)
{
    g_autofree char *reason = NULL;
    g_autoptr(GBytes) profile = fs_profile_read(f->folders, name, &reason);

    g_assert_null(reason);
    g_autofree char *text = shown(profile);
    g_assert_cmpstr(text, ==, expected);
}

static void refused(const Fixture *f, const char *name, const char *path, const char *why)
{
    g_autofree char *reason = NULL;
    g_autoptr(GBytes) profile = fs_profile_read(f->folders, name, &reason);

    g_assert_null(profile);
    g_test_message("%s", reason);
    g_assert_nonnull(strstr(reason, path));
    g_assert_nonnull(strstr(reason, why));
}

static void test_read(Fixture *f, const void *unused)
{
    expect(f, "mine", "db/a.crt=near dbx/b.bin= ");
    expect(f, "store", "store.json={} ");
    expect(f, "image", "image.fd=flash ");
}

static void test_refused(Fixture *f, const void *unused)
{
    g_autofree char *reason = NULL;

    refused(f, "other", f->folders[1], "no such profile");
    refused(f, "empty", "near/empty", "no PK/");
    g_assert_null(fs_profile_read(NULL, "mine", &reason));
    g_assert_nonnull(strstr(reason, "no such profile"));
}

static void test_unreadable(Fixture *f, const void *unused)
{
    g_autofree char *link = scratch_path(f->top, "near/gone.fd");
    g_autofree char *fifo = scratch_path(f->top, "near/mine/db/c.crt");
    g_autofree char *folder = scratch_path(f->top, "near/mine/PK/d.esl");

    g_assert_cmpint(symlink("nowhere", link), ==, 0);
    refused(f, "gone", "near/gone.fd", "No such file");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0); /* whoever opens it does not wait */
    refused(f, "mine", "db/c.crt", "Invalid argument");
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    refused(f, "mine", "PK/d.esl", "Invalid argument");
}

static void test_too_large(Fixture *f, const void *unused)
{
    g_autofree char *large = g_strnfill(600 * 1024, 'x'), *image = g_strnfill(3 * 1024 * 1024, 'f');
    g_autofree char *reason = NULL;

    scratch_put(f->top, "near/mine/KEK/large.der", image);
    refused(f, "mine", "KEK/large.der", "");
    scratch_put(f->top, "near/mine/KEK/large.der", large);
    scratch_put(f->top, "near/mine/PK/large.der", large);
    refused(f, "mine", "large.der", "larger than");
    /* Of a flash image the begin is enough. */
    scratch_put(f->top, "near/long.fd", image);
    g_autoptr(GBytes) profile = fs_profile_read(f->folders, "long", &reason);
    g_assert_null(reason);
    g_assert_cmpuint(g_bytes_get_size(profile), >, 512 * 1024);
    g_assert_cmpuint(g_bytes_get_size(profile), <, 3 * 1024 * 1024);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *f, const void *unused);
    } tests[] = {
        {"/profiles/list", test_list},           {"/profiles/read", test_read},
        {"/profiles/refused", test_refused},     {"/profiles/unreadable", test_unreadable},
        {"/profiles/too-large", test_too_large},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
