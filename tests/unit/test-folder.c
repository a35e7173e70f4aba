/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Folders, directly and through the keeper; every test runs both ways. */

#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "filelock.h"
#include "scratch.h"

typedef struct {
    char *dir;
    UvFolder *folder;
} Fixture;

static void set_up(Fixture *f, gconstpointer keeper)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;

    f->dir = scratch_new();
    path = g_build_filename(f->dir, "vars.json", NULL);
    f->folder = uv_folder_new(AT_FDCWD, path, &error);
    g_assert_no_error(error);
    if (keeper)
        g_assert_true(uv_folder_fork_keeper(f->folder, NULL, NULL, &error));
}

static void tear_down(Fixture *f, gconstpointer keeper)
{
    uv_folder_free(f->folder);
    scratch_free(f->dir);
}

static int open_ok(Fixture *f, UvFileRole role, int flags)
{
    g_autoptr(GError) error = NULL;
    int fd = uv_folder_open(f->folder, role, flags, &error);

    g_assert_no_error(error);
    g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
    return fd;
}

static void refused(Fixture *f, UvFileRole role, int flags, int code)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(uv_folder_open(f->folder, role, flags, &error), ==, -1);
    g_assert_error(error, G_FILE_ERROR, code);
}

static void test_absent(Fixture *f, gconstpointer keeper)
{
    struct stat st;
    g_autoptr(GError) error = NULL;

    refused(f, UV_FILE_STORE, O_RDONLY, G_FILE_ERROR_NOENT);
    refused(f, UV_FILE_JOURNAL, O_RDWR, G_FILE_ERROR_NOENT);
    g_assert_false(uv_folder_stat(f->folder, UV_FILE_LOCK, &st, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    g_assert_true(uv_folder_unlink(f->folder, UV_FILE_JOURNAL, NULL));
    g_assert_false(scratch_exists(f->dir, ".uefivarsfs")); /* looking makes nothing */
}

static void test_sidecars(Fixture *f, gconstpointer keeper)
{
    struct stat st;

    close(open_ok(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT));
    g_assert_true(scratch_exists(f->dir, ".uefivarsfs/vars.json.journal"));
    scratch_stat(f->dir, ".uefivarsfs", &st);
    g_assert_cmpint(st.st_mode & 07777, ==, 0700);
    g_assert_true(uv_folder_stat(f->folder, UV_FILE_JOURNAL, &st, NULL));
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_assert_true(g_str_has_suffix(uv_folder_path(f->folder, UV_FILE_JOURNAL),
                                   "/.uefivarsfs/vars.json.journal"));
}

static void test_removed_sidecars(Fixture *f, gconstpointer keeper)
{
    close(open_ok(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT));
    scratch_remove(f->dir, ".uefivarsfs");
    close(open_ok(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT));
    g_assert_true(scratch_exists(f->dir, ".uefivarsfs/vars.json.journal"));
}

static void test_publish(Fixture *f, gconstpointer keeper)
{
    int fd = open_ok(f, UV_FILE_TEMP, O_RDWR | O_CREAT);

    g_assert_cmpint(write(fd, "new", 3), ==, 3);
    close(fd);
    scratch_write(f->dir, "vars.json", "old");
    g_assert_true(uv_folder_rename(f->folder, UV_FILE_TEMP, UV_FILE_STORE, NULL));
    scratch_expect(f->dir, "vars.json", "new");
}

static void test_conflicts(Fixture *f, gconstpointer keeper)
{
    for (int i = 1; i <= 3; i++) {
        g_autofree char *name = g_strdup_printf(".uefivarsfs/vars.json.journal.conflict-%d", i);

        close(open_ok(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT));
        g_assert_true(uv_folder_rename(f->folder, UV_FILE_JOURNAL, UV_FILE_CONFLICT, NULL));
        g_assert_true(scratch_exists(f->dir, name));
        g_assert_true(g_str_has_suffix(uv_folder_path(f->folder, UV_FILE_CONFLICT), name));
    }
}

/* An engine that was taken over must not fill the disk with what nobody ever deletes. */
static void test_conflicts_end(Fixture *f, gconstpointer keeper)
{
    g_autoptr(GError) error = NULL;
    int n, fd;

    for (n = 0; n < 100; n++) {
        g_clear_error(&error);
        close(open_ok(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT));
        if (!uv_folder_rename(f->folder, UV_FILE_JOURNAL, UV_FILE_CONFLICT, &error))
            break;
    }
    g_assert_cmpint(n, ==, 16);
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC);
    g_assert_true(scratch_exists(f->dir, ".uefivarsfs/vars.json.journal"));

    /* Somebody looked at them. By size, only the first may be as large as it is. */
    for (n = 1; n <= 16; n++) {
        g_autofree char *name = g_strdup_printf(".uefivarsfs/vars.json.journal.conflict-%d", n);
        scratch_remove(f->dir, name);
    }
    for (n = 0; n < 100; n++) {
        fd = open_ok(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT);
        g_assert_cmpint(ftruncate(fd, n == 0 ? 65 << 20 : 4), ==, 0);
        close(fd);
        if (!uv_folder_rename(f->folder, UV_FILE_JOURNAL, UV_FILE_CONFLICT, NULL))
            break;
    }
    g_assert_cmpint(n, ==, 1);
}

static void test_not_allowed(Fixture *f, gconstpointer keeper)
{
    scratch_write(f->dir, "vars.json", "kept");
    refused(f, UV_FILE_STORE, O_RDWR | O_TRUNC, G_FILE_ERROR_PERM);
    refused(f, UV_FILE_CONFLICT, O_RDWR, G_FILE_ERROR_PERM);
    refused(f, 99, O_RDWR, G_FILE_ERROR_PERM);
    refused(f, UV_FILE_JOURNAL, O_RDWR | O_TMPFILE, G_FILE_ERROR_PERM);
    g_assert_false(uv_folder_unlink(f->folder, UV_FILE_STORE, NULL));
    close(open_ok(f, UV_FILE_LOCK, O_RDWR | O_CREAT)); /* it goes with its store only */
    g_assert_false(uv_folder_unlink(f->folder, UV_FILE_LOCK, NULL));
    g_assert_false(uv_folder_rename(f->folder, UV_FILE_STORE, UV_FILE_TEMP, NULL));
    g_assert_false(uv_folder_rename(f->folder, UV_FILE_LOCK, UV_FILE_STORE, NULL));
    scratch_expect(f->dir, "vars.json", "kept");
}

static void test_planted_files(Fixture *f, gconstpointer keeper)
{
    g_autofree char *target = g_build_filename(f->dir, "victim", NULL);
    g_autofree char *journal = g_build_filename(f->dir, ".uefivarsfs/vars.json.journal", NULL);
    g_autofree char *lock = g_build_filename(f->dir, ".uefivarsfs/vars.json.lock", NULL);
    g_autofree char *temp = g_build_filename(f->dir, ".uefivarsfs/vars.json.tmp", NULL);

    close(open_ok(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT));
    g_assert_cmpint(g_unlink(journal), ==, 0);
    scratch_write(f->dir, "victim", "precious");
    g_assert_cmpint(symlink(target, journal), ==, 0);
    g_assert_cmpint(mkfifo(lock, 0600), ==, 0);
    g_assert_cmpint(link(target, temp), ==, 0);
    refused(f, UV_FILE_JOURNAL, O_RDWR | O_CREAT, G_FILE_ERROR_LOOP);
    refused(f, UV_FILE_LOCK, O_RDWR | O_CREAT, G_FILE_ERROR_INVAL);
    close(open_ok(f, UV_FILE_TEMP, O_RDWR | O_CREAT)); /* a new file, not the link's */
    scratch_expect(f->dir, "victim", "precious");
}

static void test_symlinked_store(void)
{
    char *dir = scratch_new();
    g_autofree char *link_path = g_build_filename(dir, "link.json", NULL);
    g_autofree char *sub = g_build_filename(dir, "sub", NULL);
    g_autoptr(UvFolder) folder = NULL;
    g_autoptr(GError) error = NULL;
    int dir_fd;

    g_assert_cmpint(g_mkdir(sub, 0700), ==, 0);
    g_assert_cmpint(symlink("sub/real.json", link_path), ==, 0);
    folder = uv_folder_new(AT_FDCWD, link_path, &error); /* also while it dangles */
    g_assert_no_error(error);
    close(uv_folder_open(folder, UV_FILE_STORE, O_RDWR | O_CREAT, &error));
    g_assert_no_error(error);
    close(uv_folder_open(folder, UV_FILE_LOCK, O_RDWR | O_CREAT, &error));
    g_assert_true(scratch_exists(dir, "sub/real.json"));
    g_assert_true(scratch_exists(dir, "sub/.uefivarsfs/real.json.lock"));
    g_clear_pointer(&folder, uv_folder_free);

    dir_fd = open(dir, O_PATH | O_DIRECTORY);
    folder = uv_folder_new(dir_fd, "link.json", &error);
    g_assert_no_error(error);
    g_assert_cmpint(uv_folder_open(folder, UV_FILE_STORE, O_RDWR, &error), ==, -1);
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_LOOP);
    close(dir_fd);
    scratch_free(dir);
}

