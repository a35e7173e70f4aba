/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Landlock, as far as an engine and those beside it need it. The kernel's own header is often older
 * than the kernel, so its constants are stated in landlock.c.
 */

#include <stddef.h>

/* The kernel's ABI version, or 0 without Landlock. */
int uv_landlock_abi(void);

typedef enum {
    UV_LANDLOCK_FOLDER, /* ordinary files beneath it: read, write, make, rename, remove */
    UV_LANDLOCK_RUN,    /* programs and libraries beneath it: read and run */
    UV_LANDLOCK_BROWSE, /* files and folders beneath it: read */
    UV_LANDLOCK_READ,   /* this file */
    UV_LANDLOCK_WRITE,  /* this file, or this device */
} UvLandlockAccess;

/* What `fd` is open on (O_PATH will do). */
typedef struct {
    int fd;
    UvLandlockAccess access;
} UvLandlockRule;

/*
 * Denies everything that this kernel's Landlock can deny (files, TCP ports, abstract sockets and
 * signals to others), but what the rules say. Needs no_new_privs. 0 or an errno.
 */
int uv_landlock_confine(const UvLandlockRule *rules, size_t n_rules);
#define UV_LANDLOCK_OWN_RULES 4
/* For a process that becomes or starts another program, which is not ours: the same, and what a
 * program needs to run. At most UV_LANDLOCK_OWN_RULES. */
int uv_landlock_confine_program(const UvLandlockRule *rules, size_t n_rules);
