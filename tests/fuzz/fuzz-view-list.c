/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A view's list from an engine that was taken over: what passes can be walked, and each name in it
 * can be a file's. */

#include "fuzz.h"

#include <string.h>
#include <sys/stat.h>

#include "view-list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) list = g_bytes_new(data, size);
    FsViewWalk walk;
    FsViewEntry entry, found;

    if (!fs_view_list_check(list))
        return 0;
    fs_view_walk_init(&walk, list);
    while (fs_view_walk_next(&walk, &entry)) {
        g_autofree char *path = g_strndup(entry.path, entry.path_bytes);
        g_autofree char *parent = g_path_get_dirname(path);
        bool deeper;
        g_autofree char *name =
            fs_view_entry_name_in(&entry, strcmp(parent, ".") ? parent : "", &deeper);
        g_autofree char *top = fs_view_entry_name_in(&entry, "", &deeper);

        g_assert_true(S_ISREG(entry.mode) || S_ISDIR(entry.mode));
        g_assert_cmpuint(strlen(path), ==, entry.path_bytes);
        g_assert_nonnull(name);
        g_assert_true(g_str_has_prefix(path, top) && deeper == (strcmp(path, top) != 0));
        g_assert_true(*name && !strchr(name, '/') && strcmp(name, "..") && strcmp(name, "."));
        g_assert_true(fs_view_list_find(list, path, &found));
    }
    return 0;
}
