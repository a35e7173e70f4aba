/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The system calls that a confined engine and its keeper may make: the allow-lists of uefivarsd(8).
 * Everything else fails with EPERM.
 *
 * Nothing here but the lists: they are compiled into filters when the project is built
 * (seccomp-compile.c), so that no engine carries a compiler of filters along.
 */

#include <stdint.h>

/* NULL-terminated, sorted. */
extern const char *const uv_seccomp_engine[];
extern const char *const uv_seccomp_keeper[];

/* The commands of fcntl that both may give; a NULL name ends them. */
typedef struct {
    const char *name;
    uint32_t command;
} UvFcntlCommand;
extern const UvFcntlCommand uv_seccomp_fcntl[];

/* Of fchmod's mode: nobody gets a set-user-id file out of an engine. */
#define UV_SECCOMP_MODE_MASK 0777u
