/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "split.h"

#include "broker.h"
#include "confine-broker.h"
#include "confine-front.h"
#include "daemon.h"
#include "fd.h"
#include "fds.h"
#include "find-program.h"
#include "leave-engines.h"
#include "libvirt-uri.h"
#include "mount-table.h"
#include "open-source.h"
#include "process-name.h"

#include <errno.h>
#include <gio/gio.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BROKER_NAME "uv-broker" /* of the process */
/* So long a process that has hung up may take to exit. */
#define FRONT_EXIT_US (2 * G_USEC_PER_SEC)
#define BROKER_EXIT_US (20 * G_USEC_PER_SEC) /* it takes away what stands for domains */

bool fs_split_find_engine_user(FsSplit *split, GError **error)
{
    const char *name = split->options->engine_user;

    split->engine_uid = (uid_t)-1;
    split->engine_gid = (gid_t)-1;
    if (!name)
        return true;
    const struct passwd *user = fs_find_user(name);
    if (!user) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "engine-user=%s: no such user",
                    name);
        return false;
    }
    split->engine_uid = user->pw_uid;
    split->engine_gid = user->pw_gid;
    return true;
}

static void on_ready(void *data)
{
    fs_daemon_ready();
}

static void on_unmount(void *data)
{
    fs_mount_end(data);
}

static int wait_for(pid_t child, int64_t longest_us, const char *name)
{
    const int64_t deadline = g_get_monotonic_time() + longest_us;
    bool late = false;
    int status;

    while (waitpid(child, &status, WNOHANG) == 0) {
        late = g_get_monotonic_time() >= deadline;
        if (late)
            kill(child, SIGKILL);
        g_usleep(1000);
    }
    if (late)
        g_warning("the %s did not end in time, and was killed", name);
    else if (WIFSIGNALED(status))
        g_warning("the %s was ended by a signal (%s), and the mount with it", name,
                  g_strsignal(WTERMSIG(status)));
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static bool check_program(const char *path, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_IS_REGULAR) && access(path, X_OK) == 0)
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                "%s: no program that can be started, and no guest can be served without it", path);
    return false;
}

/* It is not built everywhere, and may do what uefivarsd does alone. */
static char *find_look(const FsSplit *split)
{
    const char *const looks[] = {"../libexec/uefivarsfs/uefivars-look", "../vars/uefivars-look",
                                 NULL};
    g_autofree char *look = uv_find_program(looks, UV_LIBEXECDIR "/uefivars-look");

    return split->options->engine_path || access(look, X_OK) < 0 ? NULL : g_steal_pointer(&look);
}

bool fs_split_find_programs(FsSplit *split, GError **error)
{
    const char *const engines[] = {"uefivarsd", "../vars/uefivarsd", NULL};
    const char *const makers[] = {"../libexec/uefivarsfs/uefivars-make", "uefivars-make", NULL};
    const char *const bridges[] = {"../libexec/uefivarsfs/uefivars-qcow2", "../vars/uefivars-qcow2",
                                   NULL};
    const char *const libvirts[] = {"../libexec/uefivarsfs/uefivars-libvirt",
                                    "libvirt/uefivars-libvirt", NULL};
    const char *const folders[] = {"../libexec/uefivarsfs/uefivars-folders",
                                   "libvirt/uefivars-folders", NULL};

    split->engine = split->options->engine_path ? g_strdup(split->options->engine_path)
                                                : uv_find_program(engines, UV_BINDIR "/uefivarsd");
    split->look = find_look(split);
    split->maker = uv_find_program(makers, UV_LIBEXECDIR "/uefivars-make");
    /* Who has no such image needs it not. */
    split->bridge = uv_find_program(bridges, UV_LIBEXECDIR "/uefivars-qcow2");
    if (split->uri && g_path_is_absolute(split->uri))
        split->libvirt = uv_find_program(folders, UV_LIBEXECDIR "/uefivars-folders");
    else if (split->uri)
        split->libvirt = uv_find_program(libvirts, UV_LIBEXECDIR "/uefivars-libvirt");
    return check_program(split->engine, error) && check_program(split->maker, error) &&
           (!split->libvirt || check_program(split->libvirt, error));
}

static void add(GPtrArray *arguments, const char *option, const char *value)
{
    if (value)
        g_ptr_array_add(arguments, g_strconcat(option, value, NULL));
}

/* What the mount's options say of all engines. */
static char **engine_arguments(const FsOptions *options)
{
    GPtrArray *arguments = g_ptr_array_new();
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)options->size_bytes);
    g_autofree char *record = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)options->record_bytes);

    add(arguments, "--varcheck=", options->varcheck);
    add(arguments, "--saved=", options->saved);
    add(arguments, "--shared", options->shared ? "" : NULL);
    add(arguments, "--read-only", options->read_only ? "" : NULL);
    add(arguments, "--sandbox=strict", options->sandbox_strict ? "" : NULL);
    add(arguments, "--size=", options->size_bytes ? size : NULL);
    add(arguments, "--record=", options->record_bytes >= 0 ? record : NULL);
    g_ptr_array_add(arguments, NULL);
    return (char **)g_ptr_array_free(arguments, FALSE);
}

