/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The main of a fuzz target without libFuzzer: gives it every file of the folders (or the files)
 * named, each in an allocation of its exact size. An empty corpus is a failure. */

#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

static guint replay_file(const char *path)
{
    g_autofree char *text = NULL;
    gsize size;

    if (!g_file_get_contents(path, &text, &size, NULL)) {
        fprintf(stderr, "%s: can't be read\n", path);
        return 0;
    }
    uint8_t *exact = g_malloc(size ? size : 1);
    if (size)
        memcpy(exact, text, size);
    LLVMFuzzerTestOneInput(exact, size);
    g_free(exact);
    return 1;
}

static guint replay_folder(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    guint n = 0;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        n += replay_file(file);
    }
    return n;
}

int main(int argc, char **argv)
{
    guint n = 0;

    for (int i = 1; i < argc; i++)
        n += g_file_test(argv[i], G_FILE_TEST_IS_DIR) ? replay_folder(argv[i])
                                                      : replay_file(argv[i]);
    printf("%u inputs\n", n);
    return n > 0 ? 0 : 1;
}
