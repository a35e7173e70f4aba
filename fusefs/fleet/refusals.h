/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What was refused on the mount, and nothing has made good since: for each file the last time, of
 * so many files. Who succeeds with the same file takes its refusal away, so none is stale.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct FsRefusals FsRefusals;

typedef struct {
    int64_t at_us;         /* real time */
    int error;             /* errno */
    const char *operation; /* a word; static */
    const char *path;      /* from where the list is of; "": that itself */
    const char *text;      /* UTF-8 */
    bool passing;          /* a program gave that file a name for a moment only */
} FsRefusal;

FsRefusals *fs_refusals_new(void);
void fs_refusals_free(FsRefusals *refusals);
bool fs_refusals_is_empty(const FsRefusals *refusals /* nullable */);

/* Copies `path` and `text`. */
void fs_refusals_add(FsRefusals *refusals, const FsRefusal *refusal);
/* Forgets that of the file, and those of passing files beside it. */
void fs_refusals_succeeded(FsRefusals *refusals, const char *path);
/* The last one of that file, or below it; NULL: none. Borrowed until the list changes. */
const FsRefusal *fs_refusals_last(const FsRefusals *refusals /* nullable */, const char *path);

/* "TIME OPERATION PATH: ERRNO: TEXT". */
char *fs_refusal_line(const FsRefusal *refusal);
/* As ISO 8601, and as errno(3) calls it: both for the caller to free, static. */
char *fs_refusal_time(const FsRefusal *refusal);
const char *fs_refusal_errno(const FsRefusal *refusal);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsRefusals, fs_refusals_free)
