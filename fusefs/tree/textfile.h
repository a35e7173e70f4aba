/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A JSON text that is being written through an open file, piece by piece.
 *
 * Programs do not say when they are done in a way that can be answered (a shell ignores what
 * close() returns), but a JSON object ends by itself. So the pieces are collected and go through
 * the gate (json-gate.h) as they come, and the piece that closes the outermost object says
 * FS_TEXT_COMPLETE: the caller commits then. What is no JSON as the rules have it spoils the text
 * at once, with the place and the reason.
 *
 * After the end only white space may follow; a piece at offset 0 begins a new text.
 */

#include <glib.h>
#include <stdbool.h>

#include "json-gate.h"

typedef struct FsText FsText;

typedef enum {
    FS_TEXT_INCOMPLETE,
    FS_TEXT_COMPLETE, /* by this piece: commit */
    FS_TEXT_AFTER,    /* white space after a text that was complete before */
    FS_TEXT_SPOILED,  /* can't become such an object, or is one no more */
    FS_TEXT_GAP,      /* a piece that begins beyond what there is */
    FS_TEXT_TOO_LARGE,
    FS_TEXT_TOO_OFTEN, /* written over again and again */
} FsTextState;

FsText *fs_text_new(const UvJsonRules *rules /* for the text's life */, size_t max_bytes);
void fs_text_free(FsText *text);
/* `append`: at the end, wherever the kernel thinks that is. */
FsTextState fs_text_write(FsText *text, const void *bytes, size_t size, size_t offset, bool append);
void fs_text_truncate(FsText *text, size_t size);
/* "name:line:column: ..." of what spoiled the text, for the caller to free. */
char *fs_text_reason(const FsText *text, const char *name);
GBytes *fs_text_content(const FsText *text);
/* Something was written that never became a text. */
bool fs_text_is_unfinished(const FsText *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsText, fs_text_free)
