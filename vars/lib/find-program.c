/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "find-program.h"

#include <glib.h>

char *uv_find_program(const char *const *places, const char *installed)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;

    for (; folder && *places; places++) {
        g_autofree char *program = g_canonicalize_filename(*places, folder);
        if (g_file_test(program, G_FILE_TEST_IS_REGULAR) &&
            g_file_test(program, G_FILE_TEST_IS_EXECUTABLE))
            return g_steal_pointer(&program);
    }
    return g_strdup(installed);
}
