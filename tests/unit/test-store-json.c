/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The JSON store on a real folder, directly and through the keeper. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "scratch.h"
#include "store-json-private.h"
#include "storetest.h"
#include "times.h"
#include "uv-limits.h"

static void test_nothing_made_by_reading(StoreFixture *f, gconstpointer keeper)
{
    g_assert_false(f->t.store->ops->changed(f->t.store));
    store_fixture_compact(f);
    g_assert_cmpint(f->t.store->ops->due(f->t.store), ==, 0);
    store_fixture_reopen(f);
    g_assert_false(scratch_exists(f->dir, "s.json"));
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs"));
}

static void test_life(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *text = store_test_json("A", "2", NULL);
    uint64_t generation = f->t.store->generation;

    store_test_put(&f->t, "A", "1");
    store_test_put(&f->t, "B", "x");
    store_test_put(&f->t, "A", "2");
    store_test_put(&f->t, "B", NULL);
    g_assert_cmpuint(f->t.store->generation, ==, generation + 4);
    g_assert_true(scratch_exists(f->dir, STORE_JOURNAL));
    scratch_expect(f->dir, "s.json", "");
    store_fixture_reopen(f); /* as after a crash */
    store_test_expect(&f->t, "A", "2");
    store_test_expect(&f->t, "B", NULL);
    store_fixture_compact(f);
    store_fixture_expect(f, text);
    g_assert_false(f->t.store->ops->changed(f->t.store));
    store_test_put(&f->t, "C", "3");
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "2");
    store_test_expect(&f->t, "C", "3");
}

static void test_tick(StoreFixture *f, gconstpointer keeper)
{
    UvStore *store = f->t.store;
    JsonStore *json = (JsonStore *)store;
    int64_t now = g_get_monotonic_time(), due;
    g_autofree char *text = store_test_json("A", "1", NULL);

    store_test_put(&f->t, "A", "1");
    due = store->ops->due(store);
    g_assert_cmpint(due, >=, now + UV_JSON_COMPACT_US);
    g_assert_cmpint(due, <=, now + 2 * UV_JSON_COMPACT_US);
    g_assert_true(store->ops->tick(store, f->t.set, NULL));
    g_assert_true(scratch_exists(f->dir, STORE_JOURNAL)); /* too early */
    json->compact_due_us = now;
    g_assert_true(store->ops->tick(store, f->t.set, NULL));
    store_fixture_expect(f, text);
    g_assert_cmpint(store->ops->due(store), ==, 0);
}

/* A compaction that fails is tried again, later each time; the journal has what was written. */
static void test_backs_off(StoreFixture *f, gconstpointer keeper)
{
    UvStore *store = f->t.store;
    JsonStore *json = (JsonStore *)store;
    g_autofree char *text = store_test_json("A", "2", NULL);

    store_test_put(&f->t, "A", "1");
    scratch_put(f->dir, ".uefivarsfs/s.json.tmp/in-the-way", "");
    for (int64_t pause = UV_JSON_COMPACT_US, i = 0; i < 3; i++, pause *= 2) {
        g_autoptr(GError) error = NULL;
        const int64_t now = g_get_monotonic_time();
        json->compact_due_us = now;
        g_assert_false(store->ops->tick(store, f->t.set, &error));
        g_assert_nonnull(error);
        g_assert_cmpint(store->ops->due(store), >=, now + pause);
        g_assert_cmpint(store->ops->due(store), <, now + 2 * pause);
        g_assert_cmpuint(store->warnings->len, ==, 1);
        g_assert_true(g_str_has_prefix(store->warnings->pdata[0], UV_JSON_BEHIND));
    }
    store_test_put(&f->t, "A", "2");
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "2");
    scratch_remove(f->dir, ".uefivarsfs/s.json.tmp");
    store_fixture_compact(f);
    store_fixture_expect(f, text);
    g_assert_cmpuint(f->t.store->warnings->len, ==, 0);
}

static void test_size_limit(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *value = g_strnfill(200 * 1024, 'x');

    for (int i = 0; i < 6; i++) {
        value[0] = 'a' + i;
        store_test_put(&f->t, "A", value);
    }
    g_assert_cmpint(f->t.store->ops->due(f->t.store), <=, g_get_monotonic_time());
}

