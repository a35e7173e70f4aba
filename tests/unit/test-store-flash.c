/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The store of a flash image beside others who write it; tests/compat and tests/qemu have them for
 * real. */

#include "store-flash.h"

#include <fcntl.h>
#include <unistd.h>

#include "filelock.h"
#include "flash-private.h"
#include "scratch.h"
#include "storetest.h"
#include "times.h"

/* A blank image, as libvirt's template of 64 MiB for Arm begins. */
#define BLANK_BYTES (64 * 1024 * 1024)

static void make_blank(const char *dir)
{
    g_autofree char *path = scratch_path(dir, "s.fd");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, BLANK_BYTES), ==, 0);
    close(fd);
}

static void open_image(StoreTest *t, const char *dir)
{
    g_autofree char *path = scratch_path(dir, "s.fd");
    g_autoptr(GError) error = NULL;

    t->set = NULL;
    t->store =
        uv_store_flash_open(uv_folder_new(AT_FDCWD, path, NULL), &(UvStoreOptions){0}, &error);
    g_assert_no_error(error);
    store_test_reload(t);
}

static const FlashBacking *real;
static const char *folder;

/* Lets go, and at that very moment another engine has its turn. */
static void idle_and_lose(FlashStore *flash)
{
    StoreTest other;

    real->idle(flash);
    uv_filelock_drop(flash->store.lock.fd);
    open_image(&other, folder);
    store_test_put(&other, "A", "of another");
    store_test_drop(&other);
}

static void test_change_at_the_end_of_a_burst(void)
{
    char *dir = scratch_new();
    FlashBacking hooked;
    g_autoptr(GError) error = NULL;
    StoreTest t;

    make_blank(dir);
    open_image(&t, dir);
    store_test_put(&t, "A", "1");
    FlashStore *flash = (FlashStore *)t.store;
    folder = dir;
    real = flash->backing;
    hooked = *real;
    hooked.idle = idle_and_lose;
    flash->backing = &hooked;
    g_assert_true(t.store->ops->release(t.store, t.set, NULL));
    flash->backing = real;
    g_assert_true(t.store->ops->changed(t.store));
    g_assert_false(store_test_try(&t, "A", "2", &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    store_test_reload(&t);
    store_test_expect(&t, "A", "of another");
    store_test_put(&t, "A", "3");
    store_test_drop(&t);
    open_image(&t, dir);
    store_test_expect(&t, "A", "3");
    store_test_drop(&t);
    scratch_free(dir);
}

/* The bytes of record `n`'s header become 0xff, as if they had never been written. */
static void lose_header(const char *dir, FlashStore *flash, guint n)
{
    g_autofree char *path = scratch_path(dir, "s.fd");
    const UvFlashRecord *record = uv_flash_record_at(flash->flash, n);
    const uint64_t at = uv_flash_layout(flash->flash)->store_offset + record->offset;
    g_autofree char *erased = g_strnfill(60, '\xff');
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(pwrite(fd, erased, 60, at), ==, 60);
    close(fd);
}

/*
 * Records behind a header that was never written: looking changes nothing, the first write keeps
 * the image and reclaims it.
 */
static void test_hidden_records(void)
{
    char *dir = scratch_new();
    g_autoptr(GBytes) before = NULL, kept = NULL;
    StoreTest t;

    make_blank(dir);
    open_image(&t, dir);
    store_test_put(&t, "A", "1");
    store_test_put(&t, "B", "2");
    store_test_put(&t, "C", "3");
    g_assert_true(t.store->ops->release(t.store, t.set, NULL));
    lose_header(dir, (FlashStore *)t.store, 1);
    store_test_drop(&t);
    before = scratch_read(dir, "s.fd");

    open_image(&t, dir);
    store_test_expect(&t, "A", "1");
    store_test_expect(&t, "C", NULL);
    g_assert_null(t.store->read_only_reason);
    g_assert_true(store_test_warned(&t, "records that do not count"));
    g_assert_false(scratch_exists(dir, ".uefivarsfs/s.fd.before-load"));
    store_test_put(&t, "D", "4");
    g_assert_true(store_test_warned(&t, "reclaimed; records"));
    g_assert_false(store_test_warned(&t, "records that do not count"));
    store_test_put(&t, "E", "5");
    store_test_drop(&t);
    kept = scratch_read(dir, ".uefivarsfs/s.fd.before-load");
    g_assert_true(g_bytes_equal(before, kept));

    open_image(&t, dir);
    g_assert_cmpuint(t.store->warnings->len, ==, 0);
    store_test_expect(&t, "A", "1");
    store_test_expect(&t, "D", "4");
    store_test_expect(&t, "E", "5");
    store_test_drop(&t);
    scratch_free(dir);
}

/* Whatever begins the free area is reclaimed. */
static void test_free_area_not_erased(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "s.fd");
    StoreTest t;

    make_blank(dir);
    open_image(&t, dir);
    store_test_put(&t, "A", "1");
    g_assert_true(t.store->ops->release(t.store, t.set, NULL));
    FlashStore *flash = (FlashStore *)t.store;
    const uint64_t at = uv_flash_layout(flash->flash)->store_offset + flash->flash->scan.end;
    store_test_drop(&t);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, "\x12\x34garbage", 9, at), ==, 9);
    close(fd);

    open_image(&t, dir);
    g_assert_null(t.store->read_only_reason);
    g_assert_true(store_test_warned(&t, "a write was not finished"));
    store_test_put(&t, "B", "2");
    store_test_drop(&t);
    open_image(&t, dir);
    g_assert_cmpuint(t.store->warnings->len, ==, 0);
    store_test_expect(&t, "A", "1");
    store_test_expect(&t, "B", "2");
    store_test_drop(&t);
    scratch_free(dir);
}

