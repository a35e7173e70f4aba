/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Names of a folder are believed while it is as it was when they were read, and no longer. */

#include "names.h"

#include "beneath.h"
#include "fd.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* Longer than a tick of the clock that times are taken from. */
#define TICK_US (50 * 1000)

typedef struct {
    char *top;
    int fd; /* of it */
    UvNames *names;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->top = scratch_new();
    scratch_put(f->top, "there", "");
    f->fd = open(f->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
    g_usleep(TICK_US);
    f->names = uv_names_new(f->fd);
    if (f->names)
        uv_names_add(f->names, "there");
    fs_beneath_stay(true);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    fs_beneath_know(-1, NULL);
    fs_beneath_stay(false);
    uv_names_free(f->names);
    uv_fd_clear(&f->fd);
    scratch_free(f->top);
}

static bool is_noted(const Fixture *f)
{
    if (!f->names)
        g_test_skip("the folder is in a file system that may have a server");
    return f->names;
}

static void test_absent(Fixture *f, gconstpointer data)
{
    UvPinned pinned = UV_PINNED_NONE;
    struct stat st;

    if (!is_noted(f))
        return;
    g_assert_true(uv_names_serve(f->names, f->fd));
    g_assert_true(uv_names_may_have(f->names, "there"));
    g_assert_false(uv_names_may_have(f->names, "none"));
    /* What is said of a folder is believed: only so it can be seen here. */
    scratch_put(f->top, "secret", "");
    scratch_put(f->top, "there2/secret", "");
    fs_beneath_know(f->fd, f->names);
    g_assert_cmpint(fs_beneath_stat(f->fd, "secret", &st), ==, -ENOENT);
    g_assert_cmpint(fs_beneath_pin(f->fd, "secret", &pinned), ==, -ENOENT);
    g_assert_cmpint(fs_beneath_stat(f->fd, "there", &st), ==, 0);
    g_assert_cmpint(fs_beneath_stat(f->fd, ".", &st), ==, 0);
    g_assert_cmpint(fs_beneath_stat(f->fd, "there2/secret", &st), ==, 0);
    uv_autofd int made = fs_beneath_open(f->fd, "made", O_RDWR | O_CREAT, 0600);
    g_assert_cmpint(made, >=, 0);
    fs_beneath_know(-1, NULL);
    g_assert_cmpint(fs_beneath_stat(f->fd, "secret", &st), ==, 0);
}

static void test_changed(Fixture *f, gconstpointer data)
{
    g_autofree char *there = scratch_path(f->top, "there"), *new = scratch_path(f->top, "new");
    const struct timespec later = {.tv_sec = g_get_real_time() / G_USEC_PER_SEC + 3600};

    if (!is_noted(f))
        return;
    g_assert_cmpint(truncate(there, 1), ==, 0); /* which changes no name */
    g_assert_true(uv_names_serve(f->names, f->fd));
    g_assert_cmpint(g_rename(there, new), ==, 0);
    g_assert_false(uv_names_serve(f->names, f->fd));
    /* What may still be changed within the same tick of the clock is not noted. */
    g_assert_cmpint(utimensat(AT_FDCWD, f->top, (struct timespec[]){later, later}, 0), ==, 0);
    g_assert_null(uv_names_new(f->fd));
}

static void test_another_folder(Fixture *f, gconstpointer data)
{
    uv_autofd int other = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    uv_autofd int served = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

    g_assert_false(uv_names_serve(f->names, other));
    g_assert_false(uv_names_serve(NULL, f->fd));
    g_assert_null(uv_names_new(served));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/names/absent", Fixture, NULL, set_up, test_absent, tear_down);
    g_test_add("/names/changed", Fixture, NULL, set_up, test_changed, tear_down);
    g_test_add("/names/another-folder", Fixture, NULL, set_up, test_another_folder, tear_down);
    return g_test_run();
}