/* A text that could not be read again is not written; the journal has it. */
static void test_too_large(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *value = g_strnfill(UV_JSON_FILE_MAX / 2, 'x');
    g_autoptr(GError) error = NULL;

    store_test_put(&f->t, "A", value);
    g_assert_false(f->t.store->ops->compact(f->t.store, f->t.set, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_NO_SPACE);
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", value);
    store_test_put(&f->t, "A", "small again");
    store_fixture_compact(f);
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "small again");
}

static void test_recovered_journal_is_compacted(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *text = store_test_json("A", "1", NULL);

    store_test_put(&f->t, "A", "1");
    store_fixture_reopen(f);
    g_assert_cmpint(f->t.store->ops->due(f->t.store), >, 0);
    ((JsonStore *)f->t.store)->compact_due_us = 1;
    g_assert_true(f->t.store->ops->tick(f->t.store, f->t.set, NULL));
    store_fixture_expect(f, text);
}

static void test_torn_tail(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, STORE_JOURNAL);
    struct stat st;

    store_test_put(&f->t, "A", "1");
    store_test_put(&f->t, "A", "2");
    store_test_drop(&f->t);
    scratch_stat(f->dir, STORE_JOURNAL, &st);
    g_assert_cmpint(truncate(path, st.st_size - 1), ==, 0);
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    store_test_expect(&f->t, "A", "1");
    g_assert_true(store_test_warned(&f->t, "unfinished"));
    store_test_put(&f->t, "B", "3");
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "1");
    store_test_expect(&f->t, "B", "3");
    g_assert_false(store_test_warned(&f->t, "unfinished"));
}

/* Every cut and every flipped byte of a journal: a prefix of what was written, never nonsense. */
static void test_damaged_journal(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, STORE_JOURNAL);
    g_autoptr(GBytes) whole = NULL;
    size_t size;
    const char *bytes;

    store_test_put(&f->t, "A", "1");
    store_test_put(&f->t, "A", "2");
    store_test_drop(&f->t);
    whole = scratch_read(f->dir, STORE_JOURNAL);
    bytes = g_bytes_get_data(whole, &size);
    for (size_t n = 0; n < 2 * size; n++) {
        g_autofree char *copy = g_memdup2(bytes, size), *found = NULL;

        if (n >= size)
            copy[n - size] ^= 0x10;
        g_assert_true(g_file_set_contents(path, copy, n < size ? (gssize)n : (gssize)size, NULL));
        store_test_open(&f->t, f->dir, "s.json", false);
        found = store_test_get(&f->t, "A");
        g_assert_true(!found || g_str_equal(found, "1") || (n >= size && g_str_equal(found, "2")));
        if (n >= size && n - size < UV_JOURNAL_HEADER_BYTES)
            g_assert_true(store_test_warned(&f->t, "set aside"));
        store_test_drop(&f->t);
    }
    store_test_open(&f->t, f->dir, "s.json", false);
}

