/* SPDX-License-Identifier: GPL-2.0-or-later */

/* How QEMU's module finds the engine of a store, in a folder of the test's own. */

#include "by-store.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "scratch.h"

typedef struct {
    char *folder, *store;
} Fixture;

static void set_up(Fixture *f, const void *unused)
{
    f->folder = scratch_new();
    f->store = scratch_path(f->folder, "guest.json");
    g_setenv("UEFIVARS_BY_STORE", f->folder, TRUE);
}

static void tear_down(Fixture *f, const void *unused)
{
    g_unsetenv("UEFIVARS_BY_STORE");
    scratch_free(f->folder);
    g_free(f->store);
}

/* Where `path` has its entry. */
static char *entry_of(const Fixture *f, const char *path, const char *suffix)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, path, -1);

    return g_strdup_printf("%s/%.16s%s", f->folder, hex, suffix);
}

static int listen_at(const char *path, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(fd, backlog), ==, 0);
    return fd;
}

/* Also for a store that is not there yet, and one behind a link. */
static void test_found(Fixture *f, const void *unused)
{
    g_autofree char *path = entry_of(f, f->store, ".sock"), *found = NULL, *again = NULL;
    g_autofree char *link = scratch_path(f->folder, "link.json"), *by_link = NULL;
    uv_autofd int fd = listen_at(path, 8);

    g_assert_cmpint(fd, >=, 0);
    found = glue_by_store_find(f->store);
    g_assert_cmpstr(found, ==, path);
    scratch_write(f->folder, "guest.json", "");
    again = glue_by_store_find(f->store);
    g_assert_cmpstr(again, ==, path);
    g_assert_cmpint(symlink("guest.json", link), ==, 0);
    by_link = glue_by_store_find(link);
    g_assert_cmpstr(by_link, ==, path);
}

/* An engine that can't take another connection now is there all the same. */
static void test_busy(Fixture *f, const void *unused)
{
    g_autofree char *path = entry_of(f, f->store, ".sock");
    uv_autofd int fd = listen_at(path, 0);

    g_assert_cmpint(fd, >=, 0);
    for (int i = 0; i < 3; i++) {
        g_autofree char *each = glue_by_store_find(f->store);

        g_assert_cmpstr(each, ==, path);
    }
}

static void test_none(Fixture *f, const void *unused)
{
    g_autofree char *far = scratch_path(f->folder, "no/folder/guest.json");
    g_autofree char *path = entry_of(f, f->store, ".sock"), *very_long = g_strnfill(200, 'x');

    g_assert_null(glue_by_store_find(f->store));
    g_assert_null(glue_by_store_find(far));
    {
        uv_autofd int fd = listen_at(path, 8);
        g_assert_cmpint(fd, >=, 0);
    }
    g_assert_null(glue_by_store_find(f->store)); /* its name is there, but no engine */
    g_setenv("UEFIVARS_BY_STORE", very_long, TRUE);
    g_assert_null(glue_by_store_find(f->store));
    g_unsetenv("UEFIVARS_BY_STORE"); /* where packages look */
    g_assert_null(glue_by_store_find(f->store));
}

/* The folder that it or its folder lies in is served. */
static void serve(const Fixture *f, const char *folder)
{
    g_autofree char *entry = entry_of(f, folder, ".folder");

    g_assert_true(g_file_set_contents(entry, "", 0, NULL));
}

static gpointer listen_later(gpointer path)
{
    g_usleep(100 * 1000);
    return GINT_TO_POINTER(listen_at(path, 8));
}

/* Its folder is served, so its engine may be on its way: it is waited for. */
static void test_comes(Fixture *f, const void *unused)
{
    g_autofree char *path = entry_of(f, f->store, ".sock"), *found = NULL;
    GThread *thread;

    serve(f, f->folder);
    thread = g_thread_new("engine", listen_later, path);
    found = glue_by_store_find(f->store);
    g_assert_cmpstr(found, ==, path);
    uv_autofd int fd = GPOINTER_TO_INT(g_thread_join(thread));
    g_assert_cmpint(fd, >=, 0);
}

static void test_does_not_come(Fixture *f, const void *unused)
{
    g_autofree char *above = g_path_get_dirname(f->folder);
    const gint64 start = g_get_monotonic_time();

    serve(f, above);
    g_assert_null(glue_by_store_find(f->store));
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 2900000);
}

#define ADD(name, function)                                                                        \
    g_test_add("/by-store/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("found", test_found);
    ADD("busy", test_busy);
    ADD("none", test_none);
    ADD("comes", test_comes);
    ADD("does-not-come", test_does_not_come);
    return g_test_run();
}
