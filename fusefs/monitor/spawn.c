/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Starting uefivarsd. It gets exactly these descriptors: 0 to 2 (nothing, nothing, our stderr),
 * 3 the store's folder, 4 the guest's listening socket, 5 its host socket, listening, 6 the session
 * file, 7 the store itself, opened, or nothing; of a qcow2 image 8 the socket to its
 * uefivars-qcow2, which is started here too; of a JSON store 8 nothing and 9 the store's socket, if
 * there is one. It is its user before its first instruction.
 *
 * For a guest that is only looked at, 4 is a socket that no guest knows: when the guest itself
 * comes, a new engine is started.
 */

#include "monitor-private.h"

#include "fd.h"
#include "program.h"
#include "trusted-attributes.h"
#include "unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static void add(GPtrArray *arguments, const char *option, const char *value)
{
    g_ptr_array_add(arguments, g_strconcat(option, value, NULL));
}

bool monitor_opened_nothing(const FsAsked *opened)
{
    return opened->monitor->options->libvirt && opened->answer_fds[1] < 0;
}

static GPtrArray *build_arguments(const FsGuestState *guest, const FsAsked *opened)
{
    const FsMonitorOptions *options = guest->monitor->options;
    const FsEngineWish *wish = &opened->question->start;
    const char *store = opened->answer.look.store_name;
    const uint32_t format = opened->answer.look.format;
    const bool is_source = opened->answer.look.flags & FS_LOOK_SOURCE;
    GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *socket_path =
        fs_sockdir_path(guest->monitor->sockdir, guest->name, FS_SOCKDIR_GUEST);

    add(arguments, "uefivarsd", "");
    add(arguments, "--spawned", "");
    for (char **argument = options->engine_arguments; argument && *argument; argument++)
        add(arguments, *argument, "");
    add(arguments, "--socket=", socket_path);
    if (*guest->name)
        add(arguments, "--name=", guest->name);
    if (wish->size_bytes)
        g_ptr_array_add(arguments, g_strdup_printf("--size=%" G_GUINT64_FORMAT, wish->size_bytes));
    if (wish->force_secure_boot)
        add(arguments, "--force-secure-boot", "");
    if (wish->disable_custom_mode)
        add(arguments, "--disable-custom-mode", "");
    if (wish->stateless || monitor_opened_nothing(opened))
        add(arguments, "--stateless", "");
    if (wish->looked_at)
        add(arguments, "--looked-at", "");
    if (wish->traced)
        add(arguments, "--traced", "");
    if (opened->answer.look.flags & FS_LOOK_SAVED)
        add(arguments, "--saved-state", "");
    /* It does not see them itself. */
    if (opened->answer_fds[1] >= 0 && uv_has_trusted_attributes(opened->answer_fds[1]))
        add(arguments, "--in-place", "");
    /* What is called so is that, whatever it holds; of flash images the content tells the kind. */
    if (format == FS_FORMAT_JSON && g_str_has_suffix(store, ".json") && !is_source)
        add(arguments, "--format=json", "");
    else if (format == FS_FORMAT_QCOW2)
        add(arguments, "--format=qcow2", "");
    add(arguments, "--store=", store);
    g_ptr_array_add(arguments, NULL);
    return arguments;
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
    UvProgram program = {
        .path = guest->monitor->options->bridge,
        .argv = arguments,
        .uid = uid,
        .gid = gid,
        .fds = {ends[1], uv_fd_copy(image_fd)},
        .n_fds = 2,
    };
    const int result = uv_program_start(&program, &pid, &pidfd);
    if (result < 0)
        return result;
    monitor_bridge_started(guest, pidfd);
    return uv_fd_steal(&ours);
}

int monitor_spawn(FsGuestState *guest, FsAsked *opened)
{
    const FsMonitorOptions *options = guest->monitor->options;
    const FsSockdir *sockdir = guest->monitor->sockdir;
    const bool own_listener = !(opened->question->flags & FS_START_NO_LISTENER);
    const int store_fd = opened->answer_fds[1];
    g_autoptr(GPtrArray) arguments = build_arguments(guest, opened);
    g_autofree char *host = fs_sockdir_path(sockdir, guest->name, FS_SOCKDIR_HOST);
    UvProgram program = {
        .path = opened->question->start.light && options->light ? options->light : options->engine,
        .argv = (char **)arguments->pdata,
        .uid = (uid_t)((uint64_t)opened->answer.number >> 32),
        .gid = (gid_t)opened->answer.number,
        .fds = {uv_fd_steal(&opened->answer_fds[0]),
                own_listener ? uv_fd_copy(guest->listener_fd) : uv_unix_listen_unnamed(),
                uv_unix_listen(host, 0600), fs_sockdir_open_session(sockdir, guest->name),
                store_fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC)
                             : uv_fd_steal(&opened->answer_fds[1])},
        .n_fds = 5,
    };
    pid_t pid;
    int pidfd;

    if (store_fd >= 0 && opened->answer.look.format == FS_FORMAT_QCOW2)
        program.fds[program.n_fds++] = start_bridge(guest, store_fd, program.uid, program.gid);
    else if (own_listener && guest->store_socket.fd >= 0) { /* of a JSON store */
        program.fds[program.n_fds++] = open("/dev/null", O_RDWR | O_CLOEXEC);
        program.fds[program.n_fds++] = uv_fd_copy(guest->store_socket.fd);
    }
    const int result = uv_program_start(&program, &pid, &pidfd);
    if (result == 0)
        monitor_engine_started(guest, pid, pidfd);
    return result;
}