static void test_bad_paths(void)
{
    static const char *const paths[] = {"", "/", ".", "..", "dir/", "/nowhere/at/all/x.json"};

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
        g_assert_null(uv_folder_new(AT_FDCWD, paths[i], NULL));
    int fd = open("/tmp", O_PATH | O_DIRECTORY);
    g_assert_null(uv_folder_new(fd, "a/b", NULL));
    close(fd);
}

/* The keeper shares the lock: it is free only when both have ended. */
static void test_keeper_holds_lock(Fixture *f, gconstpointer keeper)
{
    int fd = open_ok(f, UV_FILE_LOCK, O_RDWR | O_CREAT), other = open_ok(f, UV_FILE_LOCK, O_RDWR);
    void *data;
    int keeper_pid;

    /* `other` was opened last: let the keeper share the first one again. */
    close(other);
    close(fd);
    fd = open_ok(f, UV_FILE_LOCK, O_RDWR);
    g_assert_cmpint(uv_filelock_take(fd, 0), ==, 0);
    close(fd);
    other = open(uv_folder_path(f->folder, UV_FILE_LOCK), O_RDWR | O_CLOEXEC);
    g_assert_cmpint(uv_filelock_take(other, 50), ==, -EAGAIN);
    g_assert_true(uv_folder_ops(f->folder, &data) == &uv_keeper_ops);
    keeper_pid = uv_keeper_pid(data);
    kill(keeper_pid, SIGKILL);
    g_assert_cmpint(uv_filelock_take(other, UV_FILELOCK_WAIT_MS), ==, 0);
    refused(f, UV_FILE_LOCK, O_RDWR, G_FILE_ERROR_IO); /* nobody left to ask */
    close(other);
}

