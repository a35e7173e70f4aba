/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "trace-stream.h"

/* With what one frame of the engine adds. */
#define KEPT_BYTES_MAX (1024u * 1024)
/* Of memory that a block takes beside its bytes. */
#define BLOCK_BYTES 128u

typedef struct {
    GBytes *bytes;
    uint64_t pieces_before, bytes_before; /* of the stream; lost ones right before it counted */
    uint32_t count;
} Block;

static void block_free(Block *block)
{
    g_bytes_unref(block->bytes);
    g_free(block);
}

void fs_trace_stream_clear(FsTraceStream *stream)
{
    g_queue_clear_full(&stream->blocks, (GDestroyNotify)block_free);
    stream->kept_bytes = 0;
}

static size_t kept_bytes(const Block *block)
{
    return g_bytes_get_size(block->bytes) + BLOCK_BYTES;
}

static void drop_oldest(FsTraceStream *stream)
{
    Block *block = g_queue_pop_head(&stream->blocks);

    stream->kept_bytes -= kept_bytes(block);
    block_free(block);
}

void fs_trace_stream_add(FsTraceStream *stream, uint64_t lost, uint32_t count, GBytes *bytes)
{
    Block *block;

    stream->pieces += lost;
    if (!bytes || count == 0)
        return;
    block = g_new(Block, 1);
    *block = (Block){g_bytes_ref(bytes), stream->pieces, stream->bytes, count};
    g_queue_push_tail(&stream->blocks, block);
    stream->pieces += count;
    stream->bytes += g_bytes_get_size(bytes);
    stream->kept_bytes += kept_bytes(block);
    while (stream->kept_bytes > KEPT_BYTES_MAX && stream->blocks.length > 1)
        drop_oldest(stream);
}

void fs_trace_stream_trim(FsTraceStream *stream, uint64_t read_bytes)
{
    const Block *block;

    while ((block = g_queue_peek_head(&stream->blocks)) && block->bytes_before < read_bytes)
        drop_oldest(stream);
}

void fs_trace_cursor_init(FsTraceCursor *cursor, const FsTraceStream *stream)
{
    *cursor = (FsTraceCursor){.pieces = stream->pieces, .bytes = stream->bytes};
}

void fs_trace_cursor_clear(FsTraceCursor *cursor)
{
    g_clear_pointer(&cursor->block, g_bytes_unref);
}

size_t fs_trace_cursor_backlog(const FsTraceCursor *cursor, const FsTraceStream *stream)
{
    const size_t left = cursor->block ? g_bytes_get_size(cursor->block) - cursor->offset : 0;

    return stream->bytes - cursor->bytes + left;
}

bool fs_trace_cursor_has(const FsTraceCursor *cursor, const FsTraceStream *stream)
{
    return cursor->block || cursor->pieces != stream->pieces;
}

static const Block *next_block(const FsTraceCursor *cursor, const FsTraceStream *stream)
{
    const GList *link = stream->blocks.head;

    while (link && ((const Block *)link->data)->bytes_before < cursor->bytes)
        link = link->next;
    return link ? link->data : NULL;
}

/* Goes on with the next block, if there is one; returns how many pieces are missing before it. */
static uint64_t begin_block(FsTraceCursor *cursor, const FsTraceStream *stream)
{
    const Block *block = next_block(cursor, stream);
    const uint64_t to = block ? block->pieces_before : stream->pieces;
    const uint64_t lost = to - cursor->pieces;

    cursor->pieces = to;
    if (!block)
        return lost;
    cursor->block = g_bytes_ref(block->bytes);
    cursor->offset = 0;
    cursor->pieces += block->count;
    cursor->bytes = block->bytes_before + g_bytes_get_size(block->bytes);
    return lost;
}

GBytes *fs_trace_cursor_take(FsTraceCursor *cursor, const FsTraceStream *stream, size_t size,
                             uint64_t *ret_lost)
{
    *ret_lost = cursor->block ? 0 : begin_block(cursor, stream);
    if (*ret_lost > 0 || !cursor->block || size == 0)
        return NULL;
    const size_t left = g_bytes_get_size(cursor->block) - cursor->offset;
    GBytes *part = g_bytes_new_from_bytes(cursor->block, cursor->offset, MIN(size, left));
    cursor->offset += g_bytes_get_size(part);
    if (cursor->offset == g_bytes_get_size(cursor->block))
        fs_trace_cursor_clear(cursor);
    return part;
}
