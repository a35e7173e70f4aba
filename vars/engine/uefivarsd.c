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
#include <sys/socket.h>
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
#include "verifier-load.h"
#ifdef UV_WITH_SELFTEST
#include "selftest.h"
#else
#define uv_selftest NULL
#endif

typedef struct {
    const UvDaemonOptions *options;
    UvSandbox *sandbox;
    UvFolder *folder; /* until the store has it */
    UvStore *store;
    uid_t owner;
    bool in_place; /* others own and label the store's file */
    UvHost host;   /* --shared: this one */
    bool become;   /* before a byte of the store is read */
    uid_t uid;
    gid_t gid;
    int guest_listener, host_listener, store_listener, session_fd;
    int store_fd;  /* the store as who spawned us has opened it, or /dev/null */
    int blockd_fd; /* uefivars-qcow2's, from who spawned us; until the store has it */
    int ready_fd;  /* the service manager's */
} Daemon;

/* By the monitor that spawned us: what a library has opened since an exec would have closed. */
static bool is_passed(int fd)
{
    const int flags = fcntl(fd, F_GETFD);

    return flags >= 0 && !(flags & FD_CLOEXEC);
}

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof(listening);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

static void take_inherited(Daemon *daemon)
{
    static const int inherited[] = {UV_FD_FOLDER, UV_FD_GUEST_LISTENER, UV_FD_HOST_LISTENER,
                                    UV_FD_SESSION};

    for (size_t i = 0; i < G_N_ELEMENTS(inherited); i++) {
        const int flags = fcntl(inherited[i], F_GETFD);
        if (flags >= 0)
            (void)fcntl(inherited[i], F_SETFD, flags | FD_CLOEXEC);
    }
    /* Several processes may poll them: one that comes too late must not wait in accept. */
    (void)fcntl(UV_FD_GUEST_LISTENER, F_SETFL, O_NONBLOCK);
    (void)fcntl(UV_FD_HOST_LISTENER, F_SETFL, O_NONBLOCK);
    daemon->guest_listener = UV_FD_GUEST_LISTENER;
    daemon->host_listener = UV_FD_HOST_LISTENER;
    daemon->session_fd = UV_FD_SESSION;
    if (is_passed(UV_FD_STORE) && fcntl(UV_FD_STORE, F_SETFD, FD_CLOEXEC) == 0)
        daemon->store_fd = UV_FD_STORE;
    if (is_passed(UV_FD_BLOCKD) && fcntl(UV_FD_BLOCKD, F_SETFD, FD_CLOEXEC) == 0)
        daemon->blockd_fd = UV_FD_BLOCKD;
    if (is_passed(UV_FD_STORE_LISTENER) && is_listening(UV_FD_STORE_LISTENER)) {
        (void)fcntl(UV_FD_STORE_LISTENER, F_SETFD, FD_CLOEXEC);
        (void)fcntl(UV_FD_STORE_LISTENER, F_SETFL, O_NONBLOCK);
        daemon->store_listener = UV_FD_STORE_LISTENER;
    }
}

static int open_session_file(const char *socket_path, GError **error)
{
    g_autofree char *path = g_strconcat(socket_path, ".session", NULL);
    const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        uv_file_error(error, errno, "%s", path);
    return fd;
}

static bool open_sockets(Daemon *daemon, GError **error)
{
    const UvDaemonOptions *options = daemon->options;

    if (options->spawned)
        return true; /* it has them */
    daemon->guest_listener = uv_listen(options->socket, 0660, error);
    if (daemon->guest_listener < 0)
        return false;
    if (options->host_socket) {
        daemon->host_listener = uv_listen(options->host_socket, 0600, error);
        if (daemon->host_listener < 0)
            return false;
    }
    if (options->store_socket) {
        daemon->store_listener = uv_listen(options->store_socket, 0666, error);
        if (daemon->store_listener < 0)
            return false;
    }
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
    const UvDaemonOptions *options = daemon->options;
    g_autofree char *folder = g_path_get_dirname(options->store);
    struct stat st;

    daemon->become = options->become;
    daemon->uid = options->uid;
    daemon->gid = options->gid;
    if (options->spawned || options->become || options->sandbox == UV_SANDBOX_OFF || geteuid() != 0)
        return;
    if (!uv_folder_stat(daemon->folder, UV_FILE_STORE, &st, NULL) && stat(folder, &st) != 0)
        return;
    daemon->become = true;
    daemon->uid = st.st_uid;
    daemon->gid = st.st_gid;
}

