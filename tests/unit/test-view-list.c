/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The list of a view as an engine sends it. */

#include "view-list.h"

#include <string.h>
#include <sys/stat.h>

typedef struct {
    UvWriter writer;
    uint32_t count;
} Making;

static void add(Making *making, uint32_t mode, const char *path)
{
    if (making->count == 0)
        making->writer = uv_writer(65536);
    if (making->count++ == 0)
        uv_write_u32(&making->writer, 0);
    uv_write_u32(&making->writer, mode);
    uv_write_u64(&making->writer, strlen(path));
    uv_write_u16(&making->writer, (uint16_t)strlen(path));
    uv_write_bytes(&making->writer, path, strlen(path));
}

static GBytes *finish(Making *making)
{
    uv_write_u32_at(&making->writer, 0, making->count);
    return uv_writer_steal(&making->writer);
}

static bool is_good(uint32_t mode, const char *path)
{
    Making making = {0};

    add(&making, S_IFREG | 0644, "first");
    add(&making, mode, path);
    g_autoptr(GBytes) list = finish(&making);
    return fs_view_list_check(list);
}

static void test_check(void)
{
    g_autofree char *longest = g_strnfill(255, 'x'), *longer = g_strnfill(256, 'x');

    g_assert_true(is_good(S_IFREG, "a/b c"));
    g_assert_true(is_good(S_IFDIR | 0755, "\xc3\xa4/.../x"));
    g_assert_true(is_good(S_IFREG, longest));
    g_assert_false(is_good(S_IFREG, longer));
    g_assert_false(is_good(S_IFLNK | 0777, "a"));
    for (const char *const *bad =
             (const char *const[]){"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\nb",
                                   "\x7f", "\xff", "\xed\xa0\x80", NULL};
         *bad; bad++)
        g_assert_false(is_good(S_IFREG, *bad));
}

static void test_counts(void)
{
    Making making = {0};

    add(&making, S_IFREG, "a");
    add(&making, S_IFREG, "b");
    g_autoptr(GBytes) list = finish(&making);
    g_autofree uint8_t *bytes = g_memdup2(g_bytes_get_data(list, NULL), g_bytes_get_size(list));
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(list, 0, g_bytes_get_size(list) - 1);
    g_autoptr(GBytes) none = g_bytes_new(NULL, 0);

    bytes[0] = 3;
    g_autoptr(GBytes) other = g_bytes_new(bytes, g_bytes_get_size(list));
    g_assert_true(fs_view_list_check(list));
    g_assert_false(fs_view_list_check(cut));
    g_assert_false(fs_view_list_check(other));
    g_assert_false(fs_view_list_check(none));
}

static void test_find(void)
{
    FsViewEntry entry;
    Making making = {0};

    add(&making, S_IFREG | 0444, "summary");
    add(&making, S_IFDIR | 0755, "PK");
    add(&making, S_IFREG | 0644, "PK/append");
    g_autoptr(GBytes) list = finish(&making);
    g_assert_true(fs_view_list_find(list, "PK/append", &entry));
    g_assert_cmpuint(entry.mode, ==, S_IFREG | 0644);
    g_assert_cmpuint(entry.size_bytes, ==, strlen("PK/append"));
    bool deeper;
    g_autofree char *name = fs_view_entry_name_in(&entry, "PK", &deeper);
    g_assert_cmpstr(name, ==, "append");
    g_assert_false(deeper);
    g_autofree char *in_view = fs_view_entry_name_in(&entry, "", &deeper);
    g_assert_cmpstr(in_view, ==, "PK");
    g_assert_true(deeper);
    g_assert_null(fs_view_entry_name_in(&entry, "", NULL));
    g_autofree char *itself = fs_view_entry_name_in(&entry, "PK", NULL);
    g_assert_cmpstr(itself, ==, "append");
    g_autofree char *not_in_other = fs_view_entry_name_in(&entry, "P", &deeper);
    g_assert_null(not_in_other);
    g_assert_true(fs_view_list_find(list, "PK", &entry));
    g_autofree char *folder = fs_view_entry_name_in(&entry, "", &deeper);
    g_assert_cmpstr(folder, ==, "PK");
    g_assert_false(deeper);
    g_assert_false(fs_view_list_find(list, "PK/", &entry));
    g_assert_false(fs_view_list_find(list, "P", &entry));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/view-list/check", test_check);
    g_test_add_func("/view-list/counts", test_counts);
    g_test_add_func("/view-list/find", test_find);
    return g_test_run();
}
