/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Protocol: one request and one reply at a time over a SOCK_SEQPACKET pair, both of fixed size, so
 * a message is whole or not one. What is not exactly a request ends the keeper: its engine has then
 * been taken over, or is of another build.
 */

#include "keeper.h"

#include "daemonize.h"
#include "fd-pass.h"
#include "fd.h"
#include "fds.h"
#include "process-name.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER_NAME "uv-keeper"

typedef enum {
    REQUEST_OPEN = 1,
    REQUEST_RENAME,
    REQUEST_UNLINK,
    REQUEST_STAT,
} RequestKind;

/* Between two ends of one fork: no byte order, no versions. */
typedef struct {
    uint32_t kind;
    uint32_t role;
    uint32_t argument; /* flags of open, target of rename */
} Request;

typedef struct {
    int32_t result; /* 0 or a negative errno; open sends its descriptor along */
    uint32_t number;
    struct stat st;
} Reply;

struct UvKeeper {
    int fd;
    pid_t pid;
};

/* In the child. */
typedef struct {
    const UvFileOps *ops;
    void *data;
    int fd;
    int lock_fd; /* our copy of the engine's (who only looks takes none), -1: none yet */
} Server;

static bool send_message(int fd, const void *message, size_t size, int passed_fd)
{
    const struct iovec part = {(void *)message, size};

    return uv_pass_send(fd, &part, 1, &passed_fd, passed_fd >= 0, 0) == (ssize_t)size;
}

/* false: the peer is gone, or it sent something else. */
static bool receive_message(int fd, void *message, size_t size, int *ret_passed_fd)
{
    const struct iovec part = {message, size};

    return uv_pass_receive(fd, &part, 1, ret_passed_fd, ret_passed_fd ? 1 : 0, 0) == (ssize_t)size;
}

static int serve_open(Server *server, const Request *request)
{
    int fd = server->ops->open(server->data, request->role, request->argument);

    if (fd >= 0 && request->role == UV_FILE_LOCK && (request->argument & O_ACCMODE) != O_RDONLY) {
        uv_fd_clear(&server->lock_fd);
        server->lock_fd = dup(fd);
    }
    return fd;
}

static bool serve_one(Server *server)
{
    Request request;
    Reply reply = {0};
    uv_autofd int fd = -1;

    if (!receive_message(server->fd, &request, sizeof(request), NULL))
        return false;
    switch (request.kind) {
    case REQUEST_OPEN:
        fd = serve_open(server, &request);
        reply.result = fd < 0 ? fd : 0;
        break;
    case REQUEST_RENAME:
        reply.result =
            server->ops->rename(server->data, request.role, request.argument, &reply.number);
        break;
    case REQUEST_UNLINK:
        reply.result = server->ops->unlink(server->data, request.role);
        break;
    case REQUEST_STAT:
        reply.result = server->ops->stat(server->data, request.role, &reply.st);
        break;
    default:
        return false;
    }
    return send_message(server->fd, &reply, sizeof(reply), fd);
}

static void ignore_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGIO};

    /* The engine finishes its work after a signal to the whole group, and needs us for it. */
    for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
        signal(ignored[i], SIG_IGN);
}

static G_GNUC_NORETURN void run(Server *server, pid_t parent, const int *keep_fds, size_t n_keep,
                                UvFolderHook hook, void *hook_data)
{
    int keep[8] = {server->fd};

    memcpy(keep + 1, keep_fds, n_keep * sizeof(*keep));
    ignore_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    uv_daemon_leave_terminal();
    uv_close_all_but(keep, n_keep + 1);
    uv_rename_process(KEEPER_NAME);
    if (hook)
        hook(keep_fds[0], hook_data);
    while (serve_one(server))
        ;
    _exit(0);
}

UvKeeper *uv_keeper_fork(const UvFileOps *ops, void *data, const int *keep_fds, size_t n_keep,
                         UvFolderHook hook, void *hook_data)
{
    int pair[2];
    pid_t parent = getpid(), pid;
    UvKeeper *keeper;

    g_assert(n_keep <= 7);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return NULL;
    pid = fork();
    if (pid == 0) {
        Server server = {ops, data, pair[1], -1};
        run(&server, parent, keep_fds, n_keep, hook, hook_data);
    }
    uv_fd_clear(&pair[1]);
    if (pid < 0) {
        uv_fd_clear(&pair[0]);
        return NULL;
    }
    keeper = g_new0(UvKeeper, 1);
    keeper->fd = pair[0];
    keeper->pid = pid;
    return keeper;
}

/* A keeper that is gone leaves the open files usable and everything else failing: EIO. */
static int ask(UvKeeper *keeper, const Request *request, Reply *reply, int *ret_fd)
{
    if (!send_message(keeper->fd, request, sizeof(*request), -1) ||
        !receive_message(keeper->fd, reply, sizeof(*reply), ret_fd)) {
        uv_fd_clear(ret_fd);
        return -EIO;
    }
    return reply->result;
}

static int keeper_open(void *data, UvFileRole role, int flags)
{
    Request request = {REQUEST_OPEN, role, flags};
    Reply reply;
    int fd = -1, ret = ask(data, &request, &reply, &fd);

    if (ret < 0)
        return ret;
    return fd < 0 ? -EIO : fd;
}

static int keeper_rename(void *data, UvFileRole from, UvFileRole to, unsigned *ret_number)
{
    Request request = {REQUEST_RENAME, from, to};
    Reply reply;
    int fd = -1, ret = ask(data, &request, &reply, &fd);

    *ret_number = ret < 0 ? 0 : reply.number;
    return ret;
}

static int keeper_unlink(void *data, UvFileRole role)
{
    Request request = {REQUEST_UNLINK, role, 0};
    Reply reply;
    int fd = -1;

    return ask(data, &request, &reply, &fd);
}

static int keeper_stat(void *data, UvFileRole role, struct stat *ret_stat)
{
    Request request = {REQUEST_STAT, role, 0};
    Reply reply;
    int fd = -1, ret = ask(data, &request, &reply, &fd);

    if (ret == 0)
        *ret_stat = reply.st;
    return ret;
}

static void keeper_free(void *data)
{
    UvKeeper *keeper = data;

    uv_fd_clear(&keeper->fd);
    while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    g_free(keeper);
}

const UvFileOps uv_keeper_ops = {
    .open = keeper_open,
    .rename = keeper_rename,
    .unlink = keeper_unlink,
    .stat = keeper_stat,
    .free = keeper_free,
};

int uv_keeper_fd(const UvKeeper *keeper)
{
    return keeper->fd;
}

int uv_keeper_pid(const UvKeeper *keeper)
{
    return keeper->pid;
}
