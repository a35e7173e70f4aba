/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivarsd: options and wiring.
 *
 *   options -> inherited descriptors closed -> (background) -> what verifies signatures is loaded
 * -> sockets, session file -> the store's owner -> folder -> limits -> keeper -> store opened ->
 *   confinement -> store read, served
 *
 * The store's content is read only when the engine is confined: a guest can influence it.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#include "blockd.h"
#include "daemon-options.h"
#include "daemonize.h"
#include "fd.h"
#include "file-error.h"
#include "listen.h"
#include "log.h"
#include "sd-notify.h"
#include "server.h"
#include "unix-socket.h"
#include "verifier-load.h"
#ifdef UV_WITH_SELFTEST
#include "selftest.h"
#else
#define uv_selftest NULL
#endif

typedef struct {
    UvDaemonOptions *options;
    UvSandbox *sandbox;
    UvServerSetup server;
    UvFolder *folder; /* until the store has it */
    UvStore *store;
    UvHost host; /* --shared: this one */
    int session_fd;
    int store_fd;  /* the store as who spawned us has opened it, or /dev/null */
    int blockd_fd; /* uefivars-qcow2's, from who spawned us; until the store has it */
    int ready_fd;  /* the service manager's */
} Daemon;

/* Of the monitor that spawned us, if it is that: what a library has opened since an exec would have
 * closed. Several processes may poll a listener: one that comes too late must not wait in accept.
 */
static int take(int fd, bool listener)
{
    const int flags = fcntl(fd, F_GETFD);

    if (flags < 0 || (flags & FD_CLOEXEC) || (listener && !uv_unix_is_listening(fd)))
        return -1;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (listener)
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void take_inherited(Daemon *daemon)
{
    (void)take(UV_FD_FOLDER, false);
    daemon->server.guest_listener = take(UV_FD_GUEST_LISTENER, true);
    daemon->server.host_listener = take(UV_FD_HOST_LISTENER, true);
    daemon->server.store_listener = take(UV_FD_STORE_LISTENER, true);
    daemon->session_fd = take(UV_FD_SESSION, false);
    daemon->store_fd = take(UV_FD_STORE, false);
    daemon->blockd_fd = take(UV_FD_BLOCKD, false);
}

static int open_session_file(const char *socket_path, GError **error)
{
    g_autofree char *path = g_strconcat(socket_path, ".session", NULL);
    const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        uv_file_error(error, errno, "%s", path);
    return fd;
}

static bool listen_at(const char *path, mode_t mode, int *ret_fd, GError **error)
{
    if (path)
        *ret_fd = uv_listen(path, mode, error);
    return !path || *ret_fd >= 0;
}

static bool open_sockets(Daemon *daemon, GError **error)
{
    const UvDaemonOptions *options = daemon->options;

    if (options->spawned)
        return true; /* it has them */
    if (!listen_at(options->socket, 0660, &daemon->server.guest_listener, error) ||
        !listen_at(options->host_socket, 0600, &daemon->server.host_listener, error) ||
        !listen_at(options->store_socket, 0666, &daemon->server.store_listener, error))
        return false;
    daemon->ready_fd = uv_ready_open();
    daemon->session_fd = open_session_file(options->socket, error);
    return daemon->session_fd >= 0;
}

/*
 * An engine that root starts by hand has no use for what root may do: it becomes the store's owner,
 * or the folder's while there is no store.
 */
static void choose_user(Daemon *daemon)
{
    UvDaemonOptions *options = daemon->options;
    g_autofree char *folder = g_path_get_dirname(options->store);
    struct stat st;

    if (options->spawned || options->become || options->sandbox == UV_SANDBOX_OFF || geteuid() != 0)
        return;
    if (!uv_folder_stat(daemon->folder, UV_FILE_STORE, &st, NULL) && stat(folder, &st) != 0)
        return;
    options->become = true;
    options->uid = st.st_uid;
    options->gid = st.st_gid;
}

/* The store's owner may not be the folder's: then its sidecars' folder is made while we can.
 * Without one the store can be read, and a write says what is missing. */
static void make_sidecars(const Daemon *daemon)
{
    const UvDaemonOptions *options = daemon->options;
    g_autoptr(GError) error = NULL;

    if (options->become && !options->read_only &&
        !uv_folder_make_sidecars(daemon->folder, options->uid, options->gid, &error))
        uv_log(LOG_NOTICE, "%s", error->message);
}

static bool open_folder(Daemon *daemon, GError **error)
{
    UvDaemonOptions *options = daemon->options;
    int inherited = options->spawned ? UV_FD_FOLDER : -1;

    daemon->folder =
        uv_folder_new(options->spawned ? UV_FD_FOLDER : AT_FDCWD, options->store, error);
    if (!daemon->folder)
        return false;
    options->in_place = options->in_place || uv_folder_is_of_others(daemon->folder);
    choose_user(daemon);
    make_sidecars(daemon);
    uv_fd_clear(&inherited); /* the folder has its own */
    return true;
}

static void confine_keeper(int folder_fd, void *data)
{
    uv_sandbox_confine_keeper(data, folder_fd);
}

/*
 * Whether the store is what the monitor that spawned us has opened: who we are was decided by that.
 * It is closed then: whether others have the file open means something.
 */
static bool check_store(Daemon *daemon, GError **error)
{
    uv_autofd int fd = uv_fd_steal(&daemon->store_fd);
    struct stat given, st;

    if (fd < 0)
        return true;
    if (fstat(fd, &given) < 0)
        return uv_file_error(error, errno, "%s", daemon->options->store);
    if (uv_folder_stat(daemon->folder, UV_FILE_STORE, &st, NULL)
            ? st.st_dev == given.st_dev && st.st_ino == given.st_ino
            : S_ISCHR(given.st_mode))
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED,
                   "%s: it is not the file any more that it was when its engine was started",
                   daemon->options->store);
}

