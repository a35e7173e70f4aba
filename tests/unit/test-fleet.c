/* SPDX-License-Identifier: GPL-2.0-or-later */

/* SOURCE and the registry of guests, as far as no engine is needed. */

#include "beneath.h"
#include "fleetfixture.h"
#include "open-source.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void set_up(FleetFixture *f, const void *data)
{
    fleet_fixture_set_up(f, "/nonexistent/uefivarsd");
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *names(FleetFixture *f)
{
    FsFleet *fleet = f->fleet;
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    FsGuest *guest;

    for (uint64_t after = 0; (guest = fs_fleet_next(fleet, after));
         after = fs_guest_sequence(guest))
        g_ptr_array_add(list, (void *)fs_guest_name(guest));
    qsort(list->pdata, list->len, sizeof(char *), compare);
    g_ptr_array_add(list, NULL);
    return g_strjoinv(" ", (char **)list->pdata);
}

static void test_naming(FleetFixture *f, const void *data)
{
    g_autofree char *too_long = g_strnfill(201, 'x'), *just = g_strnfill(200, 'y');
    g_autofree char *long_file = g_strconcat(too_long, ".json", NULL);
    g_autofree char *just_file = g_strconcat(just, ".json", NULL);

    fleet_fixture_put(f, "a.json", "");
    fleet_fixture_put(f, "b_VARS.json", "");
    fleet_fixture_put(f, "c.fd", "");
    fleet_fixture_put(f, "d_VARS.fd", "");
    fleet_fixture_put(f, "e_VARS.qcow2", "");
    fleet_fixture_put(f, "f/config.json", "{}");
    fleet_fixture_put(f, "g/vars.json", "");
    fleet_fixture_put(f, "h/vars.fd", "");
    fleet_fixture_put(f, "i/other", "");
    fleet_fixture_put(f, "j.qcow2", "");
    fleet_fixture_put(f, "k.config.json", "");
    fleet_fixture_put(f, ".l.json", "");
    fleet_fixture_put(f, "_VARS.json", "");
    fleet_fixture_put(f, "m.txt", "");
    fleet_fixture_put(f, long_file, "");
    fleet_fixture_put(f, just_file, "");
    g_autofree char *link = g_build_filename(f->source, "n.json", NULL);
    g_assert_cmpint(symlink("a.json", link), ==, 0);
    fleet_fixture_start(f, NULL);
    g_autofree char *found = names(f);
    g_autofree char *expected =
        g_strdup_printf("_VARS a b c d e f g h%s %s", geteuid() == 0 ? " n" : "", just);
    g_assert_cmpstr(found, ==, expected);
}

static void test_precedence(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "a_VARS.qcow2", "");
    fleet_fixture_put(f, "a_VARS.fd", "");
    fleet_fixture_put(f, "a.fd", "");
    fleet_fixture_put(f, "a_VARS.json", "");
    fleet_fixture_put(f, "a.json", "");
    fleet_fixture_put(f, "a/vars.fd", "");
    fleet_fixture_put(f, "a/vars.json", "");
    fleet_fixture_start(f, NULL);
    FsGuest *guest = fleet_fixture_find(f, "a");
    g_assert_nonnull(guest);
    g_assert_cmpint(fleet_fixture_need(f, guest, FS_NEED_STATUS), ==, 0);
    g_autofree char *path = fs_guest_store_path(guest);
    g_assert_true(g_str_has_suffix(path, "/source/a/vars.json"));
    g_autofree char *status = fs_guest_status(guest);
    static const char *const losers[] = {"a/vars.fd", "a.json",    "a_VARS.json",
                                         "a.fd",      "a_VARS.fd", "a_VARS.qcow2"};
    const char *at = status;
    for (size_t i = 0; i < G_N_ELEMENTS(losers); i++) {
        at = strstr(at, losers[i]);
        g_assert_nonnull(at);
    }
}

static void on_added(FsGuest *guest, void *data)
{
    g_string_append_printf(((FleetFixture *)data)->told, "+%s ", fs_guest_name(guest));
}

