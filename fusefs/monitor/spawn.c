/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Starting uefivarsd. It gets exactly these descriptors: 0 to 2 (nothing, nothing, our stderr),
 * 3 the store's folder, 4 the guest's listening socket, 5 its host socket, listening, 6 the session
 * file, 7 the store itself, opened, or nothing, 8 nothing (of a JSON store), 9 the store's socket,
 * if there is one; and is its user before its first instruction.
 *
 * For a guest that is only looked at, 4 is a socket that nobody knows: when the guest itself comes,
 * the store is made first (perhaps from a template) and a new engine started.
 */

#include "monitor-private.h"

#include "fd.h"
#include "rights.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Above all targets, so that none is overwritten before it was copied. */
#define SOURCE_FD_MIN 16
#define FIRST_FD 3

static int dummy_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uv_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* Autobind: an abstract address that is told to nobody. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
        listen(fd, 1) < 0)
        return -errno;
    return uv_fd_steal(&fd);
}

/* The folder for the engine's keeper: readable if its user may. */
static int open_folder(const FsSpawn *spawn)
{
    fs_rights_scope rights = fs_rights_take(spawn->file->uid, spawn->file->gid);

    return uv_open_dir(spawn->place->folder_fd, ".", 0);
}

static int copy(int fd)
{
    int copied = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copied < 0 ? -errno : copied;
}

static void add(GPtrArray *arguments, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add(GPtrArray *arguments, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    g_ptr_array_add(arguments, g_strdup_vprintf(format, values));
    va_end(values);
}

static GPtrArray *build_arguments(const FsGuestState *guest, const FsSpawn *spawn)
{
    const FsMonitorOptions *options = guest->monitor->options;
    const FsEngineWish *wish = spawn->wish;
    const uint64_t size_bytes = wish->size_bytes ? wish->size_bytes : options->size_bytes;
    GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *socket_path =
        fs_sockdir_file(guest->monitor->sockdir, fs_sockdir_hash(guest->name), ".sock");

    add(arguments, "uefivarsd");
    add(arguments, "--spawned");
    add(arguments, "--socket=%s", socket_path);
    if (*guest->name)
        add(arguments, "--name=%s", guest->name);
    if (options->varcheck)
        add(arguments, "--varcheck=%s", options->varcheck);
    if (options->saved)
        add(arguments, "--saved=%s", options->saved);
    if (options->read_only)
        add(arguments, "--read-only");
    if (options->shared)
        add(arguments, "--shared");
    if (options->sandbox_strict)
        add(arguments, "--sandbox=strict");
    if (size_bytes)
        add(arguments, "--size=%" G_GUINT64_FORMAT, (guint64)size_bytes);
    if (options->record_bytes >= 0)
        add(arguments, "--record=%" G_GINT64_FORMAT, (gint64)options->record_bytes);
    if (wish->force_secure_boot)
        add(arguments, "--force-secure-boot");
    if (wish->disable_custom_mode)
        add(arguments, "--disable-custom-mode");
    if (wish->stateless)
        add(arguments, "--stateless");
    if (wish->traced)
        add(arguments, "--traced");
    /* What is called so is that, whatever it holds; of flash images the content tells the kind. */
    if (g_str_has_suffix(spawn->place->store, ".json") && spawn->place->rule != FS_RULE_SOURCE)
        add(arguments, "--format=json");
    else if (g_str_has_suffix(spawn->place->store, ".qcow2"))
        add(arguments, "--format=qcow2");
    add(arguments, "--store=%s", spawn->place->store);
    g_ptr_array_add(arguments, NULL);
    return arguments;
}

/*
 * In the child, which has the parent's memory until it executes: system calls only, and the raw
 * ones, for those of the library tell all threads. Root without a bounding set is a user like
 * others, whose files are root's.
 */
static void become(uid_t uid, gid_t gid)
{
    if (geteuid() != 0)
        return;
    for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
        capability++;
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
        syscall(SYS_setresuid, uid, uid, uid) < 0)
        _exit(126);
}

static void execute(const FsProgram *program)
{
    static char path[] = "PATH=/usr/bin:/bin", locale[] = "LC_ALL=C.UTF-8";
    char *const environment[] = {path, locale, NULL};
    const int null = open("/dev/null", O_RDWR);
    sigset_t none;

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    for (int i = 0; i < (int)program->n_fds; i++)
        if (dup2(program->fds[i], FIRST_FD + i) < 0)
            _exit(126);
    close_range(FIRST_FD + (unsigned)program->n_fds, ~0u, 0);
    setsid();
    become(program->uid, program->gid);
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program->path, program->argv, environment);
    _exit(127);
}

/* Moves each one out of the way of the targets. */
static int lift(int fds[], size_t n_fds)
{
    for (size_t i = 0; i < n_fds; i++) {
        int lifted = fcntl(fds[i], F_DUPFD_CLOEXEC, SOURCE_FD_MIN);
        if (lifted < 0)
            return -errno;
        uv_fd_clear(&fds[i]);
        fds[i] = lifted;
    }
    return 0;
}

int monitor_execute(FsProgram *program, pid_t *ret_pid, int *ret_pidfd)
{
    int result = 0;
    pid_t pid = -1;

    for (size_t i = 0; i < program->n_fds && result == 0; i++)
        result = program->fds[i] < 0 ? program->fds[i] : 0;
    if (result == 0)
        result = lift(program->fds, program->n_fds);
    if (result == 0 && access(program->path, X_OK) < 0)
        result = -errno;
    if (result == 0) {
        pid = vfork();
        if (pid == 0)
            execute(program);
        result = pid < 0 ? -errno : 0;
    }
    for (size_t i = 0; i < program->n_fds; i++)
        uv_fd_clear(&program->fds[i]);
    if (result < 0)
        return result;
    *ret_pid = pid;
    *ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return *ret_pidfd < 0 ? -errno : 0;
}

int monitor_spawn(FsGuestState *guest, const FsSpawn *spawn, pid_t *ret_pid, int *ret_pidfd)
{
    const FsSockdir *sockdir = guest->monitor->sockdir;
    const uint64_t hash = fs_sockdir_hash(guest->name);
    g_autoptr(GPtrArray) arguments = build_arguments(guest, spawn);
    FsProgram program = {
        .path = guest->monitor->options->engine,
        .argv = (char **)arguments->pdata,
        .uid = spawn->file->uid,
        .gid = spawn->file->gid,
        .fds = {open_folder(spawn),
                spawn->listener_fd < 0 ? dummy_listener() : copy(spawn->listener_fd),
                fs_sockdir_listen_host(sockdir, hash), fs_sockdir_open_session(sockdir, hash),
                spawn->file->fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC)
                                    : copy(spawn->file->fd)},
        .n_fds = 5,
    };

    if (spawn->store_listener_fd >= 0) {
        program.fds[program.n_fds++] = open("/dev/null", O_RDWR | O_CLOEXEC);
        program.fds[program.n_fds++] = copy(spawn->store_listener_fd);
    }
    return monitor_execute(&program, ret_pid, ret_pidfd);
}
