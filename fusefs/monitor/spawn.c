/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Starting uefivarsd. It gets exactly these descriptors: 0 to 2 (nothing, nothing, our stderr),
 * 3 the store's folder, 4 the guest's listening socket, 5 its host socket, listening, 6 the session
 * file, 7 the store itself, opened, or nothing; of a qcow2 image 8 the socket to its
 * uefivars-qcow2, which is started here too; of a JSON store 8 nothing and 9 the store's socket, if
 * there is one. It is its user before its first instruction.
 *
 * For a guest that is only looked at, 4 is a socket that nobody knows: when the guest itself comes,
 * the store is made first (perhaps from a template) and a new engine started.
 */

#include "monitor-private.h"

#include "fd.h"
#include "unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Above all targets, so that none is overwritten before it was copied. */
#define SOURCE_FD_MIN 16
#define FIRST_FD 3

static int copy(int fd)
{
    int copied = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copied < 0 ? -errno : copied;
}

static void add(GPtrArray *arguments, const char *option, const char *value)
{
    g_ptr_array_add(arguments, g_strconcat(option, value, NULL));
}

static GPtrArray *build_arguments(const FsGuestState *guest, const FsAsked *opened)
{
    const FsMonitorOptions *options = guest->monitor->options;
    const FsEngineWish *wish = &opened->question->start;
    const char *store = opened->answer.look.store_name;
    const bool is_source = opened->answer.look.flags & FS_LOOK_SOURCE;
    GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *socket_path =
        fs_sockdir_path(guest->monitor->sockdir, guest->name, FS_SOCKDIR_GUEST);
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)wish->size_bytes);

    add(arguments, "uefivarsd", "");
    add(arguments, "--spawned", "");
    for (char **argument = options->engine_arguments; argument && *argument; argument++)
        add(arguments, *argument, "");
    add(arguments, "--socket=", socket_path);
    if (*guest->name)
        add(arguments, "--name=", guest->name);
    if (wish->size_bytes)
        add(arguments, "--size=", size);
    if (wish->force_secure_boot)
        add(arguments, "--force-secure-boot", "");
    if (wish->disable_custom_mode)
        add(arguments, "--disable-custom-mode", "");
    if (wish->stateless)
        add(arguments, "--stateless", "");
    if (wish->traced)
        add(arguments, "--traced", "");
    if (opened->answer.look.flags & FS_LOOK_LABELLED)
        add(arguments, "--in-place", "");
    /* What is called so is that, whatever it holds; of flash images the content tells the kind. */
    if (g_str_has_suffix(store, ".json") && !is_source)
        add(arguments, "--format=json", "");
    else if (g_str_has_suffix(store, ".qcow2"))
        add(arguments, "--format=qcow2", "");
    add(arguments, "--store=", store);
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

static G_GNUC_NORETURN void execute(const FsProgram *program)
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

/* Moves the descriptors out of the way of their targets. */
static int prepare(FsProgram *program)
{
    for (size_t i = 0; i < program->n_fds; i++) {
        if (program->fds[i] < 0)
            return program->fds[i];
        const int lifted = fcntl(program->fds[i], F_DUPFD_CLOEXEC, SOURCE_FD_MIN);
        if (lifted < 0)
            return -errno;
        uv_fd_clear(&program->fds[i]);
        program->fds[i] = lifted;
    }
    return access(program->path, X_OK) < 0 ? -errno : 0;
}

int monitor_become(FsProgram *program)
{
    const int result = prepare(program);

    if (result == 0)
        execute(program);
    return result;
}

static int start(FsProgram *program, pid_t *ret_pid, int *ret_pidfd)
{
    int result = prepare(program);

    if (result < 0)
        return result;
    *ret_pid = vfork();
    if (*ret_pid == 0)
        execute(program);
    *ret_pidfd = *ret_pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, *ret_pid, 0);
    return *ret_pidfd < 0 ? -errno : 0;
}

static void close_all(FsProgram *program)
{
    for (size_t i = 0; i < program->n_fds; i++)
        uv_fd_clear(&program->fds[i]);
}

/* The process that serves the engine's qcow2 image, and can be told of no other: the engine's end
 * of the socket to it, or -errno. */
static int start_bridge(FsGuestState *guest, int image_fd, uid_t uid, gid_t gid)
{
    char *arguments[] = {(char *)"uefivars-qcow2", NULL};
    int ends[2], pidfd;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    uv_autofd int ours = ends[0];
    FsProgram program = {
        .path = guest->monitor->options->bridge,
        .argv = arguments,
        .uid = uid,
        .gid = gid,
        .fds = {ends[1], copy(image_fd)},
        .n_fds = 2,
    };
    const int result = start(&program, &pid, &pidfd);
    close_all(&program);
    if (result < 0)
        return result;
    monitor_bridge_started(guest, pidfd);
    return uv_fd_steal(&ours);
}

int monitor_spawn(FsGuestState *guest, const FsAsked *opened)
{
    const FsSockdir *sockdir = guest->monitor->sockdir;
    const bool own_listener = !(opened->question->flags & FS_START_NO_LISTENER);
    const int store_fd = opened->answer_fds[1];
    g_autoptr(GPtrArray) arguments = build_arguments(guest, opened);
    g_autofree char *host = fs_sockdir_path(sockdir, guest->name, FS_SOCKDIR_HOST);
    FsProgram program = {
        .path = guest->monitor->options->engine,
        .argv = (char **)arguments->pdata,
        .uid = (uid_t)((uint64_t)opened->answer.number >> 32),
        .gid = (gid_t)opened->answer.number,
        .fds = {copy(opened->answer_fds[0]),
                own_listener ? copy(guest->listener_fd) : uv_unix_listen_unnamed(),
                fs_socket_listen(host, 0600), fs_sockdir_open_session(sockdir, guest->name),
                store_fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : copy(store_fd)},
        .n_fds = 5,
    };
    pid_t pid;
    int pidfd;

    if (store_fd >= 0 && g_str_has_suffix(opened->answer.look.store_name, ".qcow2"))
        program.fds[program.n_fds++] = start_bridge(guest, store_fd, program.uid, program.gid);
    else if (own_listener && guest->store_socket.fd >= 0) { /* of a JSON store */
        program.fds[program.n_fds++] = open("/dev/null", O_RDWR | O_CLOEXEC);
        program.fds[program.n_fds++] = copy(guest->store_socket.fd);
    }
    const int result = start(&program, &pid, &pidfd);
    close_all(&program);
    if (result == 0)
        monitor_engine_started(guest, pid, pidfd);
    return result;
}
