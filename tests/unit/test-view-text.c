/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is written to a file of a view, and when it is committed. */

#include "view-text.h"

#include <errno.h>
#include <string.h>

static void write_at(FsViewText *text, const char *piece, size_t offset, const char *whole)
{
    g_assert_cmpint(fs_view_text_write(text, piece, strlen(piece), offset, false), ==, 0);
    g_autoptr(GBytes) content = fs_view_text_content(text);
    g_assert_cmpmem(g_bytes_get_data(content, NULL), g_bytes_get_size(content), whole,
                    strlen(whole));
}

static void test_lines(void)
{
    g_autoptr(FsViewText) text = fs_view_text_new(NULL, false);

    write_at(text, "0001\n", 0, "0001\n");
    g_assert_false(fs_view_text_is_held(text));
    fs_view_text_committed(text);
    write_at(text, "0002\n", 5, "0001\n0002\n");
    write_at(text, "3\n", 0, "3\n"); /* begins anew */
    g_assert_cmpint(fs_view_text_write(text, "x", 1, 3, false), ==, EINVAL);
}

static void test_each_anew(void)
{
    g_autoptr(FsViewText) text = fs_view_text_new(NULL, true);

    write_at(text, "one", 0, "one");
    fs_view_text_committed(text);
    write_at(text, "two", 3, "two");
    fs_view_text_committed(text);
    g_assert_cmpint(fs_view_text_write(text, "+", 1, 0, true), ==, 0);
    g_autoptr(GBytes) content = fs_view_text_content(text);
    g_assert_cmpuint(g_bytes_get_size(content), ==, 1);
}

/* What was committed is not part of what follows; who goes back behind it begins anew. */
static void test_back(void)
{
    g_autoptr(FsViewText) text = fs_view_text_new(NULL, true);

    write_at(text, "one", 0, "one");
    fs_view_text_committed(text);
    write_at(text, "two", 3, "two");
    write_at(text, "x", 0, "x");
    fs_view_text_committed(text);
    write_at(text, "three", 6, "three");
    fs_view_text_truncate(text, 12); /* longer than it is */
    g_assert_cmpuint(fs_view_text_bytes(text), ==, 5);
    fs_view_text_truncate(text, 8);
    g_assert_cmpuint(fs_view_text_bytes(text), ==, 2);
    fs_view_text_truncate(text, 1);
    g_assert_cmpuint(fs_view_text_bytes(text), ==, 0);
    write_at(text, "y", 0, "y");
    write_at(text, "Y", 0, "Y"); /* the same piece again */
}

static void test_append(void)
{
    g_autoptr(GBytes) before = g_bytes_new_static("0001\n", 5);
    g_autoptr(FsViewText) text = fs_view_text_new(before, false);

    g_assert_false(fs_view_text_is_held(text));
    g_assert_cmpint(fs_view_text_write(text, "2\n", 2, 5, true), ==, 0);
    g_autoptr(GBytes) content = fs_view_text_content(text);
    g_assert_cmpmem(g_bytes_get_data(content, NULL), g_bytes_get_size(content), "0001\n2\n", 7);
}

static void test_held(void)
{
    g_autofree char *page = g_strnfill(4096, 'x');
    g_autoptr(FsViewText) text = fs_view_text_new(NULL, true);

    g_assert_cmpint(fs_view_text_write(text, page, 4096, 0, false), ==, 0);
    g_assert_true(fs_view_text_is_held(text));
    g_assert_cmpint(fs_view_text_write(text, page, 4095, 4096, false), ==, 0);
    g_assert_false(fs_view_text_is_held(text));
    fs_view_text_committed(text);
    g_assert_false(fs_view_text_is_held(text));
    g_assert_cmpint(fs_view_text_write(text, page, 4096, 8191, false), ==, 0);
    g_assert_true(fs_view_text_is_held(text));
    fs_view_text_truncate(text, 8191);
    g_assert_false(fs_view_text_is_held(text));
}

static void test_too_large(void)
{
    const size_t size = 1024 * 1024;
    g_autofree char *large = g_strnfill(size, 'x');
    g_autoptr(FsViewText) text = fs_view_text_new(NULL, false);

    g_assert_cmpint(fs_view_text_write(text, large, size, 0, false), ==, EFBIG);
    g_assert_cmpint(fs_view_text_write(text, large, size / 2, 0, false), ==, 0);
    g_assert_cmpint(fs_view_text_write(text, large, size / 2, size / 2, false), ==, EFBIG);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/view-text/lines", test_lines);
    g_test_add_func("/view-text/each-anew", test_each_anew);
    g_test_add_func("/view-text/back", test_back);
    g_test_add_func("/view-text/append", test_append);
    g_test_add_func("/view-text/held", test_held);
    g_test_add_func("/view-text/too-large", test_too_large);
    return g_test_run();
}
