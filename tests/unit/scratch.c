/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "scratch.h"

#include <glib/gstdio.h>
#include <string.h>

char *scratch_new(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = g_dir_make_tmp("uefivars-test-XXXXXX", &error);

    g_assert_no_error(error);
    return dir;
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = NULL;
    const char *name;

    if (!g_file_test(path, G_FILE_TEST_IS_SYMLINK) && (dir = g_dir_open(path, 0, NULL))) {
        while ((name = g_dir_read_name(dir))) {
            g_autofree char *child = g_build_filename(path, name, NULL);
            remove_tree(child);
        }
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

void scratch_free(char *dir)
{
    remove_tree(dir);
    g_free(dir);
}

char *scratch_path(const char *dir, const char *name)
{
    return g_build_filename(dir, name, NULL);
}

void scratch_write(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = scratch_path(dir, name);
    g_autoptr(GError) error = NULL;

    g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error);
    g_assert_no_error(error);
}

void scratch_put(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = scratch_path(dir, name);
    g_autofree char *folder = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    scratch_write(dir, name, text);
}

GBytes *scratch_read(const char *dir, const char *name)
{
    g_autofree char *path = scratch_path(dir, name);
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    size_t size;

    g_file_get_contents(path, &text, &size, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(text, size);
}

void scratch_expect(const char *dir, const char *name, const char *text)
{
    g_autoptr(GBytes) found = scratch_read(dir, name);

    g_assert_cmpmem(g_bytes_get_data(found, NULL), g_bytes_get_size(found), text, strlen(text));
}

bool scratch_exists(const char *dir, const char *name)
{
    g_autofree char *path = scratch_path(dir, name);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

void scratch_stat(const char *dir, const char *name, struct stat *ret_stat)
{
    g_autofree char *path = scratch_path(dir, name);

    g_assert_cmpint(stat(path, ret_stat), ==, 0);
}

void scratch_remove(const char *dir, const char *name)
{
    g_autofree char *path = scratch_path(dir, name);

    remove_tree(path);
}
