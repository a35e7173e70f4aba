/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Programs that run as a given user, without capabilities, with exactly the descriptors they are
 * given.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define UV_PROGRAM_FDS 7

typedef struct {
    const char *path;
    char **argv;
    uid_t uid; /* as root; else it stays who starts it */
    gid_t gid;
    /* They become 3 and up; 0 and 1 are /dev/null, 2 is ours. One that is -errno is the result. */
    int fds[UV_PROGRAM_FDS];
    size_t n_fds;
    char *const *environment; /* NULL: a PATH and a locale */
} UvProgram;

/* Before the process has many descriptors: numbers for those of its programs, so that what a start
 * costs does not grow with them. false: they can't be had, and programs start without. */
bool uv_program_reserve(void);
/* This process becomes it. Returns an -errno. */
int uv_program_become(UvProgram *program);
/* In a session of its own, as our child; closes the descriptors. 0 or -errno. */
int uv_program_start(UvProgram *program, pid_t *ret_pid, int *ret_pidfd);
/* A child of ours has ended (and is reaped), like this. false: it lives. */
bool uv_child_reap(int pidfd, siginfo_t *ret_info);
/* A child of ours is stopped by a signal, and will do nothing until another one continues it. */
bool uv_child_is_stopped(int pidfd);
/* There is no such process, or it has ended and only its parent has not heard of that. Of 0 too. */
bool uv_process_is_gone(pid_t pid);
