/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is streamed to several readers at once: blocks of whole pieces (lines, or packets), kept
 * until all readers have had them, or until they are too many. A reader that falls behind that far
 * goes on with the oldest block there is, and is told how many pieces it lost; so the memory is one
 * limit for all readers, and one block for each.
 *
 * A block that a reader has begun stays whole for it: no piece is torn.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    GQueue blocks; /* of Block (trace-stream.c), the oldest first */
    size_t kept_bytes;
    uint64_t pieces; /* that there were, lost ones too */
    uint64_t bytes;  /* that there were */
} FsTraceStream;

/* Where one reader is. */
typedef struct {
    uint64_t pieces, bytes; /* of the stream that it has behind it */
    GBytes *block;          /* what it reads just now; NULL: nothing */
    size_t offset;          /* in it */
} FsTraceCursor;

void fs_trace_stream_clear(FsTraceStream *stream);
/* `lost` pieces that no reader can have, then `count` pieces (a new reference; NULL: none). */
void fs_trace_stream_add(FsTraceStream *stream, uint64_t lost, uint32_t count, GBytes *bytes);
/* What all readers have behind them, by their positions in bytes, is let go. */
void fs_trace_stream_trim(FsTraceStream *stream, uint64_t read_bytes);

/* From here on. */
void fs_trace_cursor_init(FsTraceCursor *cursor, const FsTraceStream *stream);
void fs_trace_cursor_clear(FsTraceCursor *cursor);
/* Bytes that wait for this reader, and whether anything does. */
size_t fs_trace_cursor_backlog(const FsTraceCursor *cursor, const FsTraceStream *stream);
bool fs_trace_cursor_has(const FsTraceCursor *cursor, const FsTraceStream *stream);
/* The next bytes, at most `size`. NULL: there are none now; or `ret_lost` pieces are missing here,
 * where that is not 0. */
GBytes *fs_trace_cursor_take(FsTraceCursor *cursor, const FsTraceStream *stream, size_t size,
                             uint64_t *ret_lost);
