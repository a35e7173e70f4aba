/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A journal and a store that is not the one it was made for: made anew with the same content,
 * copied with its journal, restored.
 */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "file-id.h"
#include "scratch.h"
#include "storetest.h"

#define CONFLICT STORE_JOURNAL ".conflict-1"

/* A store that was empty, and has A in its journal. */
static void begin(StoreFixture *f)
{
    scratch_write(f->dir, "s.json", "");
    store_fixture_reopen(f);
    store_test_put(&f->t, "A", "of the old guest");
}

static void make_anew(StoreFixture *f)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");
    int fd;

    g_assert_cmpint(unlink(path), ==, 0);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

static void expect_new_guest(StoreFixture *f)
{
    store_test_expect(&f->t, "A", NULL);
    g_assert_true(scratch_exists(f->dir, CONFLICT));
    g_assert_false(scratch_exists(f->dir, STORE_JOURNAL));
    g_assert_true(store_test_warned(&f->t, "made anew"));
    store_test_put(&f->t, "B", "of the new guest");
    store_fixture_compact(f);
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", NULL);
    store_test_expect(&f->t, "B", "of the new guest");
}

/* The old engine was killed; the file system may give the new file the old one's number. */
static void test_made_anew(StoreFixture *f, gconstpointer keeper)
{
    begin(f);
    store_test_drop(&f->t);
    make_anew(f);
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    expect_new_guest(f);
}

static void test_removed(StoreFixture *f, gconstpointer keeper)
{
    begin(f);
    store_test_drop(&f->t);
    scratch_remove(f->dir, "s.json");
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    expect_new_guest(f);
}

/* The old engine lives: nothing of what it knows goes into the new file. */
static void test_made_anew_under_an_engine(StoreFixture *f, gconstpointer keeper)
{
    g_autoptr(GError) error = NULL;

    begin(f);
    make_anew(f);
    g_assert_true(f->t.store->ops->changed(f->t.store));
    g_assert_false(store_test_try(&f->t, "C", "late", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    g_assert_false(f->t.store->ops->compact(f->t.store, f->t.set, NULL));
    store_test_reload(&f->t);
    expect_new_guest(f);
}

/* Without a journal a store that was replaced by the same is the same. */
static void test_same_without_journal(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *text = store_test_json("A", "1", NULL);

    scratch_write(f->dir, "s.json", text);
    store_fixture_reopen(f);
    scratch_write(f->dir, "s.json", text);
    g_assert_false(f->t.store->ops->changed(f->t.store));
    store_test_put(&f->t, "B", "2");
    store_fixture_reopen(f);
    store_test_expect(&f->t, "B", "2");
}

static void copy(const char *from, const char *to, const char *name)
{
    g_autoptr(GBytes) bytes = scratch_read(from, name);
    g_autofree char *path = scratch_path(to, name);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    g_assert_true(
        g_file_set_contents(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL));
}

static void test_copied(StoreFixture *f, gconstpointer keeper)
{
    char *other = scratch_new();
    StoreTest t;

    begin(f);
    copy(f->dir, other, "s.json");
    copy(f->dir, other, STORE_JOURNAL);
    store_test_open(&t, other, "s.json", f->keeper);
    store_test_expect(&t, "A", "of the old guest");
    store_test_put(&t, "B", "goes on");
    store_test_drop(&t);
    store_test_open(&t, other, "s.json", f->keeper);
    store_test_expect(&t, "B", "goes on");
    store_test_close(&t);
    scratch_free(other);
}

/* A backup of both, put back over both. */
static void test_restored(StoreFixture *f, gconstpointer keeper)
{
    char *backup = scratch_new();

    begin(f);
    copy(f->dir, backup, "s.json");
    copy(f->dir, backup, STORE_JOURNAL);
    store_fixture_compact(f);
    store_test_drop(&f->t);
    copy(backup, f->dir, "s.json");
    copy(backup, f->dir, STORE_JOURNAL);
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    store_test_expect(&f->t, "A", "of the old guest");
    scratch_free(backup);
}

/* Restored without its journal, which has no store to be done to. */
static void test_restored_alone(StoreFixture *f, gconstpointer keeper)
{
    char *backup = scratch_new();

    begin(f);
    copy(f->dir, backup, "s.json");
    store_test_drop(&f->t);
    copy(backup, f->dir, "s.json");
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    expect_new_guest(f);
    scratch_free(backup);
}

/* The store is gone when its engine ends: so is what lay beside it. */
static void test_gone(StoreFixture *f, gconstpointer keeper)
{
    begin(f);
    store_fixture_compact(f);
    g_assert_true(scratch_exists(f->dir, ".uefivarsfs/s.json.lock"));
    scratch_remove(f->dir, "s.json");
    store_test_drop(&f->t);
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs/s.json.lock"));
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs/s.json.meta"));
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs"));
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    store_test_put(&f->t, "B", "begins again");
}

/* What may be somebody's, and what another store's is, stays. */
static void test_gone_with_a_journal(StoreFixture *f, gconstpointer keeper)
{
    StoreTest other;

    begin(f);
    store_test_open(&other, f->dir, "other.json", f->keeper);
    store_test_put(&other, "O", "1");
    scratch_remove(f->dir, "s.json");
    store_test_drop(&f->t);
    g_assert_true(scratch_exists(f->dir, STORE_JOURNAL));
    g_assert_true(scratch_exists(f->dir, ".uefivarsfs/s.json.lock"));
    store_test_put(&other, "O", "2");
    store_test_close(&other);
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    store_test_expect(&f->t, "A", NULL);
}

/* Another engine waits for the lock while it goes: it gets the one that there is then. */
static void test_lock_goes(StoreFixture *f, gconstpointer keeper)
{
    g_autoptr(GError) error = NULL;
    StoreTest other;

    begin(f);
    store_fixture_compact(f);
    store_test_open(&other, f->dir, "s.json", f->keeper);
    scratch_remove(f->dir, "s.json");
    store_test_drop(&f->t);
    store_test_reload(&other);
    store_test_put(&other, "B", "1");
    g_assert_true(scratch_exists(f->dir, ".uefivarsfs/s.json.lock"));
    store_test_open(&f->t, f->dir, "s.json", f->keeper);
    g_assert_false(store_test_try(&f->t, "B", "2", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    store_test_close(&other);
}

static void test_ids(StoreFixture *f, gconstpointer keeper)
{
    UvFileId ids[2];

    for (int i = 0; i < 2; i++) {
        g_autofree char *path = scratch_path(f->dir, "id");
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        ids[i] = uv_file_id(fd);
        close(fd);
        g_assert_cmpint(unlink(path), ==, 0);
        g_usleep(20000); /* file systems count time in ticks */
    }
    g_assert_cmpuint(ids[0].inode, !=, 0);
    g_assert_false(uv_file_id_equal(&ids[0], &ids[1]));
    g_assert_true(uv_file_id_equal(&ids[0], &ids[0]));
    g_assert_false(uv_file_id_equal(&(UvFileId){0}, &(UvFileId){0}));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        StoreFixtureTest test;
    } tests[] = {
        {"made-anew", test_made_anew},
        {"removed", test_removed},
        {"made-anew-under-an-engine", test_made_anew_under_an_engine},
        {"same-without-journal", test_same_without_journal},
        {"copied", test_copied},
        {"restored", test_restored},
        {"restored-alone", test_restored_alone},
        {"gone", test_gone},
        {"gone-with-a-journal", test_gone_with_a_journal},
        {"lock-goes", test_lock_goes},
        {"ids", test_ids},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        store_fixture_add("store-anew", tests[i].name, tests[i].test);
    return g_test_run();
}
