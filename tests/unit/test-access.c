/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "access.h"

#include "fd.h"
#include "scratch.h"

#include <fcntl.h>
#include <glib/gstdio.h>

/* What may be known of the folders above may be so old. */
#define KNOWN_US (50 * 1000)

typedef struct {
    char *top;
    int fd; /* of top/above/source */
    UvAccessAbove above;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->top = scratch_new();
    g_chmod(f->top, 0755);
    scratch_put(f->top, "above/source/store", "");
    g_autofree char *above = scratch_path(f->top, "above");
    g_autofree char *source = scratch_path(f->top, "above/source");
    g_autofree char *store = scratch_path(f->top, "above/source/store");
    g_chmod(above, 0755);
    g_chmod(source, 0755);
    g_chmod(store, 0664);
    f->fd = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    uv_fd_clear(&f->fd);
    scratch_free(f->top);
}

static void look(Fixture *f, uint16_t *ret_reach, uint16_t *ret_access)
{
    struct stat folder, store;

    scratch_stat(f->top, "above/source", &folder);
    scratch_stat(f->top, "above/source/store", &store);
    uv_access_walk(f->fd, &folder, &f->above);
    *ret_reach = uv_access_of_folder(&f->above);
    *ret_access = uv_access_of_file(&f->above, -1, &store);
}

static void change(const Fixture *f, const char *name, mode_t mode)
{
    g_autofree char *path = scratch_path(f->top, name);

    g_assert_cmpint(g_chmod(path, mode), ==, 0);
}

static void test_folder_itself(Fixture *f, gconstpointer data)
{
    uint16_t reach, access;

    look(f, &reach, &access);
    g_assert_cmpint(reach, ==, 0755);
    g_assert_cmpint(access, ==, 0664);
    g_usleep(20 * 1000); /* a tick of the clock: the change has another time */
    change(f, "above/source", 0700);
    look(f, &reach, &access); /* at once */
    g_assert_cmpint(reach, ==, 0700);
    g_assert_cmpint(access, ==, 0600);
}

static void test_folder_above(Fixture *f, gconstpointer data)
{
    uint16_t reach, access;

    look(f, &reach, &access);
    change(f, "above", 0700);
    g_usleep(KNOWN_US);
    look(f, &reach, &access);
    g_assert_cmpint(reach, ==, 0700);
    g_assert_cmpint(access, ==, 0600);
    change(f, "above", 0705); /* its group has less than others */
    g_usleep(KNOWN_US);
    look(f, &reach, &access);
    g_assert_cmpint(reach, ==, 0705);
    g_assert_cmpint(access, ==, 0604);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/access/folder-itself", Fixture, NULL, set_up, test_folder_itself, tear_down);
    g_test_add("/access/folder-above", Fixture, NULL, set_up, test_folder_above, tear_down);
    return g_test_run();
}