static void on_removed(FsGuest *guest, void *data)
{
    g_string_append_printf(((FleetFixture *)data)->told, "-%s ", fs_guest_name(guest));
}

/* Until these are the events, or it takes too long. */
static void expect_told(FleetFixture *f, const char *expected)
{
    for (int i = 0; i < 400 && strcmp(f->told->str, expected) != 0; i++) {
        while (g_main_context_iteration(f->context, FALSE))
            ;
        g_usleep(5000);
    }
    g_assert_cmpstr(f->told->str, ==, expected);
}

static void test_follow(FleetFixture *f, const void *data)
{
    static const FsFleetEvents events = {.guest_added = on_added, .guest_removed = on_removed};

    fleet_fixture_put(f, "a.json", "");
    fleet_fixture_put(f, "b.json", "");
    fleet_fixture_put(f, "empty/x", "");
    fleet_fixture_start(f, &events);
    fleet_fixture_put(f, "c.json", "");
    g_assert_nonnull(fleet_fixture_find(f, "c"));
    expect_told(f, "+c ");
    g_autofree char *b = g_build_filename(f->source, "b.json", NULL);
    g_assert_cmpint(unlink(b), ==, 0);
    g_assert_null(fleet_fixture_find(f, "b"));
    expect_told(f, "+c -b ");
    fleet_fixture_put(f, "empty/vars.json", "");
    expect_told(f, "+c -b +empty ");
    /* A store that takes precedence is another guest's store, with a node of its own. */
    fleet_fixture_put(f, "c/vars.json", "");
    expect_told(f, "+c -b +empty -c +c ");
}

static void test_sockets(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "a.json", "");
    fleet_fixture_put(f, "b.json", "");
    fleet_fixture_start(f, NULL);
    g_autofree char *socket = fs_guest_socket_path(fleet_fixture_find(f, "b"));
    g_assert_true(g_str_has_suffix(socket, "/sock/3e23e8160039594a.sock"));
    GStatBuf st;
    g_assert_cmpint(g_stat(socket, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0660);
    fleet_fixture_stop(f);
    g_assert_false(g_file_test(f->sockdir, G_FILE_TEST_EXISTS));
}

static char *bind_and_leave(FleetFixture *f, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *path = g_build_filename(f->sockdir, name, NULL);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    close(fd);
    return path;
}

