/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is written through one open file, kept until the file is closed, because only then it is
 * complete: there is no end in it, as in a JSON text, and a program may write it in pieces. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    GByteArray *bytes;
    size_t max_bytes;
    bool changed;     /* since it was taken last */
    int64_t mtime_ns; /* a program set it; 0: none did */
} FsCollected;

FsCollected *fs_collected_new(size_t max_bytes);
void fs_collected_free(FsCollected *collected);
/* 0 or an errno; what is skipped is zeros. */
int fs_collected_write(FsCollected *collected, GBytes *piece, size_t offset);
int fs_collected_resize(FsCollected *collected, size_t size);
/* What is to be committed now; NULL: nothing new. */
GBytes *fs_collected_take(FsCollected *collected);
