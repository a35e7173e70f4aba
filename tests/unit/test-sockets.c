/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Who finds a guest's socket is not refused: it has its name from when it listens on. */

#include "by-store.h"
#include "fd.h"
#include "listen.h"
#include "scratch.h"
#include "sockets.h"
#include "unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GUEST "web"
#define SUN_PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)
#define STORE "/var/lib/web.json"

int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);

/* What happens when the next socket begins to listen. */
static struct {
    const char *path; /* who connects there ... */
    int connected;    /* ... gets this: 0 or -errno */
    int error;        /* 0: it listens */
} turn;

static int connect_to(const char *path)
{
    uv_autofd int fd = uv_unix_connect(path);

    return MIN(fd, 0);
}

int __wrap_listen(int fd, int backlog)
{
    if (turn.path)
        turn.connected = connect_to(turn.path);
    if (!turn.error)
        return __real_listen(fd, backlog);
    errno = turn.error;
    return -1;
}

typedef struct {
    char *top;
    FsSockdir sockdir;
    char *unnamed;       /* where those for stores are made */
    char *guest, *store; /* paths of the sockets */
} Fixture;

static char *path_of_store(const Fixture *f)
{
    g_autofree char *name = fs_sockdir_name(STORE, ".sock");

    return g_build_filename(f->sockdir.by_store, name, NULL);
}

static void set_up(Fixture *f, const void *unused)
{
    f->top = scratch_new();
    f->sockdir = (FsSockdir){.path = g_strdup(f->top),
                             .by_store = scratch_path(f->top, "by-store"),
                             .fd = open(f->top, O_PATH | O_DIRECTORY | O_CLOEXEC),
                             .group = (gid_t)-1,
                             .mode = 0660};
    g_assert_cmpint(mkdir(f->sockdir.by_store, 0700), ==, 0);
    f->unnamed = g_build_filename(f->sockdir.by_store, FS_BY_STORE_NEW, NULL);
    g_assert_cmpint(mkdir(f->unnamed, 0700), ==, 0);
    f->guest = fs_sockdir_path(&f->sockdir, GUEST, FS_SOCKDIR_GUEST);
    f->store = path_of_store(f);
    turn = (typeof(turn)){.path = NULL};
}

static void tear_down(Fixture *f, const void *unused)
{
    close(f->sockdir.fd);
    g_free(f->sockdir.path);
    g_free(f->sockdir.by_store);
    g_free(f->unnamed);
    g_free(f->guest);
    g_free(f->store);
    scratch_free(f->top);
}

static int listen_guest(const Fixture *f)
{
    return fs_sockdir_listen_guest(&f->sockdir, GUEST, getuid(), getgid());
}

static guint entries_of(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    return n;
}