/* What a crash of everything left: sockets that nobody serves. */
static void test_stale_sockets(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "b.json", "");
    g_mkdir(f->sockdir, 0700);
    g_autofree char *guest = bind_and_leave(f, "3e23e8160039594a.sock");
    g_autofree char *host = bind_and_leave(f, "3e23e8160039594a.host");
    g_autofree char *unknown = bind_and_leave(f, "0123456789abcdef.sock");
    g_autofree char *made = bind_and_leave(f, "3e23e8160039594a.new");
    fleet_fixture_start(f, NULL);
    g_assert_nonnull(fleet_fixture_find(f, "b"));
    g_assert_true(g_file_test(guest, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(host, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(unknown, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(made, G_FILE_TEST_EXISTS));

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_strlcpy(address.sun_path, guest, sizeof(address.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    close(fd);
}

/* Who is refused before there is a fleet: a second mount, a mount point inside. */
static void test_refused(FleetFixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *inside = g_build_filename(f->source, "mnt", NULL);
    g_autofree char *other = g_build_filename(f->top, "sock2", NULL);
    FsOptions options = {.sockdir = f->sockdir}, others = {.sockdir = other};

    fleet_fixture_put(f, "a.json", "");
    g_mkdir(inside, 0755);
    g_autoptr(FsLocal) local = fs_local_open(f->source, NULL);
    g_assert_false(fs_local_check_mountpoint(local, inside, &error));
    g_assert_nonnull(strstr(error->message, "lie below it"));
    g_clear_error(&error);
    g_assert_false(fs_local_check_mountpoint(local, f->source, NULL));
    g_assert_true(fs_local_check_mountpoint(local, f->top, NULL));

    g_autoptr(FsSockdir) first = fs_sockdir_open(local, &options, NULL);
    g_assert_null(fs_sockdir_open(local, &others, &error));
    g_assert_nonnull(strstr(error->message, "mounted already"));
    g_clear_pointer(&first, fs_sockdir_free);
    options.read_only = others.read_only = true;
    first = fs_sockdir_open(local, &options, NULL);
    g_autoptr(FsSockdir) shared = fs_sockdir_open(local, &others, NULL);
    g_assert_nonnull(first);
    g_assert_nonnull(shared);
}

static void test_beneath_link(FleetFixture *f, const void *data)
{
    static const struct {
        const char *path;
        int flags, expected; /* 0: a descriptor */
    } rows[] = {
        {"link", O_PATH | O_DIRECTORY, 0},
        {"link/inner", O_PATH | O_DIRECTORY, 0},
        {"link/file", O_PATH, 0},
        {"link/file", O_RDONLY, 0},
        {"link/file", O_PATH | O_DIRECTORY, -ENOTDIR},
        {"link/file/more", O_RDONLY, -ENOTDIR},
        {"link/none", O_PATH | O_DIRECTORY, -ENOENT},
        {"link/../folder", O_PATH | O_DIRECTORY, -EXDEV},
    };

    if (geteuid() != 0) {
        g_test_skip("links are followed that root owns");
        return;
    }
    fleet_fixture_put(f, "folder/file", "");
    fleet_fixture_put(f, "folder/inner/file", "");
    g_autofree char *link = g_build_filename(f->source, "link", NULL);
    g_assert_cmpint(symlink("folder", link), ==, 0);
    int folder = open(f->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int fd = fs_beneath_open(folder, rows[i].path, rows[i].flags, 0);
        g_test_message("%s", rows[i].path);
        g_assert_cmpint(MIN(fd, 0), ==, rows[i].expected);
        if (fd >= 0)
            close(fd);
    }
    close(folder);
}

typedef struct {
    bool done;
    int error;
    FsGuest *guest;
} Result;

static void on_done(FsGuest *guest, int error, void *data)
{
    *(Result *)data = (Result){.done = true, .error = error, .guest = guest};
}

static int make(FleetFixture *f, const char *name, FsGuest **ret_guest)
{
    Result result = {0};

    fs_fleet_make_guest(f->fleet, name, on_done, &result);
    fleet_fixture_run_until(f, &result.done);
    *ret_guest = result.guest;
    return result.error;
}

static int remove_guest(FleetFixture *f, FsGuest *guest)
{
    Result result = {0};

    fs_guest_remove(guest, NULL, on_done, &result);
    fleet_fixture_run_until(f, &result.done);
    return result.error;
}

static void test_make_and_remove(FleetFixture *f, const void *data)
{
    FsGuest *guest;

    fleet_fixture_put(f, "full.json", "");
    fleet_fixture_start(f, NULL);
    g_assert_cmpint(make(f, "full", &guest), ==, EEXIST);
    g_assert_cmpint(make(f, ".x", &guest), ==, EINVAL);
    g_assert_cmpint(make(f, "new", &guest), ==, 0);
    g_assert_false(fs_guest_has_store(guest));
    g_autofree char *config = g_build_filename(f->source, "new", "config.json", NULL);
    g_assert_true(g_file_test(config, G_FILE_TEST_IS_REGULAR));

    fleet_fixture_put(f, "new/note", "");
    g_assert_cmpint(remove_guest(f, guest), ==, ENOTEMPTY);
    g_autofree char *note = g_build_filename(f->source, "new", "note", NULL);
    g_unlink(note);
    g_assert_cmpint(remove_guest(f, guest), ==, 0);
    g_assert_null(fleet_fixture_find(f, "new"));
}

static void on_size(FsGuest *guest, int error, void *data)
{
    g_assert_cmpint(error, ==, 0);
    *(uint64_t *)data = fs_guest_look(guest)->size_bytes;
}

/* While a look is under way, the one before does not serve, however young the question is. */
static void test_look_under_way(FleetFixture *f, const void *data)
{
    uint64_t size = 0;
    Result first = {0};

    fleet_fixture_put(f, "a.json", "{}");
    fleet_fixture_start(f, NULL);
    FsGuest *guest = fleet_fixture_find(f, "a");
    g_assert_cmpint(fleet_fixture_need(f, guest, FS_NEED_FRESH_LOOK), ==, 0);
    g_usleep(150 * 1000);
    fleet_fixture_put(f, "a.json", "{  }");
    fs_guest_need(guest, FS_NEED_FRESH_LOOK, NULL, on_done, &first);
    g_assert_false(first.done);
    fs_guest_need(guest, FS_NEED_LOOK, NULL, on_size, &size);
    fleet_fixture_run_until(f, &first.done);
    g_assert_cmpint(fleet_fixture_need(f, guest, FS_NEED_LOOK), ==, 0);
    g_assert_cmpuint(size, ==, 4);
}

/* By a list of just now; a machine that is busy may take too long for one. */
static bool is_listed(FleetFixture *f, FsGuest *guest)
{
    for (int i = 0; i < 20; i++) {
        Result listed = {0}, looked = {0};

        fs_fleet_need_list(f->fleet, true, NULL, on_done, &listed);
        fleet_fixture_run_until(f, &listed.done);
        fs_guest_need(guest, FS_NEED_FRESH_LOOK, NULL, on_done, &looked);
        if (looked.done)
            return true;
        fleet_fixture_run_until(f, &looked.done);
        g_usleep(1100 * 1000);
    }
    return false;
}

/* Among many one list serves in place of a look at each, until something happens to the guest. */
static void test_many_listed(FleetFixture *f, const void *data)
{
    Result later = {0};

    for (int i = 0; i < 300; i++) {
        g_autofree char *file = g_strdup_printf("%03d.json", i);
        fleet_fixture_put(f, file, "{}");
    }
    fleet_fixture_start(f, NULL);
    FsGuest *guest = fleet_fixture_find(f, "150");
    g_assert_cmpint(fleet_fixture_need(f, guest, FS_NEED_FRESH_LOOK), ==, 0);
    g_usleep(1100 * 1000);
    g_assert_true(is_listed(f, guest));
    fleet_fixture_put(f, "150.json", "{  }");
    fleet_fixture_find(f, "none"); /* which takes what inotify told */
    fs_guest_need(guest, FS_NEED_FRESH_LOOK, NULL, on_done, &later);
    g_assert_false(later.done);
    fleet_fixture_run_until(f, &later.done);
    g_assert_cmpuint(fs_guest_look(guest)->size_bytes, ==, 4);
}

/* Nothing can start: whoever waits is told so, and the reason is in status.json. */
static void test_no_engine(FleetFixture *f, const void *data)
{
    fleet_fixture_put(f, "a.json", "");
    fleet_fixture_start(f, NULL);
    FsGuest *guest = fleet_fixture_find(f, "a");
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*no engine*uefivarsd*");
    g_assert_cmpint(fleet_fixture_need(f, guest, FS_NEED_REPLICA), ==, EIO);
    g_test_assert_expected_messages();
    g_autofree char *status = fs_guest_status(guest);
    g_assert_nonnull(strstr(status, "/nonexistent/uefivarsd"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add(name, FleetFixture, NULL, set_up, function, fleet_fixture_tear_down)
    ADD("/source/naming", test_naming);
    ADD("/source/precedence", test_precedence);
    ADD("/source/beneath-link", test_beneath_link);
    ADD("/fleet/follow", test_follow);
    ADD("/fleet/sockets", test_sockets);
    ADD("/fleet/stale-sockets", test_stale_sockets);
    ADD("/fleet/refused", test_refused);
    ADD("/fleet/make-and-remove", test_make_and_remove);
    ADD("/fleet/look-under-way", test_look_under_way);
    ADD("/fleet/many-listed", test_many_listed);
    ADD("/fleet/no-engine", test_no_engine);
    return g_test_run();
}
