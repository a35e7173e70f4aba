/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "blockd.h"

#include "blockd-wire.h"
#include "fd-pass.h"
#include "fd.h"
#include "find-program.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "uefivars-qcow2"
/* Longer than the server may take to end (STOP_MS of uefivars-qcow2). */
#define ANSWER_S 15
/* Above the descriptors that the program is given, so that none is overwritten before it is
 * copied. */
#define SOURCE_FD_MIN 16

struct UvBlockd {
    int control_fd;
    pid_t pid;
    bool started; /* once: `device` and `inode` are known */
    uint64_t device, inode;
};

static int spawn_with(const char *program, int control, int image, char **argv, pid_t *ret_pid)
{
    char path[] = "PATH=/usr/bin:/bin", locale[] = "LC_ALL=C.UTF-8";
    char *const environment[] = {path, locale, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
    posix_spawn_file_actions_adddup2(&actions, control, UV_BLOCKD_FD_CONTROL);
    posix_spawn_file_actions_adddup2(&actions, image, UV_BLOCKD_FD_IMAGE);
    posix_spawn_file_actions_addclosefrom_np(&actions, UV_BLOCKD_FD_FIRST_CLOSED);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    const int result = posix_spawn(ret_pid, program, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

bool uv_blockd_spawn(int image_fd, bool confined, int *ret_control, pid_t *ret_pid, GError **error)
{
    const char *const places[] = {PROGRAM, "../vars/" PROGRAM, "../../vars/" PROGRAM, NULL};
    g_autofree char *program = uv_find_program(places, UV_LIBEXECDIR "/" PROGRAM);
    char *arguments[] = {(char *)PROGRAM, confined ? NULL : (char *)"--unconfined", NULL};
    int ends[2] = {-1, -1}, result = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        result = errno;
    uv_autofd int ours = ends[0], theirs = ends[1];
    uv_autofd int control = result ? -1 : fcntl(theirs, F_DUPFD_CLOEXEC, SOURCE_FD_MIN);
    uv_autofd int image = fcntl(image_fd, F_DUPFD_CLOEXEC, SOURCE_FD_MIN);
    if (!result && (control < 0 || image < 0))
        result = errno;
    if (!result)
        result = spawn_with(program, control, image, arguments, ret_pid);
    if (result)
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "cannot start %s: %s", program,
                       g_strerror(result));
    *ret_control = uv_fd_steal(&ours);
    return true;
}

UvBlockd *uv_blockd_new(int control_fd, pid_t pid)
{
    const struct timeval patience = {.tv_sec = ANSWER_S};
    UvBlockd *blockd = g_new0(UvBlockd, 1);

    setsockopt(control_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    blockd->control_fd = control_fd;
    blockd->pid = pid;
    return blockd;
}

void uv_blockd_free(UvBlockd *blockd)
{
    if (!blockd)
        return;
    g_free(uv_blockd_stop(blockd));
    uv_fd_clear(&blockd->control_fd);
    if (blockd->pid > 0)
        TEMP_FAILURE_RETRY(waitpid(blockd->pid, NULL, 0));
    g_free(blockd);
}

/* false: no reply came, and `ret_reply` has a text that says so. */
static bool ask(UvBlockd *blockd, UvBlockdRequest request, UvBlockdReply *ret_reply, int *ret_fd)
{
    const char byte = request;
    const struct iovec out = {(void *)&byte, 1}, in = {ret_reply, sizeof(*ret_reply)};

    memset(ret_reply, 0, sizeof(*ret_reply));
    *ret_fd = -1;
    if (uv_pass_send(blockd->control_fd, &out, 1, NULL, 0, 0) == 1 &&
        uv_pass_receive(blockd->control_fd, &in, 1, ret_fd, 1, 0) == sizeof(*ret_reply)) {
        ret_reply->text[UV_BLOCKD_TEXT_BYTES - 1] = 0;
        return true;
    }
    uv_fd_clear(ret_fd);
    ret_reply->outcome = UV_BLOCKD_FAILED;
    g_strlcpy(ret_reply->text, PROGRAM " does not answer", UV_BLOCKD_TEXT_BYTES);
    return false;
}

int uv_blockd_start(UvBlockd *blockd, const char *name, bool writable, GError **error)
{
    UvBlockdReply reply;
    uv_autofd int fd = -1;

    if (ask(blockd, writable ? UV_BLOCKD_WRITE : UV_BLOCKD_READ, &reply, &fd)) {
        blockd->started = true;
        blockd->device = reply.device;
        blockd->inode = reply.inode;
    }
    if (reply.outcome == UV_BLOCKD_OK && fd >= 0)
        return uv_fd_steal(&fd);
    if (reply.outcome == UV_BLOCKD_IMAGE)
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE, "%s: offset 0x%x: %s", name,
                    reply.offset, reply.text);
    else
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO,
                    "%s: cannot start qemu-storage-daemon: %s", name, reply.text);
    return -1;
}

char *uv_blockd_stop(UvBlockd *blockd)
{
    UvBlockdReply reply;
    uv_autofd int fd = -1;

    if (!ask(blockd, UV_BLOCKD_STOP, &reply, &fd) || !reply.text[0])
        return NULL;
    return g_strdup(g_strdelimit(g_strstrip(reply.text), "\n", ' '));
}

bool uv_blockd_is_of(const UvBlockd *blockd, uint64_t device, uint64_t inode)
{
    return !blockd->started || (blockd->device == device && blockd->inode == inode);
}
