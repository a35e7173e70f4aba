/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What modes let whom do to a file, counting the folders above it: who shows it elsewhere lets them
 * do no more. Where a list (ACL) says more, the group is taken to have nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define UV_ACCESS_DEPTH_MAX 64

/* A folder and all above it, up to the root. */
typedef struct {
    int64_t walked_at; /* monotonic; 0: never */
    dev_t device;
    ino_t inode;
    struct timespec changed; /* the folder itself */
    size_t n;                /* 0: not all can be seen */
    struct {
        gid_t gid;
        mode_t mode;
        bool list;
    } folders[UV_ACCESS_DEPTH_MAX];
} UvAccessAbove;

/*
 * Walks up from `folder_fd` (O_PATH will do), which `st` is, unless that was done not long ago
 * (50 ms) and the folder itself has not changed: of those above it a change shows so late.
 */
void uv_access_walk(int folder_fd, const struct stat *st, UvAccessAbove *above);
/*
 * Of 0666: the file's mode, without what the folders above it do not let its group and others come
 * to. `found_fd` (O_PATH) is the file; -1: its list is not looked at. `st` is it.
 */
uint16_t uv_access_of_file(const UvAccessAbove *above, int found_fd, const struct stat *st);
/* Of 0777: the same of the folder. */
uint16_t uv_access_of_folder(const UvAccessAbove *above);
