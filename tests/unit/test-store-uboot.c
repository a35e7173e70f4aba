/* SPDX-License-Identifier: GPL-2.0-or-later */

/* U-Boot's file as a store: read, watched, and never written to. */

#include "bytes.h"
#include "digest.h"
#include "scratch.h"
#include "storetest.h"
#include "uboot-file.h"

#include <fcntl.h>
#include <string.h>

#define HEADER_BYTES 24u
#define NAME "ubootefi.var"
#define VOLATILE 2u /* EFI_VARIABLE_BOOTSERVICE_ACCESS alone */

typedef struct {
    char *dir;
    StoreTest t;
} Fixture;

static void add(UvWriter *file, char name, const char *data, uint32_t attributes)
{
    uv_write_u32(file, strlen(data));
    uv_write_u32(file, attributes);
    uv_write_u64(file, 0);
    uv_write_zeros(file, 15);
    uv_write_bytes(file, "g", 1);
    uv_write_u16(file, name);
    uv_write_u16(file, 0);
    uv_write_bytes(file, data, strlen(data));
    uv_write_zeros(file, -uv_writer_size(file) % 8);
}

/* A file with these data of A, and a volatile variable. */
static void write_file(const Fixture *f, const char *data)
{
    g_autofree char *path = scratch_path(f->dir, NAME);
    g_auto(UvWriter) file = uv_writer(4096);

    uv_write_u64(&file, 0);
    uv_write_bytes(&file, UV_UBOOT_MAGIC "\1", 8);
    uv_write_u64(&file, 0);
    add(&file, 'A', data, 7);
    add(&file, 'V', "gone", VOLATILE);
    const size_t size = uv_writer_size(&file);
    uv_write_u32_at(&file, 16, size);
    uv_write_u32_at(
        &file, 20,
        uv_crc(0xedb88320u, UINT32_MAX, 0, file.bytes + HEADER_BYTES, size - HEADER_BYTES));
    g_assert_true(g_file_set_contents(path, (const char *)file.bytes, size, NULL));
}

static void set_up(Fixture *f, const void *unused)
{
    f->dir = scratch_new();
    write_file(f, "one");
    UvStoreOptions options = {.format = "uboot"};
    g_autofree char *path = scratch_path(f->dir, NAME);
    g_autoptr(GError) error = NULL;
    UvFolder *folder = uv_folder_new(AT_FDCWD, path, &error);
    g_assert_no_error(error);
    f->t = (StoreTest){.store = uv_store_open(folder, &options, &error)};
    g_assert_no_error(error);
    store_test_reload(&f->t);
}

static void tear_down(Fixture *f, const void *unused)
{
    store_test_drop(&f->t);
    scratch_free(f->dir);
}

static void test_read(Fixture *f, const void *unused)
{
    g_assert_cmpstr(f->t.store->ops->format, ==, "uboot");
    g_assert_cmpuint(uv_varset_count(f->t.set), ==, 1);
    g_assert_true(store_test_warned(&f->t, "volatile variables (1)"));
    g_assert_nonnull(f->t.store->read_only_reason);
}

static void refused(GError *error)
{
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY);
    g_assert_nonnull(strstr(error->message, "which is only read"));
    g_error_free(error);
}

static void test_never_written(Fixture *f, const void *unused)
{
    g_autoptr(GBytes) before = scratch_read(f->dir, NAME);
    const UvStoreOps *ops = f->t.store->ops;
    GError *error = NULL;

    g_assert_false(store_test_try(&f->t, "A", "two", &error));
    refused(g_steal_pointer(&error));
    g_assert_false(ops->replace(f->t.store, f->t.set, &error));
    refused(g_steal_pointer(&error));
    g_assert_false(ops->keep_before_load(f->t.store, &error));
    refused(g_steal_pointer(&error));
    /* It is complete, and nothing is due. */
    g_assert_cmpint(ops->due(f->t.store), ==, 0);
    g_assert_true(ops->tick(f->t.store, f->t.set, &error));
    g_assert_true(ops->compact(f->t.store, f->t.set, &error));
    g_assert_true(ops->release(f->t.store, f->t.set, &error));
    g_assert_true(ops->acquire(f->t.store, &error));
    g_autoptr(GBytes) after = scratch_read(f->dir, NAME);
    g_assert_true(g_bytes_equal(before, after));
}

static void test_changed(Fixture *f, const void *unused)
{
    const UvStoreOps *ops = f->t.store->ops;
    g_autoptr(GError) error = NULL;

    g_assert_false(ops->changed(f->t.store));
    write_file(f, "another");
    g_assert_true(ops->changed(f->t.store));
    g_assert_false(ops->acquire(f->t.store, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED);
    store_test_reload(&f->t);
    g_assert_false(ops->changed(f->t.store));
    g_clear_error(&error);
    g_assert_true(ops->acquire(f->t.store, &error));
    /* Away: U-Boot may be about to write it anew. */
    scratch_remove(f->dir, NAME);
    g_assert_false(ops->changed(f->t.store));
    GPtrArray *variables;
    g_assert_false(ops->load(f->t.store, &variables, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    scratch_write(f->dir, NAME, "no such file");
    g_assert_false(ops->load(f->t.store, &variables, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE);
    write_file(f, "one");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/store-uboot/read", Fixture, NULL, set_up, test_read, tear_down);
    g_test_add("/store-uboot/never-written", Fixture, NULL, set_up, test_never_written, tear_down);
    g_test_add("/store-uboot/changed", Fixture, NULL, set_up, test_changed, tear_down);
    return g_test_run();
}
