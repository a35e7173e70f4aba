/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "blockd.h"

#include "fd-pass.h"
#include "fd.h"
#include "keeper.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 1024u
#define ANSWER_MS 15000
/* What the daemon has to write out is small. */
#define STOP_MS 5000
#define STOP_STEP_MS 2
/* In the supervisor and the daemon. */
#define CONTROL_FD 3
#define IMAGE_FD 4
#define LISTEN_FD 5

static const int ignored_signals[] = {SIGTERM, SIGINT, SIGHUP};

typedef enum {
    REQUEST_READ = 'r',
    REQUEST_WRITE = 'w',
    REQUEST_STOP = 's',
} Request;

struct UvBlockd {
    int control_fd;
    pid_t pid;
};

/* A message of a kind, text and perhaps a descriptor. */
static ssize_t send_message(int socket, char kind, const char *text, int fd)
{
    const struct iovec parts[] = {{&kind, 1}, {(void *)text, strlen(text)}};

    return uv_pass_send(socket, parts, G_N_ELEMENTS(parts), &fd, fd >= 0, 0);
}

/* `ret_text` holds TEXT_MAX bytes. 0: the other side is gone. */
static ssize_t receive_message(int socket, char *ret_kind, char *ret_text, int *ret_fd)
{
    const struct iovec parts[] = {{ret_kind, 1}, {ret_text, TEXT_MAX - 1}};
    const ssize_t n = uv_pass_receive(socket, parts, G_N_ELEMENTS(parts), ret_fd, 1, 0);

    if (n > 0)
        ret_text[n - 1] = 0;
    return n;
}

/* The supervisor's side from here on. */

typedef struct {
    pid_t daemon;
    int stderr_fd;
} Supervisor;

/* A listening socket and a connection to it, whose name is gone again. */
static bool make_sockets(int *ret_listen, int *ret_connected)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/uefivars-XXXXXX";
    int listen_fd, connected;
    bool ok;

    if (!mkdtemp(folder))
        return false;
    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/nbd", folder);
    listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok = listen_fd >= 0 && connected >= 0 &&
         bind(listen_fd, (struct sockaddr *)&address, sizeof address) == 0 &&
         listen(listen_fd, 1) == 0 &&
         connect(connected, (struct sockaddr *)&address, sizeof address) == 0;
    unlink(address.sun_path);
    rmdir(folder);
    if (!ok) {
        close(listen_fd);
        close(connected);
        return false;
    }
    *ret_listen = listen_fd;
    *ret_connected = connected;
    return true;
}

/* Only the image: no backing file whatever its header names. */
static char *blockdev_option(bool writable)
{
    return g_strdup_printf("{\"driver\":\"qcow2\",\"node-name\":\"image\",\"backing\":null,"
                           "\"read-only\":%s,\"force-share\":%s,\"file\":{\"driver\":\"file\","
                           "\"filename\":\"/proc/self/fd/%d\",\"locking\":\"on\"}}",
                           writable ? "false" : "true", writable ? "false" : "true", IMAGE_FD);
}

static G_GNUC_NORETURN void run_daemon(int image, int listen_fd, int stderr_fd, bool writable)
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

    for (size_t i = 0; i < G_N_ELEMENTS(ignored_signals); i++)
        signal(ignored_signals[i], SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == 1)
        _exit(127);
    if (dup2(stderr_fd, STDERR_FILENO) < 0 || dup2(stderr_fd, STDOUT_FILENO) < 0 ||
        dup2(image, IMAGE_FD) < 0 || dup2(listen_fd, LISTEN_FD) < 0)
        _exit(127);
    /* dup2 of a descriptor onto itself keeps close-on-exec. */
    fcntl(IMAGE_FD, F_SETFD, 0);
    fcntl(LISTEN_FD, F_SETFD, 0);
    execvp(arguments[0], (char **)arguments);
    dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], g_strerror(errno));
    _exit(127);
}

static void stop_daemon(Supervisor *s, char *ret_text)
{
    ssize_t n;

    ret_text[0] = 0;
    if (s->daemon <= 0)
        return;
    for (int waited = 0; waitpid(s->daemon, NULL, WNOHANG) == 0; waited++) {
        if (waited % (STOP_MS / STOP_STEP_MS) == 0)
            kill(s->daemon, waited ? SIGKILL : SIGTERM);
        g_usleep(STOP_STEP_MS * 1000);
    }
    n = read(s->stderr_fd, ret_text, TEXT_MAX - 2);
    ret_text[MAX(n, 0)] = 0;
    close(s->stderr_fd);
    s->daemon = 0;
}