/* The store's owner may not be the folder's: then its sidecars' folder is made while we can.
 * Without one the store can be read, and a write says what is missing. */
static void make_sidecars(const Daemon *daemon)
{
    const UvDaemonOptions *options = daemon->options;
    g_autoptr(GError) error = NULL;

    if (daemon->become && !options->read_only &&
        !uv_folder_make_sidecars(daemon->folder, daemon->uid, daemon->gid, &error))
        uv_log(LOG_NOTICE, "%s", error->message);
}

static bool open_folder(Daemon *daemon, GError **error)
{
    const UvDaemonOptions *options = daemon->options;
    int inherited = options->spawned ? UV_FD_FOLDER : -1;

    daemon->folder =
        uv_folder_new(options->spawned ? UV_FD_FOLDER : AT_FDCWD, options->store, error);
    if (!daemon->folder)
        return false;
    daemon->in_place = options->in_place || uv_folder_is_of_others(daemon->folder);
    choose_user(daemon);
    make_sidecars(daemon);
    uv_fd_clear(&inherited); /* the folder has its own */
    return true;
}

static bool confine_keeper(int folder_fd, void *data)
{
    uv_sandbox_confine_keeper(data, folder_fd);
    return true;
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
        .in_place = daemon->in_place,
        .host = daemon->options->shared ? &daemon->host : NULL,
    };

    if (daemon->options->sandbox != UV_SANDBOX_OFF && !may_hold(daemon)) {
        uv_folder_set_keeper_hook(daemon->folder, confine_keeper, daemon->sandbox);
        if (!uv_folder_fork_keeper(daemon->folder, -1, error))
            return false;
    }
    if (!check_store(daemon, error))
        return false;
    daemon->store = uv_store_open(g_steal_pointer(&daemon->folder), &options, error);
    if (chdir("/") != 0)
        uv_log(LOG_NOTICE, "chdir: %s", g_strerror(errno)); /* it only keeps a file system busy */
    return daemon->store != NULL;
}

static bool set_up(Daemon *daemon, GError **error)
{
    if (daemon->options->shared && !uv_host_find(&daemon->host, error)) {
        g_prefix_error(error, "--shared: ");
        return false;
    }
    return open_sockets(daemon, error) && open_folder(daemon, error) &&
           (!daemon->become ||
            uv_sandbox_become(daemon->sandbox, daemon->uid, daemon->gid, error)) &&
           uv_sandbox_prepare(daemon->sandbox, error) && open_store(daemon, error);
}

/* Consumes what `daemon` holds. */
static UvServer *make_server(Daemon *daemon)
{
    const UvServerSetup setup = {
        .guest_listener = daemon->guest_listener,
        .host_listener = daemon->host_listener,
        .store_listener = daemon->store_listener,
        .session_file = uv_session_file_new(daemon->session_fd),
        .store = daemon->store,
        .service = &daemon->options->service,
        .sandbox = daemon->sandbox,
        .selftest = uv_selftest,
        .store_path = daemon->options->store,
        .owner = daemon->owner,
        .record_bytes = daemon->options->record_bytes,
        .spawned = daemon->options->spawned,
        .traced = daemon->options->traced,
        .looked_at = daemon->options->looked_at,
        .refuse_when_saved = daemon->options->refuse_when_saved,
        .is_saved = daemon->options->is_saved,
    };

    return uv_server_new(&setup);
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

static int serve(const UvDaemonOptions *options, UvDaemon *background)
{
    g_autoptr(UvSandbox) sandbox = uv_sandbox_new(options->sandbox);
    g_autoptr(UvServer) server = NULL;
    g_autoptr(GError) error = NULL;
    Daemon daemon = {
        .options = options,
        .sandbox = sandbox,
        .owner = getuid(),
        .guest_listener = -1,
        .host_listener = -1,
        .store_listener = -1,
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
    server = make_server(&daemon);
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
    if (options->spawned && !is_listening(UV_FD_STORE_LISTENER))
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
