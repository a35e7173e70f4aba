/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A JSON text that is being written through an open file, piece by piece.
 *
 * Programs do not say when they are done in a way that can be answered (a shell ignores what
 * close() returns), but a JSON object ends by itself. So the pieces are collected and go through
 * the gate (json-gate.h) as they come, and the piece that closes the outermost object says
 * FS_TEXTFILE_COMPLETE: the caller commits then. What is no JSON as the rules have it spoils the
 * text at once, with the place and the reason.
 *
 * After the end only white space may follow; a piece at offset 0 begins a new text.
 */

#include <glib.h>
#include <stdbool.h>

#include "json-gate.h"

typedef struct FsTextFile FsTextFile;

typedef enum {
    FS_TEXTFILE_INCOMPLETE,
    FS_TEXTFILE_COMPLETE, /* by this piece: commit */
    FS_TEXTFILE_AFTER,    /* white space after a text that was complete before */
    FS_TEXTFILE_SPOILED,  /* can't become such an object, or is one no more */
    FS_TEXTFILE_GAP,      /* a piece that begins beyond what there is */
    FS_TEXTFILE_TOO_LARGE,
    FS_TEXTFILE_TOO_OFTEN, /* written over again and again */
} FsTextFileState;

FsTextFile *fs_textfile_new(const UvJsonRules *rules /* for the text's life */, size_t max_bytes);
void fs_textfile_free(FsTextFile *text);
/* `append`: at the end, wherever the kernel thinks that is. */
FsTextFileState fs_textfile_write(FsTextFile *text, const void *bytes, size_t size, size_t offset,
                                  bool append);
void fs_textfile_truncate(FsTextFile *text, size_t size);
/* "name:line:column: ..." of what spoiled the text, for the caller to free. */
char *fs_textfile_reason(const FsTextFile *text, const char *name);
GBytes *fs_textfile_content(const FsTextFile *text);
size_t fs_textfile_bytes(const FsTextFile *text);
/* Something was written that never became a text. */
bool fs_textfile_is_unfinished(const FsTextFile *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsTextFile, fs_textfile_free)