static char **libvirt_arguments(const FsSplit *split)
{
    GPtrArray *arguments = g_ptr_array_new();

    add(arguments, split->libvirt, "");
    add(arguments, "", split->uri);
    add(arguments, "--sandbox=strict", split->options->sandbox_strict ? "" : NULL);
    g_ptr_array_add(arguments, NULL);
    return (char **)g_ptr_array_free(arguments, FALSE);
}

/* In a child of the monitor: it ends with it, and the monitor acts on signals. */
static bool join(pid_t monitor)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
        signal(ignored[i], SIG_IGN);
    return getppid() == monitor;
}

static G_NORETURN void be_broker(const FsSplit *split, int link_fd)
{
    const FsOptions *options = split->options;
    const FsBrokerOptions broker_options = {
        .read_only = options->read_only,
        .shared = options->shared,
        .keep_days = options->keep_days,
        .engine_uid = split->engine_uid,
        .engine_gid = split->engine_gid,
        .front_uid = split->front_uid,
        .front_gid = split->front_gid,
        .maker = split->maker,
        .uri = split->uri,
        .ready = fs_daemon_join, /* until then who mounts hears it */
    };
    int kept[] = {split->local->fd, link_fd};
    g_autoptr(GError) error = NULL;

    uv_rename_process(BROKER_NAME);
    uv_close_all_but(kept, G_N_ELEMENTS(kept));
    fs_daemon_open_log();
    g_autoptr(FsBroker) broker = fs_broker_confine(options->sandbox_strict, &error)
                                     ? fs_broker_new(&broker_options, split->local, link_fd, &error)
                                     : NULL;
    if (!broker)
        fs_daemon_fail(error->message);
    fs_broker_run(broker);
    g_clear_pointer(&broker, fs_broker_free);
    _exit(EXIT_SUCCESS);
}

/* The monitor's end of the socket to it, or -1. */
static int start_broker(const FsSplit *split, pid_t *ret_broker)
{
    const pid_t monitor = getpid();
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -1;
    *ret_broker = fork();
    if (*ret_broker == 0) {
        if (!join(monitor))
            _exit(EXIT_FAILURE);
        be_broker(split, ends[1]);
    }
    uv_fd_clear(&ends[1]);
    if (*ret_broker < 0)
        uv_fd_clear(&ends[0]);
    return ends[0];
}

static G_NORETURN void be_monitor(const FsSplit *split, int link_fd, pid_t front)
{
    const FsOptions *options = split->options;
    g_auto(GStrv) arguments = engine_arguments(options);
    g_auto(GStrv) for_libvirt = libvirt_arguments(split);
    const bool anybody = split->uri && fs_libvirt_is_systems(options->source);
    const FsMonitorOptions monitor_options = {
        .folder = split->local->store ? NULL : split->local->path,
        .libvirts = split->local->libvirts,
        .engine_arguments = arguments,
        .engine = split->engine,
        .light = split->look,
        .bridge = split->bridge,
        .libvirt = split->libvirt,
        .libvirt_arguments = for_libvirt,
        .libvirt_uid = anybody ? split->front_uid : geteuid(),
        .libvirt_gid = anybody ? split->front_gid : getegid(),
    };
    const FsMonitorHooks hooks = {.ready = on_ready, .unmount = on_unmount, .data = split->mount};
    g_autoptr(GError) error = NULL;

    uv_rename_process(FS_MONITOR_NAME);
    int fuse_fd = split->fuse_fd; /* the front's alone */
    uv_fd_clear(&fuse_fd);
    pid_t broker = -1;
    if (geteuid() == 0)
        (void)setgroups(0, NULL);
    const int broker_fd = start_broker(split, &broker);
    uv_fd_clear(&split->local->fd); /* the broker's alone */
    g_autoptr(FsMonitor) monitor = broker_fd < 0 ? NULL
                                                 : fs_monitor_new(&monitor_options, split->sockdir,
                                                                  link_fd, broker_fd, &error);
    if (!monitor) {
        fs_mount_end(split->mount);
        fs_daemon_fail(error ? error->message : g_strerror(errno));
    }
    fs_monitor_run(monitor, &hooks);
    fs_sockdir_remove(split->sockdir);
    wait_for(broker, BROKER_EXIT_US, "broker");
    g_clear_pointer(&monitor, fs_monitor_free);
    fs_sockdir_free(split->sockdir); /* with its locks: who mounts again waits for them */
    const int status = wait_for(front, FRONT_EXIT_US, "front");
    fs_leave_engines();
    exit(status);
}

static void be_front(const FsSplit *split, pid_t monitor)
{
    if (!join(monitor))
        _exit(EXIT_FAILURE);
    uv_fd_clear(&split->sockdir->lock_fd);
    uv_fd_clear(&split->sockdir->source_lock_fd);
    uv_fd_clear(&split->sockdir->fd);
    uv_fd_clear(&split->local->fd);
}

int fs_split(const FsSplit *split, GError **error)
{
    const pid_t monitor = getpid();
    int ends[2] = {-1, -1};
    pid_t front = -1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0)
        front = fork();
    if (front < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "can't start the front: %s",
                    g_strerror(errno));
        uv_fd_clear(&ends[0]);
        uv_fd_clear(&ends[1]);
        return -1;
    }
    if (front > 0) {
        uv_fd_clear(&ends[0]);
        be_monitor(split, ends[1], front);
    }
    uv_fd_clear(&ends[1]);
    be_front(split, monitor);
    return ends[0];
}