/* A QEMU that takes no lock bytes has the image open for writing; who reads it hinders nobody. */
static void test_open_for_writing_elsewhere(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "s.fd");
    g_autoptr(GError) error = NULL;
    StoreTest t;

    make_blank(dir);
    open_image(&t, dir);
    for (int round = 0; round < 2; round++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        store_test_put(&t, "A", round ? "3" : "1");
        g_assert_true(t.store->ops->release(t.store, t.set, NULL));
        close(fd);

        fd = open(path, O_RDWR | O_CLOEXEC);
        g_clear_error(&error);
        g_assert_false(store_test_try(&t, "A", "2", &error));
        g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
        g_assert_nonnull(t.store->read_only_reason);
        g_assert_nonnull(t.store->lock_holder);
        close(fd);
        g_assert_false(t.store->ops->changed(t.store));
        g_assert_null(t.store->read_only_reason);
    }
    store_test_put(&t, "A", "4");
    store_test_drop(&t);
    open_image(&t, dir);
    store_test_expect(&t, "A", "4");
    store_test_drop(&t);
    scratch_free(dir);
}

static void test_in_place(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "s.fd"), *value = g_strnfill(30000, 'x');
    struct stat before, after;
    StoreTest t = {0};

    make_blank(dir);
    scratch_stat(dir, "s.fd", &before);
    t.store = uv_store_flash_open(uv_folder_new(AT_FDCWD, path, NULL),
                                  &(UvStoreOptions){.in_place = true}, NULL);
    store_test_reload(&t);
    for (int i = 0; i < 20; i++) { /* the log is full several times */
        value[0] = 'a' + i;
        store_test_put(&t, "A", value);
    }
    store_test_drop(&t);
    scratch_stat(dir, "s.fd", &after);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    open_image(&t, dir);
    store_test_expect(&t, "A", value);
    store_test_drop(&t);
    scratch_free(dir);
}

/* What is compacted or released is as it was left; what is written after that is not. */
static void test_left(void)
{
    char *dir = scratch_new();
    StoreTest t;

    make_blank(dir);
    open_image(&t, dir);
    store_test_put(&t, "A", "1");
    g_assert_true(t.store->ops->compact(t.store, t.set, NULL));
    store_test_drop(&t);
    open_image(&t, dir);
    g_assert_null(t.store->left);
    store_test_put(&t, "A", "2");
    g_assert_true(t.store->ops->release(t.store, t.set, NULL));
    store_test_drop(&t);
    open_image(&t, dir);
    g_assert_null(t.store->left);
    store_test_put(&t, "A", "3"); /* and nothing after that, as by one that is killed */
    store_test_drop(&t);
    open_image(&t, dir);
    g_assert_nonnull(t.store->left);
    g_assert_cmpuint(g_hash_table_size(t.store->left->variables), ==, 1);
    store_test_drop(&t);
    scratch_free(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-flash/change-at-the-end-of-a-burst", test_change_at_the_end_of_a_burst);
    g_test_add_func("/store-flash/hidden-records", test_hidden_records);
    g_test_add_func("/store-flash/free-area-not-erased", test_free_area_not_erased);
    g_test_add_func("/store-flash/open-for-writing-elsewhere", test_open_for_writing_elsewhere);
    g_test_add_func("/store-flash/in-place", test_in_place);
    g_test_add_func("/store-flash/left", test_left);
    return g_test_run();
}
