/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The server takes connections from a listening socket only, so there is one, made in a folder that
 * no other user may enter. Its name is removed at once; a descriptor of it is the way to it from
 * then on, for each new server, also in the confinement.
 */

#include "qcow2-server.h"

#include "fd.h"
#include "seccomp-load.h"
#include "unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What it has to write out is small. */
#define STOP_MS 5000
#define STOP_STEP_MS 2
/* A disk that takes longer is none to the guest either. */
#define PATIENCE_S 30
/* In the server. */
#define IMAGE_FD 4
#define LISTEN_FD 5
#define FIRST_CLOSED_FD 6
/* Above them. */
#define SOURCE_FD_MIN 10

/* The name of a descriptor's file, for what takes only names. */
static char *name_of(int fd)
{
    return g_strdup_printf("/proc/self/fd/%d", fd);
}

static int listen_at(const char *path)
{
    uv_autofd int fd = uv_unix_bind(path, 0600);

    if (fd < 0)
        return fd;
    return listen(fd, 1) < 0 ? -errno : uv_fd_steal(&fd);
}

int qcow_server_init(QcowServer *server, int image_fd, bool confined)
{
    char folder[] = "/tmp/uefivars-XXXXXX";
    g_autofree char *path = NULL;

    *server =
        (QcowServer){.listen_fd = -1, .name_fd = -1, .image_fd = image_fd, .confined = confined};
    if (!mkdtemp(folder))
        return -errno;
    path = g_build_filename(folder, "nbd", NULL);
    server->listen_fd = listen_at(path);
    if (server->listen_fd >= 0)
        server->name_fd = open(path, O_PATH | O_CLOEXEC);
    const int result = server->listen_fd < 0 ? server->listen_fd : -errno;
    unlink(path);
    rmdir(folder);
    return server->name_fd < 0 ? result : 0;
}

/* Reading from it waits, but not for ever. */
static int connect_to(const QcowServer *server)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    g_autofree char *name = name_of(server->name_fd);
    uv_autofd int fd = uv_unix_connect(name);

    if (fd < 0)
        return fd;
    if (fcntl(fd, F_SETFL, 0) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
        return -errno;
    return uv_fd_steal(&fd);
}

/* Connections that no server took: one failed before it could. */
static void drop_waiting(const QcowServer *server)
{
    struct pollfd waiting = {.fd = server->listen_fd, .events = POLLIN};

    while (poll(&waiting, 1, 0) > 0) {
        uv_autofd int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return;
    }
}

/*
 * Only the image, and no backing file whatever its header names. A data file is named by the header
 * alone: it is refused before (uefivars-qcow2.c), and cannot be opened if the header changes since.
 */
static char *blockdev_option(bool writable)
{
    return g_strdup_printf("{\"driver\":\"qcow2\",\"node-name\":\"image\",\"backing\":null,"
                           "\"read-only\":%s,\"force-share\":%s,\"file\":{\"driver\":\"file\","
                           "\"filename\":\"/proc/self/fd/%d\",\"locking\":\"on\"}}",
                           writable ? "false" : "true", writable ? "false" : "true", IMAGE_FD);
}

static bool place(int fd, int target)
{
    return dup2(fd, target) == target && fcntl(target, F_SETFD, 0) == 0;
}

static G_GNUC_NORETURN void run(const QcowServer *server, int stderr_fd, bool writable)
{
    g_autofree char *blockdev = blockdev_option(writable);
    const char *const arguments[] = {
        "qemu-storage-daemon",
        "--blockdev",
        blockdev,
        "--nbd-server",
        "addr.type=fd,addr.str=5,max-connections=1",
        "--export",
        writable ? "type=nbd,id=image,node-name=image,name=,writable=on"
                 : "type=nbd,id=image,node-name=image,name=,writable=off",
        NULL,
    };
    const pid_t parent = getppid();

    for (int signum = 1; signum < NSIG; signum++)
        signal(signum, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || !place(stderr_fd, STDERR_FILENO) ||
        !place(stderr_fd, STDOUT_FILENO) || !place(server->image_fd, IMAGE_FD) ||
        !place(server->listen_fd, LISTEN_FD) || close_range(FIRST_CLOSED_FD, ~0u, 0) != 0)
        _exit(127);
    if (server->confined && uv_seccomp_load(&uv_seccomp_qcow2_program) != 0) {
        dprintf(STDERR_FILENO, "the kernel has no seccomp\n");
        _exit(127);
    }
    execvp(arguments[0], (char **)arguments);
    dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], g_strerror(errno));
    _exit(127);
}

static int move_up(int fd)
{
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, SOURCE_FD_MIN);

    uv_fd_clear(&fd);
    return moved;
}

void qcow_server_wait(QcowServer *server, int other_fd)
{
    struct pollfd fds[] = {{.fd = other_fd, .events = POLLIN},
                           {.fd = server->pid && !server->ended ? server->stderr_fd : -1}};

    while (poll(fds, 2, -1) < 0 || !fds[0].revents) {
        if (!(fds[1].revents & POLLHUP))
            continue;
        drop_waiting(server);
        server->ended = true;
        fds[1].fd = -1;
    }
}

int qcow_server_start(QcowServer *server, bool writable)
{
    uv_autofd int connected = -1;
    int pipes[2];

    drop_waiting(server);
    connected = connect_to(server);
    if (connected < 0)
        return connected;
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    server->stderr_fd = pipes[0];
    server->ended = false;
    uv_autofd int stderr_fd = move_up(pipes[1]);
    server->pid = fork();
    if (server->pid == 0)
        run(server, stderr_fd, writable);
    if (server->pid < 0) {
        server->pid = 0;
        uv_fd_clear(&server->stderr_fd);
        return -EAGAIN;
    }
    return uv_fd_steal(&connected);
}

void qcow_server_stop(QcowServer *server, char *ret_text, size_t size)
{
    ssize_t n;

    ret_text[0] = 0;
    if (server->pid <= 0)
        return;
    for (int waited = 0; waitpid(server->pid, NULL, WNOHANG) == 0; waited++) {
        if (waited % (STOP_MS / STOP_STEP_MS) == 0)
            kill(server->pid, waited ? SIGKILL : SIGTERM);
        g_usleep(STOP_STEP_MS * 1000);
    }
    n = read(server->stderr_fd, ret_text, size - 1);
    ret_text[MAX(n, 0)] = 0;
    uv_fd_clear(&server->stderr_fd);
    server->pid = 0;
}
