/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fleetfixture.h"

#include <glib/gstdio.h>

void fleet_fixture_set_up(FleetFixture *f, const char *program)
{
    f->top = g_dir_make_tmp("fleet-XXXXXX", NULL);
    f->source = g_build_filename(f->top, "source", NULL);
    f->sockdir = g_build_filename(f->top, "sock", NULL);
    f->mountpoint = g_build_filename(f->top, "mnt", NULL);
    f->program = g_strdup(program);
    g_mkdir(f->source, 0755);
    g_mkdir(f->mountpoint, 0755);
    f->options = (FsOptions){
        .source = f->source,
        .mountpoint = f->mountpoint,
        .sockdir = f->sockdir,
        .engines = 2,
        .idle_s = 60,
        .engine_path = f->program,
    };
    f->context = g_main_context_new();
    f->told = g_string_new(NULL);
}

void fleet_fixture_tear_down(FleetFixture *f, const void *data)
{
    if (f->fleet) {
        fs_fleet_stop(f->fleet);
        fs_fleet_free(f->fleet);
    }
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->top);
    g_assert_cmpint(system(command), ==, 0);
    g_main_context_unref(f->context);
    g_string_free(f->told, TRUE);
    g_free(f->top);
    g_free(f->source);
    g_free(f->sockdir);
    g_free(f->mountpoint);
    g_free(f->program);
}

void fleet_fixture_put(const FleetFixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->source, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    g_mkdir_with_parents(folder, 0755);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}
