/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by staging.c and staging-file.c. */

#include "tree-parts.h"

#define FS_STAGING_FILES_MAX 16                   /* a guest */
#define FS_STAGING_VARS_MAX (128 * 1024)          /* in vars/: a variable */
#define FS_STAGING_CONTROL_MAX FS_STORE_IMAGE_MAX /* beside store.json: a whole store */
#define FS_STAGING_GUEST_MAX (FS_STAGING_CONTROL_MAX + FS_STAGING_FILES_MAX * FS_STAGING_VARS_MAX)

struct FsStaging {
    FsNode *node; /* held */
    GByteArray *bytes;
    char *target; /* of a link; NULL: it is a file */
    bool sink;    /* nothing is kept */
    bool brief;   /* a sink that goes when it is closed */
    size_t max_bytes;
    mode_t mode;
    int64_t mtime_ns;
    bool mtime_set;
    int64_t used_us; /* monotonic */
    GList in_tree;   /* FsTree.staging */
};

extern const FsNodeClass fs_staging_link_class, fs_staging_folder_class;

FsStaging *fs_staging_of(const FsNode *node);
/* The op ends: no staging file is called so. */
void fs_staging_refuse_name(FsOp *op);
/* It lives another minute. */
void fs_staging_use(FsTree *tree, FsStaging *staging);