/* An image is opened for writing, too, to be repaired. */
static bool may_hold(const Daemon *daemon)
{
    const UvDaemonOptions *options = daemon->options;

    return options->looked_at && !options->shared && g_strcmp0(options->format, "json") == 0 &&
           uv_folder_hold(daemon->folder);
}

static bool open_store(Daemon *daemon, GError **error)
{
    const UvStoreOptions options = {
        .read_only = daemon->options->read_only,
        .create = true,
        .guard = true,
        .format = daemon->options->format,
        .blockd = daemon->blockd_fd < 0 ? NULL : uv_blockd_new(daemon->blockd_fd, 0),
        .unconfined = daemon->options->sandbox == UV_SANDBOX_OFF,
        .in_place = daemon->options->in_place,
        .host = daemon->options->shared ? &daemon->host : NULL,
    };

    if (daemon->options->sandbox != UV_SANDBOX_OFF && !may_hold(daemon) &&
        !uv_folder_fork_keeper(daemon->folder, confine_keeper, daemon->sandbox, error))
        return false;
    if (!check_store(daemon, error))
        return false;
    daemon->store = uv_store_open(g_steal_pointer(&daemon->folder), &options, error);
    if (chdir("/") != 0)
        uv_log(LOG_NOTICE, "chdir: %s", g_strerror(errno)); /* it only keeps a file system busy */
    return daemon->store != NULL;
}

static bool set_up(Daemon *daemon, GError **error)
{
    const UvDaemonOptions *options = daemon->options;

    if (options->shared && !uv_host_find(&daemon->host, error)) {
        g_prefix_error(error, "--shared: ");
        return false;
    }
    return open_sockets(daemon, error) && open_folder(daemon, error) &&
           (!options->become ||
            uv_sandbox_become(daemon->sandbox, options->uid, options->gid, error)) &&
           uv_sandbox_prepare(daemon->sandbox, error) && open_store(daemon, error);
}

static uint32_t error_code(const GError *error)
{
    if (g_error_matches(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED))
        return UV_WIRE_E_CHANGED;
    return error->domain == UV_STORE_ERROR || error->domain == G_FILE_ERROR ? UV_WIRE_E_STORE
                                                                            : UV_WIRE_E_STATE;
}

static int fail(const Daemon *daemon, UvDaemon *background, const GError *error)
{
    g_autofree char *text = uv_log_printable(error->message, UV_LOG_LINE_MAX);
    g_autofree char *line = g_strdup_printf("uefivarsd: %s\n", text);

    (void)uv_daemon_failed(background, line);
    /* The program that spawned this engine logs it, with the guest's name. */
    if (daemon->options->spawned)
        uv_listen_report_failure(UV_FD_HOST_LISTENER, error_code(error), error->message);
    else
        uv_log(LOG_ERR, "%s", error->message);
    return 1;
}

