/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "beneath.h"
#include "fd.h"
#include "scratch.h"
#include "stat-near.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

typedef struct {
    char *top;
    int fd; /* of it */
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->top = scratch_new();
    scratch_put(f->top, "folder/file", "content");
    scratch_put(f->top, "file", "more content");
    g_autofree char *link = scratch_path(f->top, "link");
    g_assert_cmpint(symlink("file", link), ==, 0);
    f->fd = open(f->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
    fs_beneath_stay(true);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    fs_beneath_stay(false);
    uv_fd_clear(&f->fd);
    scratch_free(f->top);
}

/* One call tells what two and a descriptor do, or that they are needed. */
static void test_same(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"file", "folder", "link", "none", "folder/file", "."};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        UvPinned pinned = UV_PINNED_NONE;
        struct stat st = {0};
        int result;
        const int expected = fs_beneath_pin(f->fd, names[i], &pinned);

        g_test_message("%s", names[i]);
        g_assert_cmpint(fs_beneath_stat(f->fd, names[i], &st), ==, expected);
        if (expected == 0)
            g_assert_cmpmem(&st, sizeof(st), &pinned.st, sizeof(st));
        if (strchr(names[i], '/'))
            g_assert_false(uv_stat_near(f->fd, names[i], &st, &result));
        uv_fd_clear(&pinned.fd);
    }
}

/* Whoever stays is not led away, also by a file system that is near. */
static void test_mounted(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"file", "folder"};
    struct stat st;
    int result;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        g_test_skip("who may mount tests this");
        return;
    }
    uv_fd_clear(&f->fd); /* of the mounts as they were */
    f->fd = open(f->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = scratch_path(f->top, names[i]);
        g_assert_cmpint(mount(path, path, NULL, MS_BIND, NULL), ==, 0);
        g_assert_cmpint(fs_beneath_stat(f->fd, names[i], &st), ==, -EXDEV);
        if (uv_stat_near(f->fd, names[i], &st, &result))
            g_assert_cmpint(result, ==, -EXDEV);
        g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
        g_assert_cmpint(fs_beneath_stat(f->fd, names[i], &st), ==, 0);
    }
}

/* What a server may answer is left to who may wait for it. */
static void test_not_near(Fixture *f, gconstpointer data)
{
    uv_autofd int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    int result;

    g_assert_false(uv_stat_near(fd, "stat", &st, &result));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/stat-near/same", Fixture, NULL, set_up, test_same, tear_down);
    g_test_add("/stat-near/mounted", Fixture, NULL, set_up, test_mounted, tear_down);
    g_test_add("/stat-near/not-near", Fixture, NULL, set_up, test_not_near, tear_down);
    return g_test_run();
}