static void test_keeper_ends_with_us(Fixture *f, gconstpointer keeper)
{
    g_autofree char *path = NULL, *text = NULL;
    void *data;

    uv_folder_ops(f->folder, &data);
    path = g_strdup_printf("/proc/%d/cmdline", uv_keeper_pid(data));
    close(open_ok(f, UV_FILE_LOCK, O_RDWR | O_CREAT));
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "uv-keeper");
    g_clear_pointer(&f->folder, uv_folder_free);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void *close_soon(void *fd)
{
    g_usleep(50000);
    close(GPOINTER_TO_INT(fd));
    return NULL;
}

static void test_sharing(Fixture *f, gconstpointer keeper)
{
    int fd = open_ok(f, UV_FILE_STORE, O_RDWR | O_CREAT), other;

    if (uv_filelock_sharing(fd) == UV_FILELOCK_UNKNOWN) {
        g_test_skip("no leases on this file system");
        close(fd);
        return;
    }
    g_assert_cmpint(uv_filelock_sharing(fd), ==, UV_FILELOCK_ALONE);
    other = open(uv_folder_path(f->folder, UV_FILE_STORE), O_RDWR | O_CLOEXEC);
    g_assert_cmpint(uv_filelock_sharing(fd), ==, UV_FILELOCK_SHARED);
    close(other);
    g_assert_cmpint(uv_filelock_sharing(fd), ==, UV_FILELOCK_ALONE);
    close(fd);
    /* Somebody who reads only minds other writers, not other readers. */
    fd = open_ok(f, UV_FILE_STORE, O_RDONLY);
    other = open(uv_folder_path(f->folder, UV_FILE_STORE), O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(uv_filelock_sharing(fd), ==, UV_FILELOCK_ALONE);
    close(other);
    other = open(uv_folder_path(f->folder, UV_FILE_STORE), O_RDWR | O_CLOEXEC);
    g_assert_cmpint(uv_filelock_sharing(fd), ==, UV_FILELOCK_SHARED);
    g_assert_cmpint(uv_filelock_settled(fd, 30), ==, UV_FILELOCK_SHARED);
    GThread *closes = g_thread_new("closes", close_soon, GINT_TO_POINTER(other));
    g_assert_cmpint(uv_filelock_settled(fd, 60000), ==, UV_FILELOCK_ALONE);
    g_thread_join(closes);
    close(fd);
}

typedef void (*Test)(Fixture *, gconstpointer);

static void add(const char *name, Test test, bool direct, bool keeper)
{
    g_autofree char *direct_path = g_strdup_printf("/folder/direct/%s", name);
    g_autofree char *keeper_path = g_strdup_printf("/folder/keeper/%s", name);

    if (direct)
        g_test_add(direct_path, Fixture, NULL, set_up, test, tear_down);
    if (keeper)
        g_test_add(keeper_path, Fixture, "keeper", set_up, test, tear_down);
}

/* Through the store's descriptor alone, where nothing lies beside it. */
static void test_held(void)
{
    Fixture f;
    struct stat st;

    set_up(&f, NULL);
    g_assert_false(uv_folder_hold(f.folder)); /* there is no store */
    close(open_ok(&f, UV_FILE_STORE, O_RDWR | O_CREAT));
    close(open_ok(&f, UV_FILE_LOCK, O_RDWR | O_CREAT));
    g_assert_false(uv_folder_hold(f.folder));
    g_assert_true(uv_folder_stat(f.folder, UV_FILE_LOCK, &st, NULL)); /* it goes on as it did */
    scratch_remove(f.dir, ".uefivarsfs/vars.json.lock");
    g_assert_true(uv_folder_hold(f.folder));
    g_assert_cmpint(uv_folder_keeper_fd(f.folder), ==, -1);

    close(open_ok(&f, UV_FILE_STORE, O_RDONLY));
    refused(&f, UV_FILE_STORE, O_RDWR, G_FILE_ERROR_ROFS);
    refused(&f, UV_FILE_JOURNAL, O_RDONLY, G_FILE_ERROR_NOENT);
    refused(&f, UV_FILE_JOURNAL, O_RDWR | O_CREAT, G_FILE_ERROR_ROFS);
    g_assert_false(uv_folder_rename(f.folder, UV_FILE_TEMP, UV_FILE_STORE, NULL));
    g_assert_false(uv_folder_unlink(f.folder, UV_FILE_JOURNAL, NULL));
    g_assert_false(uv_folder_stat(f.folder, UV_FILE_META, &st, NULL));
    g_assert_true(uv_folder_stat(f.folder, UV_FILE_STORE, &st, NULL));
    scratch_remove(f.dir, "vars.json"); /* now the name means another file, or none */
    g_assert_false(uv_folder_stat(f.folder, UV_FILE_STORE, &st, NULL));
    refused(&f, UV_FILE_STORE, O_RDONLY, G_FILE_ERROR_FAILED);
    tear_down(&f, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("absent", test_absent, true, true);
    add("sidecars", test_sidecars, true, true);
    add("removed-sidecars", test_removed_sidecars, true, true);
    add("publish", test_publish, true, true);
    add("conflicts", test_conflicts, true, true);
    add("conflicts-end", test_conflicts_end, true, true);
    add("not-allowed", test_not_allowed, true, true);
    add("planted-files", test_planted_files, true, true);
    add("sharing", test_sharing, true, true);
    add("holds-lock", test_keeper_holds_lock, false, true);
    add("ends-with-us", test_keeper_ends_with_us, false, true);
    g_test_add_func("/folder/held", test_held);
    g_test_add_func("/folder/symlinked-store", test_symlinked_store);
    g_test_add_func("/folder/bad-paths", test_bad_paths);
    return g_test_run();
}
