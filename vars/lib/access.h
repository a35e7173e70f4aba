/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What modes let whom do to a file, counting the folders above it: who shows it elsewhere lets them
 * do no more. Where a list (ACL) says more, the group is taken to have nothing.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * Of 0666: the file's mode, without what the folders above it, up to the root, do not let its
 * group and others come to. `folder_fd` (O_PATH will do) and `name` are the file's, `st` is it.
 */
uint16_t uv_access_of_file(int folder_fd, const char *name, const struct stat *st);
/* Of 0777: the same of a folder. */
uint16_t uv_access_of_folder(int folder_fd);

/* For many files of one folder at once, whose lists are not looked at. */
typedef struct {
    bool known;
    gid_t gid; /* whose `classes` are known */
    unsigned classes;
    uint16_t reach; /* of the folder */
} UvAccessAbove;

void uv_access_begin(int folder_fd, UvAccessAbove *ret_above);
uint16_t uv_access_briefly(int folder_fd, UvAccessAbove *above, const struct stat *st);