/*
 * A journal gets lines with their priority and their program's name over syslog only. A spawned
 * engine's stderr is its front's: a terminal or a journal, or /dev/null.
 */
static bool wants_syslog(const UvDaemonOptions *options)
{
    struct stat st;

    if (options->daemonize || g_log_writer_is_journald(STDERR_FILENO))
        return true;
    return options->spawned && fstat(STDERR_FILENO, &st) == 0 && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(1, 3);
}

/* One that is held may have been replaced since: the next engine gets what is there. */
static bool load(const Daemon *daemon, UvServer *server, GError **error)
{
    struct stat st;

    if (uv_server_load(server, error))
        return true;
    if (daemon->options->looked_at &&
        !uv_folder_stat(daemon->store->folder, UV_FILE_STORE, &st, NULL)) {
        (*error)->domain = UV_STORE_ERROR;
        (*error)->code = UV_STORE_ERROR_CHANGED;
    }
    return false;
}

static int serve(UvDaemonOptions *options, UvDaemon *background)
{
    g_autoptr(UvSandbox) sandbox = uv_sandbox_new(options->sandbox);
    g_autoptr(UvServer) server = NULL;
    g_autoptr(GError) error = NULL;
    Daemon daemon = {
        .options = options,
        .sandbox = sandbox,
        .server =
            {
                .guest_listener = -1,
                .host_listener = -1,
                .store_listener = -1,
                .service = &options->service,
                .sandbox = sandbox,
                .selftest = uv_selftest,
                .store_path = options->store,
                .owner = getuid(),
                .record_bytes = options->record_bytes,
                .spawned = options->spawned,
                .traced = options->traced,
                .looked_at = options->looked_at,
                .refuse_when_saved = options->refuse_when_saved,
                .is_saved = options->is_saved,
            },
        .session_fd = -1,
        .store_fd = -1,
        .blockd_fd = -1,
        .ready_fd = -1,
    };

    if (options->spawned) /* before a number that something is looked for by is another's */
        take_inherited(&daemon);
    uv_log_open(options->name ? options->name : options->store, wants_syslog(options));
    if ((!options->looked_at && !uv_verifier_load(&error)) || !set_up(&daemon, &error))
        return fail(&daemon, background, error);
    server = uv_server_new(&daemon.server, daemon.store, uv_session_file_new(daemon.session_fd));
    if (!uv_sandbox_confine_engine(sandbox, &error) || !load(&daemon, server, &error))
        return fail(&daemon, background, error);
    for (guint i = 0; i < sandbox->confinement.missing->len; i++)
        uv_log(LOG_WARNING, "not confined by %s",
               (const char *)sandbox->confinement.missing->pdata[i]);
    uv_daemon_ready(background);
    uv_ready_tell(daemon.ready_fd);
    return uv_server_run(server);
}

/* UV_FD_BLOCKD is only expected, and else not ours, with a store that is said to be qcow2. */
static void close_others(const UvDaemonOptions *options)
{
    const bool qcow2 = options->format && strcmp(options->format, "qcow2") == 0;

    if (options->spawned && !qcow2)
        (void)close_range(UV_FD_BLOCKD, UV_FD_BLOCKD, 0);
    if (options->spawned && !uv_unix_is_listening(UV_FD_STORE_LISTENER))
        (void)close_range(UV_FD_STORE_LISTENER, UV_FD_STORE_LISTENER, 0);
    (void)close_range(options->spawned ? UV_FD_FIRST_CLOSED : UV_FD_FOLDER, ~0u, 0);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(UvDaemonOptions) options = uv_daemon_options_parse(&argc, &argv, &error);

    if (!options) {
        fprintf(stderr, "uefivarsd: %s\n", error->message);
        return 1;
    }
    if (options->show_version) {
        puts("uefivarsd " UV_VERSION);
        return 0;
    }
    if (options->print_syscalls) {
        uv_sandbox_print_syscalls(stdout);
        return 0;
    }
    /* What was large once must not stay: glibc raises these by itself unless they are set. */
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    close_others(options);
    UvDaemon background = UV_DAEMON_FOREGROUND;
    if (options->daemonize && !uv_daemon_start(&background, "uefivarsd", &error)) {
        fprintf(stderr, "uefivarsd: %s\n", error->message);
        return 1;
    }
    if (options->daemonize) /* while /dev/null can be opened: before confinement */
        uv_daemon_leave_terminal();
    return serve(options, &background);
}
