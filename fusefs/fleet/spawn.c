/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Starting uefivarsd. It gets exactly these descriptors: 0 to 2 (nothing, nothing, our stderr),
 * 3 the store's folder, 4 the guest's listening socket, 5 its host socket, listening, 6 the session
 * file; and becomes the store's owner by itself, after it has opened what it needs.
 *
 * For a guest that has no store and is only looked at, 4 is a socket that nobody knows: when the
 * guest itself comes, the store is made first (perhaps from a template) and a new engine started.
 */

#include "fleet-private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Above all targets, so that none is overwritten before it was copied. */
#define SOURCE_FD_MIN 16
#define FIRST_FD 3

enum {
    FD_FOLDER,
    FD_LISTENER,
    FD_HOST,
    FD_SESSION,
    FDS
};

char *engine_find_program(void)
{
    /* Beside this program, and in a build tree. */
    static const char *const places[] = {"uefivarsd", "../vars/uefivarsd"};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;

    for (size_t i = 0; folder && i < G_N_ELEMENTS(places); i++) {
        g_autofree char *program = g_canonicalize_filename(places[i], folder);
        if (g_file_test(program, G_FILE_TEST_IS_REGULAR) &&
            g_file_test(program, G_FILE_TEST_IS_EXECUTABLE))
            return g_steal_pointer(&program);
    }
    return g_strdup(UV_BINDIR "/uefivarsd");
}

static int dummy_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* Autobind: an abstract address that is told to nobody. */
    if (fd >= 0 &&
        (bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 || listen(fd, 1) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd < 0 ? -errno : fd;
}

static void close_all(int fds[FDS])
{
    for (int i = 0; i < FDS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Moves each one out of the way of the targets. */
static bool take_fd(int fds[FDS], int slot, int fd, const char *what, GError **error)
{
    if (fd >= 0) {
        fds[slot] = fcntl(fd, F_DUPFD_CLOEXEC, SOURCE_FD_MIN);
        int saved = errno;
        close(fd);
        fd = fds[slot] < 0 ? -saved : fds[slot];
    }
    if (fd >= 0)
        return true;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-fd), "%s: %s", what, g_strerror(-fd));
    return false;
}

static bool collect_fds(FsGuest *guest, bool dummy, int fds[FDS], char **ret_store, GError **error)
{
    const FsFleet *fleet = guest->fleet;
    uint64_t hash = guest_hash(guest);
    g_autofree char *path = fs_guest_store_path(guest);

    if (!dummy) {
        int result = guest_listen(guest);
        int fd = result < 0 ? result : fcntl(guest->listener_fd, F_DUPFD_CLOEXEC, SOURCE_FD_MIN);
        if (!take_fd(fds, FD_LISTENER, fd, "the guest's socket", error))
            return false;
    } else if (!take_fd(fds, FD_LISTENER, dummy_listener(), "a socket", error)) {
        return false;
    }
    return take_fd(fds, FD_FOLDER,
                   fs_local_place(fleet->source, guest->rule, guest->name, ret_store), path,
                   error) &&
           take_fd(fds, FD_HOST, fs_sockdir_listen_host(fleet->sockdir, hash), "the host socket",
                   error) &&
           take_fd(fds, FD_SESSION, fs_sockdir_open_session(fleet->sockdir, hash),
                   "the session file", error);
}

static bool build_arguments(FsGuest *guest, FsStart why, GPtrArray *arguments, GError **error)
{
    const FsFleet *fleet = guest->fleet;
    const FsOptions *options = fleet->options;

    g_ptr_array_add(arguments, g_strdup("uefivarsd"));
    g_ptr_array_add(arguments, g_strdup("--spawned"));
    g_ptr_array_add(arguments, g_strdup("--socket"));
    g_ptr_array_add(arguments, fs_guest_socket_path(guest));
    if (*fs_guest_name(guest))
        g_ptr_array_add(arguments, g_strconcat("--name=", fs_guest_name(guest), NULL));
    if (options->varcheck)
        g_ptr_array_add(arguments, g_strdup_printf("--varcheck=%s", options->varcheck));
    if (options->read_only)
        g_ptr_array_add(arguments, g_strdup("--read-only"));
    if (options->sandbox_strict)
        g_ptr_array_add(arguments, g_strdup("--sandbox=strict"));
    if (options->size_bytes) {
        g_ptr_array_add(arguments, g_strdup("--size"));
        g_ptr_array_add(arguments, g_strdup_printf("%zu", options->size_bytes));
    }
    /* Later ones count: what the guest's configuration says comes last. */
    return !fleet->events.engine_starting ||
           fleet->events.engine_starting(guest, why, arguments, fleet->events_data, error);
}

static void add_user(FsGuest *guest, GPtrArray *arguments)
{
    const FsFleet *fleet = guest->fleet;
    uid_t uid;
    gid_t gid;

    if (geteuid() != 0)
        return;
    fs_guest_owner(guest, &uid, &gid);
    if (fleet->engine_uid != (uid_t)-1) {
        uid = fleet->engine_uid;
        gid = fleet->engine_gid;
    }
    g_ptr_array_add(arguments, g_strdup("--user"));
    g_ptr_array_add(arguments, g_strdup_printf("%u:%u", (unsigned)uid, (unsigned)gid));
}

static int spawn_with(const char *program, const int fds[FDS], char **argv, pid_t *ret_pid)
{
    char path[] = "PATH=/usr/bin:/bin", locale[] = "LC_ALL=C.UTF-8";
    char *const environment[] = {path, locale, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    for (int i = 0; i < FDS; i++)
        posix_spawn_file_actions_adddup2(&actions, fds[i], FIRST_FD + i);
    posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_FD + FDS);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int result = posix_spawn(ret_pid, program, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

bool engine_spawn(FsGuest *guest, FsStart why, pid_t *ret_pid, bool *ret_has_listener,
                  GError **error)
{
    const FsFleet *fleet = guest->fleet;
    g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *store = NULL;
    int fds[FDS] = {-1, -1, -1, -1};

    if (!build_arguments(guest, why, arguments, error))
        return false;
    bool dummy = why == FS_START_READ && !guest_has_store(guest);
    if (!collect_fds(guest, dummy, fds, &store, error)) {
        close_all(fds);
        return false;
    }
    add_user(guest, arguments);
    g_ptr_array_add(arguments, g_strconcat("--store=", store, NULL));
    g_ptr_array_add(arguments, NULL);
    int result = spawn_with(fleet->program, fds, (char **)arguments->pdata, ret_pid);
    close_all(fds);
    if (result != 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(result), "%s: %s", fleet->program,
                    g_strerror(result));
        return false;
    }
    *ret_has_listener = !dummy;
    return true;
}
