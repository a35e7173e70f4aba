/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is written through an open file of a view, piece by piece.
 *
 * A shell's echo does not say that it is done in a way that can be answered, so each piece commits
 * all that was written so far: a line, then two. But programs that copy (cat, dd, tee) split what
 * is larger than their buffer, and half an update is none: while what is there is a multiple of
 * 4096 bytes, more is expected, and it is committed when the file is closed.
 *
 * Where a write is a change of its own (append: "one write is one change") the next piece begins
 * anew.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct FsViewText FsViewText;

/* `before` (nullable): what appended pieces follow. `each_anew`: a piece after a commit is a text
 * of its own. */
FsViewText *fs_view_text_new(GBytes *before, bool each_anew);
void fs_view_text_free(FsViewText *text);
/* 0, or an errno: EFBIG, EINVAL (a gap). `append`: at the end, wherever the kernel thinks that
 * is. */
int fs_view_text_write(FsViewText *text, const void *bytes, size_t size, size_t offset,
                       bool append);
void fs_view_text_truncate(FsViewText *text, size_t size);
/* What it takes. */
size_t fs_view_text_bytes(const FsViewText *text);
/* There is something, and it is not to be committed before the file is closed. */
bool fs_view_text_is_held(const FsViewText *text);
/* A new reference: what is to be committed. */
GBytes *fs_view_text_content(const FsViewText *text);
void fs_view_text_committed(FsViewText *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsViewText, fs_view_text_free)
