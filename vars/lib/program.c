/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A process with tens of thousands of descriptors would pay for each of them at each start: they
 * are copied for the child, which closes them. So the child shares them until it has parted with
 * all but the lowest in one call, which copies no others; what the program is given has to be among
 * those, at numbers that were reserved while they were to be had.
 */

#include "program.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above all targets, so that none is overwritten before it was copied. */
#define SOURCE_FD_MIN 16
#define FIRST_FD 3
/* One more than the largest program is given, with which the others are filled. */
#define SLOTS (UV_PROGRAM_FDS + 1)
#define STACK_BYTES (64 * 1024)

static int first_slot; /* of this process; 0: none are reserved */

/* A child that has our memory, but no stack that a sanitizer knows. */
#define ON_OTHER_STACK __attribute__((no_sanitize("address")))

/*
 * In the child, which has the parent's memory until it executes: system calls only, and the raw
 * ones, for those of the library tell all threads. Root without a bounding set is a user like
 * others, whose files are root's.
 */
ON_OTHER_STACK static void become(uid_t uid, gid_t gid)
{
    if (geteuid() != 0)
        return;
    for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
        capability++;
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
        syscall(SYS_setresuid, uid, uid, uid) < 0)
        _exit(126);
}

ON_OTHER_STACK static G_GNUC_NORETURN void execute(const UvProgram *program)
{
    static char path[] = "PATH=/usr/bin:/bin", locale[] = "LC_ALL=C.UTF-8";
    char *const usual[] = {path, locale, NULL};
    char *const *environment = program->environment ? program->environment : usual;
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

bool uv_program_reserve(void)
{
    uv_autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int first = null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, SOURCE_FD_MIN);

    for (int slot = first + 1; first >= 0 && slot < first + SLOTS; slot++) {
        int fd = fcntl(null, F_DUPFD_CLOEXEC, slot);
        if (fd == slot)
            continue;
        uv_fd_clear(&fd); /* it is taken */
        close_range((unsigned)first, (unsigned)slot - 1, 0);
        return false;
    }
    first_slot = MAX(first, 0);
    return first_slot > 0;
}

/* Moves the descriptors out of the way of their targets, with `slot` (not 0) to those from there
 * on. */
static int prepare(UvProgram *program, int slot)
{
    for (size_t i = 0; i < program->n_fds; i++) {
        const int fd = program->fds[i];
        if (fd < 0)
            return fd;
        const int lifted =
            slot ? dup3(fd, slot + (int)i, O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, SOURCE_FD_MIN);
        if (lifted < 0)
            return -errno;
        uv_fd_clear(&program->fds[i]);
        program->fds[i] = lifted;
    }
    return access(program->path, X_OK) < 0 ? -errno : 0;
}

/* Of a child, which may have closed the slots, and have others there. */
int uv_program_become(UvProgram *program)
{
    const int result = prepare(program, 0);

    if (result == 0)
        execute(program);
    return result;
}

ON_OTHER_STACK static int part_and_execute(void *data)
{
    const UvProgram *program = data;

    if (first_slot && close_range((unsigned)(first_slot + SLOTS), ~0u, CLOSE_RANGE_UNSHARE) < 0 &&
        unshare(CLONE_FILES) < 0)
        _exit(126);
    execute(program);
}

/* We stand still until it executes. */
static pid_t start(UvProgram *program, int *ret_pidfd)
{
    static _Alignas(16) char stack[STACK_BYTES];
    const int shared = first_slot ? CLONE_FILES : 0;

    return clone(part_and_execute, stack + STACK_BYTES,
                 CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD | shared, program, ret_pidfd);
}

/* A slot is filled again with what was there. */
static void close_all(UvProgram *program)
{
    for (size_t i = 0; i < program->n_fds; i++) {
        const int slot = first_slot + (int)i;

        if (first_slot && program->fds[i] == slot)
            (void)dup3(first_slot + SLOTS - 1, slot, O_CLOEXEC);
        else
            uv_fd_clear(&program->fds[i]);
    }
}

int uv_program_start(UvProgram *program, pid_t *ret_pid, int *ret_pidfd)
{
    int result = prepare(program, first_slot);

    if (result == 0) {
        *ret_pid = start(program, ret_pidfd);
        result = *ret_pid < 0 ? -errno : 0;
    }
    close_all(program);
    return result;
}

bool uv_child_reap(int pidfd, siginfo_t *ret_info)
{
    *ret_info = (siginfo_t){0};
    return waitid(P_PIDFD, (id_t)pidfd, ret_info, WEXITED | WNOHANG) == 0 && ret_info->si_pid != 0;
}

bool uv_child_is_stopped(int pidfd)
{
    siginfo_t info = {0};

    return pidfd >= 0 && waitid(P_PIDFD, (id_t)pidfd, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

bool uv_process_is_gone(pid_t pid)
{
    uv_autofd int pidfd = pid == 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

    return pid == 0 || (pidfd < 0 ? errno == ESRCH : poll(&poll_fd, 1, 0) > 0);
}