static void test_unparsable(StoreFixture *f, gconstpointer keeper)
{
    g_autoptr(GPtrArray) variables = NULL;
    g_autoptr(GError) error = NULL;

    scratch_write(f->dir, "s.json", "{\n  \"version\": 9,\n  \"variables\": []}");
    g_assert_false(f->t.store->ops->load(f->t.store, &variables, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE);
    g_assert_nonnull(strstr(error->message, "s.json:2:14: expected version 2"));
    g_clear_error(&error);
    g_assert_false(store_test_try(&f->t, "A", "1", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    scratch_expect(f->dir, "s.json", "{\n  \"version\": 9,\n  \"variables\": []}");
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs"));
}

static void test_release_and_acquire(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *text = store_test_json("A", "1", NULL);

    store_test_put(&f->t, "A", "1");
    g_assert_true(f->t.store->ops->release(f->t.store, f->t.set, NULL));
    store_fixture_expect(f, text);
    g_assert_true(f->t.store->ops->acquire(f->t.store, NULL));
    store_test_put(&f->t, "A", "2");
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "2");
}

static void test_replace(StoreFixture *f, gconstpointer keeper)
{
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvVariable) variable = store_test_variable("N", "new", 5);

    store_test_put(&f->t, "A", "1");
    uv_varset_put(set, variable);
    g_assert_true(f->t.store->ops->keep_before_load(f->t.store, NULL));
    g_assert_true(f->t.store->ops->replace(f->t.store, set, NULL));
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", NULL);
    store_test_expect(&f->t, "N", "new");
    g_autofree char *before = store_test_json("A", "1", NULL);
    scratch_expect(f->dir, ".uefivarsfs/s.json.before-load", before);
}

static int64_t mtime_of(StoreFixture *f, const char *name)
{
    g_autoptr(UvVariable) key = store_test_variable(name, "", 0);

    return uv_varset_lookup(f->t.set, &key->guid, key->name)->mtime_ns;
}

static void test_times(StoreFixture *f, gconstpointer keeper)
{
    g_autoptr(UvVariable) touched = store_test_variable("B", "2", 777);
    g_autofree char *other = store_test_json("A", "1", "B", "other", NULL);

    store_test_put(&f->t, "A", "1");
    store_test_put(&f->t, "B", "2");
    store_fixture_reopen(f);
    g_assert_cmpint(mtime_of(f, "A"), ==, 1000); /* from the journal */
    g_assert_null(f->t.store->left);
    store_fixture_compact(f);
    store_fixture_reopen(f);
    g_assert_cmpint(mtime_of(f, "A"), ==, 1000); /* from the meta file */
    g_assert_null(f->t.store->left);
    uv_varset_put(f->t.set, touched);
    f->t.store->ops->touch(f->t.store, touched);
    g_assert_cmpint(f->t.store->ops->due(f->t.store), >, 0);
    ((JsonStore *)f->t.store)->meta_due_us = 1;
    g_assert_true(f->t.store->ops->tick(f->t.store, f->t.set, NULL));
    store_fixture_reopen(f);
    g_assert_cmpint(mtime_of(f, "B"), ==, 777);
    store_test_drop(&f->t);
    scratch_write(f->dir, "s.json", other); /* another program changes B */
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    g_assert_cmpint(mtime_of(f, "A"), ==, 1000);
    g_assert_cmpint(mtime_of(f, "B"), ==, f->t.store->identity.mtime_ns);
    g_assert_nonnull(f->t.store->left);
    g_assert_cmpuint(g_hash_table_size(f->t.store->left->variables), ==, 2);
    store_test_drop(&f->t);
    scratch_write(f->dir, ".uefivarsfs/s.json.meta", "nonsense");
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    g_assert_cmpint(mtime_of(f, "A"), ==, f->t.store->identity.mtime_ns);
}

static void test_read_only(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");
    UvStoreOptions options = {.read_only = true};
    g_autoptr(UvStore) store = NULL;
    g_autoptr(GPtrArray) variables = NULL;
    g_autoptr(GError) error = NULL;

    store_test_put(&f->t, "A", "1");
    store = uv_store_json_open(uv_folder_new(AT_FDCWD, path, NULL), &options, NULL);
    g_assert_true(store->ops->load(store, &variables, &error));
    g_assert_cmpuint(variables->len, ==, 1);
    g_assert_nonnull(store->read_only_reason);
    g_assert_false(store->ops->replace(store, f->t.set, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    store_test_put(&f->t, "A", "2"); /* and is in nobody's way */
    store_fixture_compact(f);
}

/* Where renaming is impossible: several names, or something mounted on it. */
static void test_in_place(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");
    g_autofree char *name = scratch_path(f->dir, "second-name");
    g_autofree char *text = store_test_json("A", "1", "B", "2", NULL);
    g_autofree char *shorter = store_test_json("A", "1", NULL);
    struct stat before, after;

    store_test_put(&f->t, "A", "1");
    store_fixture_compact(f);
    g_assert_cmpint(link(path, name), ==, 0);
    scratch_stat(f->dir, "s.json", &before);
    store_test_put(&f->t, "B", "2");
    store_fixture_compact(f);
    store_fixture_expect(f, text);
    scratch_expect(f->dir, "second-name", text);
    scratch_stat(f->dir, "s.json", &after);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    store_test_put(&f->t, "B", NULL);
    store_fixture_compact(f);
    store_fixture_expect(f, shorter);
}

static void test_bind_mount(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");
    g_autofree char *real = scratch_path(f->dir, "real");
    g_autofree char *text = store_test_json("A", "1", NULL);

    scratch_write(f->dir, "s.json", "");
    scratch_write(f->dir, "real", "");
    if (mount(real, path, NULL, MS_BIND, NULL) < 0) {
        g_test_skip("mounting needs root");
        return;
    }
    store_test_reload(&f->t);
    store_test_put(&f->t, "A", "1");
    store_fixture_compact(f);
    store_fixture_expect(f, text);
    scratch_expect(f->dir, "real", text);
    store_test_drop(&f->t);
    g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
}

/* What other programs left half done, or removed. */
static void test_store_removed(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");

    store_test_put(&f->t, "A", "1");
    store_fixture_compact(f);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_true(f->t.store->ops->changed(f->t.store));
    store_test_reload(&f->t);
    store_test_expect(&f->t, "A", NULL);
    store_test_put(&f->t, "A", "2");
    store_fixture_compact(f);
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "2");
}

static void test_journal_removed(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *text = store_test_json("A", "1", "B", "2", NULL);

    store_test_put(&f->t, "A", "1");
    scratch_remove(f->dir, ".uefivarsfs");
    store_test_put(&f->t, "B", "2");
    g_assert_true(store_test_warned(&f->t, "removed while it was needed"));
    g_assert_cmpint(f->t.store->ops->due(f->t.store), <=, g_get_monotonic_time());
    store_fixture_compact(f);
    store_fixture_expect(f, text);
    store_test_put(&f->t, "B", NULL);
    scratch_remove(f->dir, ".uefivarsfs");
    store_fixture_compact(f);
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "1");
    store_test_expect(&f->t, "B", NULL);
}

/* A file that others label: always the same one, with all its attributes, and nobody waits for it.
 */
static void test_in_place_asked(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json"), *text = NULL, *longer = NULL;
    struct stat before, after;
    char value[8];
    int reader;

    scratch_write(f->dir, "s.json", "");
    g_assert_cmpint(setxattr(path, "user.label", "libvirt", 7, 0), ==, 0);
    scratch_stat(f->dir, "s.json", &before);
    store_test_drop(&f->t);
    store_test_open_in_place(&f->t, f->dir, "s.json", f->keeper);
    for (int i = 0; i < 3; i++) {
        longer = g_strnfill(1000 * i + 1, 'x');
        store_test_put(&f->t, "A", longer);
        g_assert_false(((JsonStore *)f->t.store)->leased);
        reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* would be EWOULDBLOCK */
        g_assert_cmpint(reader, >=, 0);
        close(reader);
        store_fixture_compact(f);
        text = store_test_json("A", longer, NULL);
        store_fixture_expect(f, text);
        g_clear_pointer(&text, g_free);
        g_clear_pointer(&longer, g_free);
    }
    scratch_stat(f->dir, "s.json", &after);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    g_assert_cmpint(getxattr(path, "user.label", value, sizeof(value)), ==, 7);
}

static void test_owner_of_sidecars(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");
    struct stat st;

    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    scratch_write(f->dir, "s.json", "");
    g_assert_cmpint(chown(path, 1234, 2345), ==, 0);
    store_test_reload(&f->t);
    store_test_put(&f->t, "A", "1");
    for (const char *const *name =
             (const char *const[]){".uefivarsfs", STORE_JOURNAL, ".uefivarsfs/s.json.lock", NULL};
         *name; name++) {
        scratch_stat(f->dir, *name, &st);
        g_assert_cmpuint(st.st_uid, ==, 1234);
        g_assert_cmpuint(st.st_gid, ==, 2345);
    }
    store_fixture_compact(f);
    scratch_stat(f->dir, "s.json", &st);
    g_assert_cmpuint(st.st_uid, ==, 1234);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        StoreFixtureTest test;
    } tests[] = {
        {"nothing-made-by-reading", test_nothing_made_by_reading},
        {"life", test_life},
        {"tick", test_tick},
        {"size-limit", test_size_limit},
        {"backs-off", test_backs_off},
        {"recovered-journal-is-compacted", test_recovered_journal_is_compacted},
        {"torn-tail", test_torn_tail},
        {"unparsable", test_unparsable},
        {"release-and-acquire", test_release_and_acquire},
        {"replace", test_replace},
        {"times", test_times},
        {"read-only", test_read_only},
        {"in-place", test_in_place},
        {"in-place-asked", test_in_place_asked},
        {"bind-mount", test_bind_mount},
        {"store-removed", test_store_removed},
        {"journal-removed", test_journal_removed},
        {"owner-of-sidecars", test_owner_of_sidecars},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        store_fixture_add("store-json", tests[i].name, tests[i].test);
    g_test_add("/store-json/too-large", StoreFixture, NULL, store_fixture_set_up, test_too_large,
               store_fixture_tear_down);
    g_test_add("/store-json/damaged-journal", StoreFixture, NULL, store_fixture_set_up,
               test_damaged_journal, store_fixture_tear_down);
    return g_test_run();
}