static void test_guest(Fixture *f, const void *unused)
{
    turn.path = f->guest;
    uv_autofd int first = listen_guest(f);
    g_assert_cmpint(first, >=, 0);
    g_assert_cmpint(turn.connected, ==, -ENOENT);
    g_assert_cmpint(connect_to(f->guest), ==, 0);
    g_assert_true(fs_sockdir_is_guest(&f->sockdir, GUEST, first));
    g_assert_false(fs_sockdir_is_guest(&f->sockdir, "other", first));

    struct stat st;
    g_assert_cmpint(stat(f->guest, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0660);
    g_assert_cmpint(st.st_uid, ==, getuid());

    /* One in its place: the old one is there until then. */
    uv_autofd int second = listen_guest(f);
    g_assert_cmpint(turn.connected, ==, 0);
    uv_fd_clear(&first);
    g_assert_cmpint(connect_to(f->guest), ==, 0);
    uv_autofd int accepted = accept(second, NULL, NULL);
    g_assert_cmpint(accepted, >=, 0);
    g_assert_cmpuint(entries_of(f->top), ==, 2); /* by-store and the socket */
}

/* What a monitor that was killed left, and what one of 0.1 did, is no obstacle. */
static void test_left_over(Fixture *f, const void *unused)
{
    g_autofree char *aside = fs_sockdir_path(&f->sockdir, GUEST, FS_SOCKDIR_NEW);
    uv_autofd int left = uv_unix_bind(aside, 0600), old = uv_unix_bind(f->guest, 0600);

    g_assert_cmpint(left, >=, 0);
    g_assert_cmpint(old, >=, 0);
    g_assert_true(fs_sockdir_is_guest(&f->sockdir, GUEST, old));
    uv_autofd int fd = listen_guest(f);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(connect_to(f->guest), ==, 0);
    g_assert_false(g_file_test(aside, G_FILE_TEST_EXISTS));
}

/* The host socket of an engine, which it holds too, is not taken for the guest's. */
static void test_not_the_guests(Fixture *f, const void *unused)
{
    g_autofree char *host = fs_sockdir_path(&f->sockdir, GUEST, FS_SOCKDIR_HOST);
    uv_autofd int fd = uv_unix_listen(host, 0600), unnamed = uv_unix_listen_unnamed();
    int ends[2];

    g_assert_cmpint(fd, >=, 0);
    g_assert_false(fs_sockdir_is_guest(&f->sockdir, GUEST, fd));
    g_assert_false(fs_sockdir_is_guest(&f->sockdir, GUEST, unnamed));
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_false(fs_sockdir_is_guest(&f->sockdir, GUEST, ends[0]));
    close(ends[0]);
    close(ends[1]);
}

static void test_fails(Fixture *f, const void *unused)
{
    FsStoreSocket store = {.fd = -1};
    uv_autofd int before = listen_guest(f);

    g_assert_cmpint(before, >=, 0);
    turn.error = EOPNOTSUPP;
    g_assert_cmpint(listen_guest(f), ==, -EOPNOTSUPP);
    g_assert_cmpint(connect_to(f->guest), ==, 0);
    g_assert_cmpuint(entries_of(f->top), ==, 2);
    g_assert_cmpint(fs_sockdir_listen_store(&f->sockdir, STORE, &store), ==, -EOPNOTSUPP);
    g_assert_cmpuint(entries_of(f->sockdir.by_store), ==, 1);
    g_assert_cmpuint(entries_of(f->unnamed), ==, 0);
    /* A folder has the name. */
    turn.error = 0;
    g_assert_cmpint(unlink(f->guest), ==, 0);
    g_assert_cmpint(mkdir(f->guest, 0700), ==, 0);
    g_assert_cmpint(listen_guest(f), ==, -EISDIR);
    g_assert_cmpuint(entries_of(f->top), ==, 2);
}

static void test_store(Fixture *f, const void *unused)
{
    FsStoreSocket first = {.fd = -1}, second = {.fd = -1};

    turn.path = f->store;
    g_assert_cmpint(fs_sockdir_listen_store(&f->sockdir, STORE, &first), ==, 0);
    g_assert_cmpint(turn.connected, ==, -ENOENT);
    g_assert_cmpint(connect_to(f->store), ==, 0);
    /* Another front serves the same store by now: the first leaves it what it has. */
    g_assert_cmpint(fs_sockdir_listen_store(&f->sockdir, STORE, &second), ==, 0);
    g_assert_cmpint(turn.connected, ==, 0);
    fs_sockdir_close_store(&first, true);
    g_assert_cmpint(connect_to(f->store), ==, 0);
    fs_sockdir_close_store(&second, true);
    g_assert_cmpuint(entries_of(f->sockdir.by_store), ==, 1);
    g_assert_cmpuint(entries_of(f->unnamed), ==, 0);
}

/* An engine by itself, whose socket may lie in any folder. */
static void expect_listens(const Fixture *f, const char *path, int found)
{
    g_autoptr(GError) error = NULL;
    const guint before = entries_of(f->top);

    turn = (typeof(turn)){.path = path};
    uv_autofd int fd = uv_listen(path, 0600, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(turn.connected, ==, found);
    g_assert_cmpint(connect_to(path), ==, 0);
    g_assert_cmpuint(entries_of(f->top), ==, before + 1);
    /* Nobody else's place is taken. */
    g_assert_cmpint(uv_listen(path, 0600, &error), ==, -1);
    g_assert_nonnull(strstr(error->message, "Address already in use"));
}

static void test_stand_alone(Fixture *f, const void *unused)
{
    g_autofree char *path = scratch_path(f->top, "s"), *file = scratch_path(f->top, "file");
    g_autofree char *left = g_strdup_printf("%s/.uv%d", f->top, getpid());
    g_autoptr(GError) error = NULL;

    expect_listens(f, path, -ENOENT);
    /* What a crash left: the one with its name, and the one without. */
    g_assert_cmpint(unlink(path), ==, 0);
    uv_autofd int stale = uv_unix_bind(left, 0600);
    uv_fd_clear(&stale);
    uv_autofd int fd = uv_listen(path, 0600, &error);
    g_assert_no_error(error);
    uv_fd_clear(&fd);
    fd = uv_listen(path, 0600, &error);
    g_assert_no_error(error);
    g_assert_cmpint(connect_to(path), ==, 0);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
    /* A file that is no socket stays. */
    scratch_write(f->top, "file", "text");
    g_assert_cmpint(uv_listen(file, 0600, &error), ==, -1);
    scratch_expect(f->top, "file", "text");
    g_clear_error(&error);
    turn.error = EOPNOTSUPP;
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(uv_listen(path, 0600, &error), ==, -1);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
}

/* So long that no other name goes beside it. */
static void test_long_path(Fixture *f, const void *unused)
{
    g_autofree char *long_name = g_strnfill(SUN_PATH_BYTES - 1 - strlen(f->top) - 3, 'x');
    g_autofree char *folder = scratch_path(f->top, long_name);
    g_autofree char *path = g_build_filename(folder, "s", NULL);
    g_autofree char *longer = g_build_filename(folder, "sss", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(mkdir(folder, 0700), ==, 0);
    uv_autofd int fd = uv_listen(path, 0600, &error);
    g_assert_no_error(error);
    g_assert_cmpint(connect_to(path), ==, 0);
    g_assert_cmpint(uv_listen(path, 0600, NULL), ==, -1);
    uv_fd_clear(&fd);
    fd = uv_listen(path, 0600, &error); /* a stale one */
    g_assert_no_error(error);
    g_assert_cmpint(uv_listen(longer, 0600, &error), ==, -1);
    g_assert_nonnull(strstr(error->message, "name too long"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *f, const void *unused);
    } tests[] = {
        {"/sockets/guest", test_guest},
        {"/sockets/left-over", test_left_over},
        {"/sockets/not-the-guests", test_not_the_guests},
        {"/sockets/fails", test_fails},
        {"/sockets/store", test_store},
        {"/sockets/stand-alone", test_stand_alone},
        {"/sockets/long-path", test_long_path},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
