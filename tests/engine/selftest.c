/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a confined process must fail at, tried for real. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd-pass.h"
#include "fd.h"
#include "folder.h"
#include "selftest.h"

#define DESCRIPTORS_TRIED 256
#define ASIDE_TRIED 64
#define ASIDE_BYTES (1 << 20)
#define GROWN_BYTES (200 << 20)

/* `result` below zero: it failed, and errno says how. */
static void report(GString *out, const char *attempt, int result)
{
    if (result < 0)
        g_string_append_printf(out, "%s: denied: %s\n", attempt, g_strerror(errno));
    else
        g_string_append_printf(out, "%s: ALLOWED\n", attempt);
}

static void try_open(GString *out, const char *attempt, const char *path)
{
    uv_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);

    report(out, attempt, fd);
}

/* From every descriptor that it has: one of a folder would do. */
static void try_open_beneath(GString *out, const char *name)
{
    uv_autofd int found = -1;
    int last = ENOENT;

    for (int at = 0; at < DESCRIPTORS_TRIED && found < 0; at++) {
        found = openat(at, name, O_RDONLY | O_CLOEXEC);
        if (found < 0 && errno != EBADF)
            last = errno;
    }
    errno = last;
    report(out, "openat", found);
}

static void try_connect(GString *out)
{
    const struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/stdout"};
    uv_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        report(out, "connect", -1);
        return;
    }
    const int result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    /* That no process listens there is no confinement. */
    report(out, "connect", result < 0 && (errno == ENOENT || errno == ECONNREFUSED) ? 0 : result);
}

/* Of all its descriptors one would do. */
static void try_fcntl(GString *out, const char *attempt, int command, long argument)
{
    int result = -1;

    for (int fd = 0; fd < DESCRIPTORS_TRIED && result < 0; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            result = fcntl(fd, command, argument);
    }
    report(out, attempt, result);
}

static void try_set_user_id(GString *out)
{
    int result = -1;

    for (int fd = 0; fd < DESCRIPTORS_TRIED && result < 0; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            result = fchmod(fd, 04755);
    }
    report(out, "fchmod 4755", result);
}

static void try_descriptors(GString *out)
{
    const struct f_owner_ex owner = {F_OWNER_PID, getppid()};

    try_fcntl(out, "F_SETOWN", F_SETOWN, getppid());
    try_fcntl(out, "F_SETOWN_EX", F_SETOWN_EX, (long)&owner);
    try_fcntl(out, "F_SETSIG", F_SETSIG, SIGKILL);
    try_fcntl(out, "F_NOTIFY", F_NOTIFY, DN_CREATE | DN_MULTISHOT);
    try_set_user_id(out);
}

/* Without confinement this ends the engine, which is an answer too. */
static void try_exec(GString *out)
{
    char name[] = "true";
    char *const arguments[] = {name, NULL};

    report(out, "execve", execve("/bin/true", arguments, arguments + 1));
}

static void try_fork(GString *out)
{
    const pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    report(out, "fork", pid);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
}

static void try_ptrace(GString *out)
{
    const pid_t parent = getppid();
    const long result = ptrace(PTRACE_SEIZE, parent, NULL, NULL);

    report(out, "ptrace", result < 0 ? -1 : 0);
    if (result == 0)
        (void)ptrace(PTRACE_DETACH, parent, NULL, NULL);
}

/* The socket to the keeper is the only one of its kind. */
static int find_keeper(void)
{
    for (int fd = 0; fd < DESCRIPTORS_TRIED; fd++) {
        int type = 0;
        socklen_t size = sizeof(type);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
            return fd;
    }
    return -1;
}

/* As keeper.c has them. */
enum {
    REQUEST_OPEN = 1,
    REQUEST_RENAME,
};

/* The descriptor, 0, or -errno. */
static int ask_keeper(int keeper, uint32_t kind, uint32_t role, uint32_t argument)
{
    const uint32_t request[] = {kind, role, argument};
    const struct iovec sent = {(void *)request, sizeof(request)};
    uint8_t reply[512];
    const struct iovec received = {reply, sizeof(reply)};
    int fd = -1;
    int32_t result;

    if (uv_pass_send(keeper, &sent, 1, NULL, 0, 0) < 0 ||
        uv_pass_receive(keeper, &received, 1, &fd, 1, 0) < (ssize_t)sizeof(result))
        return -EIO;
    memcpy(&result, reply, sizeof(result));
    return fd >= 0 ? fd : result;
}

/* Journals that are set aside without end, and grow afterwards. */
static char *attack_keeper(void)
{
    const int keeper = find_keeper();
    int fds[ASIDE_TRIED], n = 0, result = 0;

    for (; n < ASIDE_TRIED && result == 0; n++) {
        fds[n] = ask_keeper(keeper, REQUEST_OPEN, UV_FILE_JOURNAL, O_RDWR | O_CREAT);
        if (fds[n] < 0 || pwrite(fds[n], "x", 1, ASIDE_BYTES - 1) != 1)
            return g_strdup_printf("journal: denied: %d\n", fds[n]);
        result = ask_keeper(keeper, REQUEST_RENAME, UV_FILE_JOURNAL, UV_FILE_CONFLICT);
    }
    for (int i = 0; i < n; i++)
        if (pwrite(fds[i], "x", 1, GROWN_BYTES - 1) != 1)
            result = -errno;
    return g_strdup_printf("set aside: %d, then %s\n", n - 1, g_strerror(-result));
}

char *uv_selftest(const char *other_store)
{
    GString *out = g_string_new(NULL);

    if (strcmp(other_store, "keeper") == 0) {
        g_string_free(out, TRUE);
        return attack_keeper();
    }
    try_open(out, "open /etc/passwd", "/etc/passwd");
    try_open(out, "open store", other_store);
    const char *slash = strrchr(other_store, '/');
    try_open_beneath(out, slash ? slash + 1 : other_store);
    try_connect(out);
    try_fork(out);
    try_ptrace(out);
    try_descriptors(out);
    try_exec(out);
    return g_string_free(out, FALSE);
}
