/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Confinement of an engine: becoming the store's owner, limits, Landlock, and after start-up a
 * seccomp allow-list. What the kernel lacks is noted (status.json), or refused in strict mode.
 *
 * Order: uv_sandbox_become() -> files and sockets are opened, the keeper forks and calls
 * uv_sandbox_confine_keeper() -> uv_sandbox_confine_engine() -> the first byte of a guest is read.
 */

#include "confinement.h"

#include <stdio.h>
#include <sys/types.h>

typedef enum {
    UV_SANDBOX_AUTO,   /* what the kernel has */
    UV_SANDBOX_STRICT, /* all of it, or no engine */
    UV_SANDBOX_OFF,
} UvSandboxMode;

typedef struct {
    UvSandboxMode mode;
    UvConfinement confinement;
} UvSandbox;

UvSandbox *uv_sandbox_new(UvSandboxMode mode);
void uv_sandbox_free(UvSandbox *sandbox);

/* Groups, gid and uid; all three or an error. */
bool uv_sandbox_become(UvSandbox *sandbox, uid_t uid, gid_t gid, GError **error);
/* A session of its own, limits, not dumpable, no capabilities, no new privileges. */
bool uv_sandbox_prepare(UvSandbox *sandbox, GError **error);
/* Landlock without any rule, then the seccomp allow-list. */
bool uv_sandbox_confine_engine(UvSandbox *sandbox, GError **error);
/*
 * For the keeper, in the child: Landlock with one rule, the folder at `folder_fd`, and a list of
 * what it needs to open, rename, unlink and stat there. A kernel that lacks something is no error:
 * the engine asks for strictness before it forks. Does nothing when confinement is off.
 */
void uv_sandbox_confine_keeper(const UvSandbox *sandbox, int folder_fd);

/* The lists on `out`, a line each: role and system call, "fcntl" and command. */
void uv_sandbox_print_syscalls(FILE *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvSandbox, uv_sandbox_free)
