/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "program.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Above all targets, so that none is overwritten before it was copied. */
#define SOURCE_FD_MIN 16
#define FIRST_FD 3

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

static G_GNUC_NORETURN void execute(const UvProgram *program)
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

/* Moves the descriptors out of the way of their targets. */
static int prepare(UvProgram *program)
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

int uv_program_become(UvProgram *program)
{
    const int result = prepare(program);

    if (result == 0)
        execute(program);
    return result;
}

int uv_program_start(UvProgram *program, pid_t *ret_pid, int *ret_pidfd)
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

void uv_program_close(UvProgram *program)
{
    for (size_t i = 0; i < program->n_fds; i++)
        uv_fd_clear(&program->fds[i]);
}
