/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which file it is, to be remembered on disk. An inode's number is given again as soon as its file
 * is gone, so the time of its birth goes with it. Device numbers do not: for many file systems they
 * are others after each mount.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t inode;  /* 0: no file, or it can't be found out */
    int64_t born_ns; /* 0: the file system does not keep it */
} UvFileId;

/* Of an open file. */
UvFileId uv_file_id(int fd);
/* false if either is not known. */
bool uv_file_id_equal(const UvFileId *a, const UvFileId *b);