/* High enough that run_daemon() can put them where it wants them. */
static int move_up(int fd)
{
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 10);

    close(fd);
    return moved;
}

static void start_daemon(Supervisor *s, int image, bool writable)
{
    int listen_fd, connected, pipes[2];
    char text[TEXT_MAX];

    stop_daemon(s, text);
    if (image < 0 || !make_sockets(&listen_fd, &connected)) {
        send_message(CONTROL_FD, 'e', g_strerror(image < 0 ? EBADF : errno), -1);
        return;
    }
    listen_fd = move_up(listen_fd);
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0) {
        pipes[1] = move_up(pipes[1]);
        s->daemon = fork();
        if (s->daemon == 0)
            run_daemon(image, listen_fd, pipes[1], writable);
        s->stderr_fd = pipes[0];
        close(pipes[1]);
    }
    close(listen_fd);
    send_message(CONTROL_FD, 'o', "", connected);
    close(connected);
}

static G_GNUC_NORETURN void supervise(void)
{
    Supervisor s = {0};
    char kind, text[TEXT_MAX];
    int fd;

    while (receive_message(CONTROL_FD, &kind, text, &fd) > 0) {
        if (kind == REQUEST_STOP) {
            stop_daemon(&s, text);
            send_message(CONTROL_FD, 'o', text, -1);
        } else {
            if (fd >= 0)
                fd = move_up(fd);
            start_daemon(&s, fd, kind == REQUEST_WRITE);
            if (fd >= 0)
                close(fd);
        }
    }
    stop_daemon(&s, text);
    _exit(0);
}

static G_GNUC_NORETURN void become_supervisor(int control, pid_t parent)
{
    sigset_t none;
    const int null = open("/dev/null", O_RDWR);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* The engine's end is told by the socket: a signal to the group must not end this first. */
    for (size_t i = 0; i < G_N_ELEMENTS(ignored_signals); i++)
        signal(ignored_signals[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    uv_rename_process("uv-blockd");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (dup2(control, CONTROL_FD) < 0 || getppid() != parent)
        _exit(1);
    fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
    syscall(SYS_close_range, CONTROL_FD + 1, ~0u, 0);
    supervise();
}

/* The engine's side. */

UvBlockd *uv_blockd_new(GError **error)
{
    const struct timeval patience = {.tv_sec = ANSWER_MS / 1000};
    const pid_t parent = getpid();
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 || (pid = fork()) < 0) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "cannot start a supervisor: %s",
                    g_strerror(errno));
        return NULL;
    }
    if (pid == 0)
        become_supervisor(ends[1], parent);
    close(ends[1]);
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    UvBlockd *blockd = g_new0(UvBlockd, 1);
    blockd->control_fd = ends[0];
    blockd->pid = pid;
    return blockd;
}

void uv_blockd_free(UvBlockd *blockd)
{
    if (!blockd)
        return;
    g_free(uv_blockd_stop(blockd));
    close(blockd->control_fd);
    /* A confined engine may not wait; then init does. */
    TEMP_FAILURE_RETRY(waitpid(blockd->pid, NULL, 0));
    g_free(blockd);
}

static bool ask(UvBlockd *blockd, Request request, int fd, char *ret_text, int *ret_fd)
{
    char kind = 0;

    g_strlcpy(ret_text, "the supervisor is gone", TEXT_MAX);
    *ret_fd = -1;
    return send_message(blockd->control_fd, request, "", fd) > 0 &&
           receive_message(blockd->control_fd, &kind, ret_text, ret_fd) > 0 && kind == 'o';
}

int uv_blockd_start(UvBlockd *blockd, int image_fd, bool writable, GError **error)
{
    char text[TEXT_MAX];
    int fd;

    if (ask(blockd, writable ? REQUEST_WRITE : REQUEST_READ, image_fd, text, &fd) && fd >= 0)
        return fd;
    g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "cannot start qemu-storage-daemon: %s",
                text);
    return -1;
}

char *uv_blockd_stop(UvBlockd *blockd)
{
    char text[TEXT_MAX];
    int fd;

    if (!ask(blockd, REQUEST_STOP, -1, text, &fd) || !text[0])
        return NULL;
    return g_strdup(g_strdelimit(g_strstrip(text), "\n", ' '));
}
