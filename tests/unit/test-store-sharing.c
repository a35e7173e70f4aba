/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A JSON store that others use too: a stock QEMU, another engine, whoever reads or rewrites it. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file-ops.h"
#include "filelock.h"
#include "scratch.h"
#include "store-json-private.h"
#include "storetest.h"

static void test_conflict(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *other = store_test_json("B", "qemu", NULL);

    for (int i = 1; i <= 2; i++) {
        g_autofree char *name = g_strdup_printf(".uefivarsfs/s.json.journal.conflict-%d", i);

        store_test_put(&f->t, "A", "1");
        store_test_drop(&f->t);
        scratch_write(f->dir, "s.json", i == 1 ? other : "");
        store_test_open(&f->t, f->dir, "s.json", f->keeper);
        store_test_expect(&f->t, "A", NULL);
        store_test_expect(&f->t, "B", i == 1 ? "qemu" : NULL);
        g_assert_true(scratch_exists(f->dir, name));
        g_assert_false(scratch_exists(f->dir, STORE_JOURNAL));
        g_assert_true(store_test_warned(&f->t, "set aside"));
        scratch_remove(f->dir, "s.json");
        scratch_write(f->dir, "s.json", other);
        store_test_reload(&f->t);
    }
}

static void test_changed_by_another(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");
    g_autofree char *other = store_test_json("B", "other", NULL);
    g_autoptr(GError) error = NULL;

    store_test_put(&f->t, "A", "1");
    store_fixture_compact(f);
    g_assert_false(f->t.store->ops->changed(f->t.store));
    g_assert_cmpint(chmod(path, 0640), ==, 0); /* no change of content */
    g_assert_false(f->t.store->ops->changed(f->t.store));
    store_test_put(&f->t, "A", "2");
    scratch_write(f->dir, "s.json", other); /* writes a new file and renames it */
    g_assert_true(f->t.store->ops->changed(f->t.store));
    g_assert_false(store_test_try(&f->t, "A", "3", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    g_clear_error(&error);
    g_assert_false(f->t.store->ops->compact(f->t.store, f->t.set, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    scratch_expect(f->dir, "s.json", other);
    store_test_reload(&f->t);
    store_test_expect(&f->t, "A", NULL);
    store_test_expect(&f->t, "B", "other");
    g_assert_true(store_test_warned(&f->t, "set aside"));
    store_test_put(&f->t, "C", "again");
    store_fixture_compact(f);
    store_test_reload(&f->t);
    store_test_expect(&f->t, "B", "other");
    store_test_expect(&f->t, "C", "again");
}

static void test_held_by_qemu(StoreFixture *f, gconstpointer keeper)
{
    g_autofree char *path = scratch_path(f->dir, "s.json");
    g_autoptr(GError) error = NULL;
    int fd;

    store_test_put(&f->t, "A", "1");
    fd = open(path, O_RDWR | O_CLOEXEC); /* before the compaction, as an unlucky QEMU */
    if (uv_filelock_sharing(((JsonStore *)f->t.store)->fd) == UV_FILELOCK_UNKNOWN) {
        g_test_skip("no leases on this file system");
        close(fd);
        return;
    }
    g_assert_false(store_test_try(&f->t, "A", "2", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    g_clear_error(&error);
    g_assert_false(f->t.store->ops->compact(f->t.store, f->t.set, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    g_assert_nonnull(f->t.store->read_only_reason);
    scratch_expect(f->dir, "s.json", "");
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC); /* who only reads is in nobody's way */
    ((JsonStore *)f->t.store)->probe_due_us = 1;
    f->t.store->ops->tick(f->t.store, f->t.set, NULL);
    g_assert_null(f->t.store->read_only_reason);
    g_assert_null(f->t.store->lock_holder);
    store_test_put(&f->t, "A", "2");
    store_fixture_compact(f);
    close(fd);
    store_fixture_reopen(f);
    store_test_expect(&f->t, "A", "2");
}

/* In another process: reads the file as soon as it is let in; the exit status says what it found.
 */
static pid_t open_elsewhere(const char *path, int flags, const char *expected)
{
    pid_t pid = fork();
    char text[4096] = "";
    ssize_t size;
    int fd;

    if (pid != 0)
        return pid;
    fd = open(path, flags);
    size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    _exit(size < 0 ? 2 : strcmp(text, expected) != 0);
}

static int tick_until_exit(StoreFixture *f, pid_t pid)
{
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        g_assert_true(f->t.store->ops->tick(f->t.store, f->t.set, NULL));
        g_usleep(5000);
    }
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Whoever opens the file a moment after a change finds it there, in that very file. */
static void test_guard(StoreFixture *f, gconstpointer keeper)
{
    static const int ways[] = {O_RDONLY, O_RDWR};
    g_autofree char *path = scratch_path(f->dir, "s.json");
    int64_t start = g_get_monotonic_time();

    store_test_drop(&f->t);
    scratch_write(f->dir, "s.json", "");
    store_test_open_guarded(&f->t, f->dir, "s.json", f->keeper);
    for (int i = 0; i < 4; i++) {
        g_autofree char *value = g_strdup_printf("%d", i);
        g_autofree char *text = store_test_json("A", value, NULL);
        struct stat before, after;
        pid_t pid;

        scratch_stat(f->dir, "s.json", &before);
        store_test_put(&f->t, "A", "x");
        store_test_put(&f->t, "A", value);
        if (i == 0 && !((JsonStore *)f->t.store)->leased) {
            g_test_skip("no leases on this file system");
            return;
        }
        g_assert_cmpint(f->t.store->ops->due(f->t.store), <=,
                        g_get_monotonic_time() + UV_JSON_GUARD_US);
        pid = open_elsewhere(path, ways[i % 2], text);
        g_usleep(i * 20000);
        store_test_put(&f->t, "B", value); /* who waits is in nobody's way */
        store_test_put(&f->t, "B", NULL);
        g_assert_cmpint(tick_until_exit(f, pid), ==, 0);
        scratch_stat(f->dir, "s.json", &after);
        g_assert_cmpuint(before.st_ino, ==, after.st_ino);
        store_fixture_expect(f, text);
        g_assert_false(f->t.store->ops->changed(f->t.store));
    }
    g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
    /* Unneeded, it is lowered: a compaction that nobody waited for renames. */
    store_test_put(&f->t, "A", NULL);
    store_fixture_compact(f);
    g_assert_false(((JsonStore *)f->t.store)->leased);
    g_assert_true(f->t.store->ops->keep_before_load(f->t.store, NULL));
    store_test_put(&f->t, "A", "1");
    g_assert_true(f->t.store->ops->keep_before_load(f->t.store, NULL));
    store_test_reload(&f->t); /* lowers it, too */
    store_test_expect(&f->t, "A", "1");
}

static void test_two_engines(StoreFixture *f, gconstpointer keeper)
{
    StoreTest other;
    g_autoptr(GError) error = NULL;
    int64_t start;

    store_test_put(&f->t, "A", "1");
    store_test_open(&other, f->dir, "s.json", false); /* sees it, and takes no lock */
    store_test_expect(&other, "A", "1");
    start = g_get_monotonic_time();
    g_assert_false(store_test_try(&other, "A", "2", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, UV_FILELOCK_WAIT_MS * 1000);
    g_clear_error(&error);
    start = g_get_monotonic_time();
    g_assert_false(store_test_try(&other, "A", "2", NULL)); /* the wait was for a predecessor */
    g_assert_cmpint(g_get_monotonic_time() - start, <, UV_FILELOCK_WAIT_MS * 500);
    store_test_put(&f->t, "A", "3");
    g_assert_true(other.store->ops->changed(other.store));
    g_assert_true(f->t.store->ops->release(f->t.store, f->t.set, NULL));
    g_assert_false(store_test_try(&other, "A", "2", &error)); /* it is another store by now */
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    g_clear_error(&error);
    store_test_reload(&other);
    store_test_expect(&other, "A", "3");
    store_test_put(&other, "A", "4");
    store_test_close(&other);
    g_assert_false(f->t.store->ops->acquire(f->t.store, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    store_test_reload(&f->t);
    store_test_put(&f->t, "B", "5");
    store_test_expect(&f->t, "A", "4");
}

/* Somebody else has his turn just before this engine gets the lock. */
typedef struct {
    const UvFileOps *ops;
    void *data;
    StoreFixture *f; /* NULL once it has happened */
} Interloper;

static int interloper_open(void *data, UvFileRole role, int flags)
{
    Interloper *i = data;

    if (role == UV_FILE_LOCK && i->f) {
        StoreFixture *f = g_steal_pointer(&i->f);

        store_test_open(&f->t, f->dir, "s.json", false);
        store_test_put(&f->t, "A", "acknowledged");
        store_test_drop(&f->t); /* killed: the journal is all that has it */
    }
    return i->ops->open(i->data, role, flags);
}

static int interloper_rename(void *data, UvFileRole from, UvFileRole to, unsigned *ret_number)
{
    Interloper *i = data;

    return i->ops->rename(i->data, from, to, ret_number);
}

static int interloper_unlink(void *data, UvFileRole role)
{
    Interloper *i = data;

    return i->ops->unlink(i->data, role);
}

static int interloper_stat(void *data, UvFileRole role, struct stat *ret_stat)
{
    Interloper *i = data;

    return i->ops->stat(i->data, role, ret_stat);
}

/*
 * Two engines find a journal that is not the file's. One sets it aside, begins its own, and is
 * killed; the other, which is about to set aside what it read, must not take that one for it.
 */
static void test_set_aside_by_two(StoreFixture *f, gconstpointer keeper)
{
    static const UvFileOps ops = {
        .open = interloper_open,
        .rename = interloper_rename,
        .unlink = interloper_unlink,
        .stat = interloper_stat,
    };
    g_autofree char *path = scratch_path(f->dir, "s.json");
    g_autofree char *other = store_test_json("B", "qemu", NULL);
    g_autoptr(GPtrArray) variables = NULL;
    g_autoptr(GError) error = NULL;
    UvFolder *folder = uv_folder_new(AT_FDCWD, path, NULL);
    Interloper interloper = {.f = f};

    store_test_put(&f->t, "A", "older");
    store_test_drop(&f->t);
    scratch_write(f->dir, "s.json", other);
    interloper.ops = uv_folder_ops(folder, &interloper.data);
    uv_folder_set_ops(folder, &ops, &interloper);
    f->t.store = uv_store_json_open(folder, &(UvStoreOptions){.create = true}, &error);
    g_assert_no_error(error);
    StoreTest second = f->t;
    g_assert_true(second.store->ops->load(second.store, &variables, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(variables->len, ==, 2);
    g_assert_true(scratch_exists(f->dir, STORE_JOURNAL));
    g_assert_true(scratch_exists(f->dir, ".uefivarsfs/s.json.journal.conflict-1"));
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs/s.json.journal.conflict-2"));
    uv_store_close(second.store);
    store_test_open(&f->t, f->dir, "s.json", false);
    store_test_expect(&f->t, "A", "acknowledged");
    store_test_expect(&f->t, "B", "qemu");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    store_fixture_add("store-sharing", "conflict", test_conflict);
    store_fixture_add("store-sharing", "changed-by-another", test_changed_by_another);
    store_fixture_add("store-sharing", "held-by-qemu", test_held_by_qemu);
    store_fixture_add("store-sharing", "guard", test_guard);
    g_test_add("/store-sharing/two-engines", StoreFixture, "keeper", store_fixture_set_up,
               test_two_engines, store_fixture_tear_down);
    g_test_add("/store-sharing/set-aside-by-two", StoreFixture, NULL, store_fixture_set_up,
               test_set_aside_by_two, store_fixture_tear_down);
    return g_test_run();
}
