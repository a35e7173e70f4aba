/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "bytes.h"

#include <string.h>

/* What an empty run of bytes points to, so that NULL means failure only. */
static const uint8_t nothing[1];

/* A writer's first allocation. */
#define ROOM_BYTES 64u

UvReader uv_reader(const void *bytes, size_t size)
{
    return (UvReader){.at = size ? bytes : nothing, .left = size};
}

UvReader uv_reader_of(GBytes *bytes)
{
    gsize size = 0;
    const void *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;

    return uv_reader(data, size);
}

const uint8_t *uv_read_bytes(UvReader *reader, size_t size)
{
    if (reader->failed || size > reader->left) {
        reader->failed = true;
        reader->left = 0;
        return NULL;
    }
    const uint8_t *bytes = reader->at;
    reader->at += size;
    reader->left -= size;
    return bytes;
}

static uint64_t read_le(UvReader *reader, size_t size)
{
    const uint8_t *bytes = uv_read_bytes(reader, size);
    uint64_t value = 0;

    for (size_t i = size; bytes && i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return value;
}

uint8_t uv_read_u8(UvReader *reader)
{
    return read_le(reader, 1);
}

uint16_t uv_read_u16(UvReader *reader)
{
    return read_le(reader, 2);
}

uint32_t uv_read_u32(UvReader *reader)
{
    return read_le(reader, 4);
}

uint64_t uv_read_u64(UvReader *reader)
{
    return read_le(reader, 8);
}

UvReader uv_read_sub(UvReader *reader, size_t size)
{
    const uint8_t *bytes = uv_read_bytes(reader, size);

    if (!bytes)
        return (UvReader){.at = nothing, .failed = true};
    return (UvReader){.at = bytes, .left = size};
}

bool uv_reader_done(const UvReader *reader)
{
    return !reader->failed && reader->left == 0;
}

UvWriter uv_writer(size_t cap)
{
    return (UvWriter){.cap = cap};
}

void uv_writer_clear(UvWriter *writer)
{
    g_clear_pointer(&writer->bytes, g_free);
    writer->size = writer->room = 0;
}

void uv_writer_reset(UvWriter *writer)
{
    writer->size = 0;
    writer->failed = false;
}

static void make_room(UvWriter *writer, size_t size)
{
    const size_t doubled = MAX(2 * writer->room, ROOM_BYTES);

    writer->room = MAX(writer->size + size, MIN(doubled, writer->cap));
    writer->bytes = g_realloc(writer->bytes, writer->room);
}

/* Where `size` more bytes go; NULL after a failure, and for none. */
static uint8_t *grow(UvWriter *writer, size_t size)
{
    if (writer->failed || size > writer->cap - writer->size) {
        writer->failed = true;
        return NULL;
    }
    if (size == 0)
        return NULL;
    if (size > writer->room - writer->size)
        make_room(writer, size);
    writer->size += size;
    return writer->bytes + writer->size - size;
}

void uv_put_le(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = value >> (8 * i) & 0xff;
}

static void write_le(UvWriter *writer, uint64_t value, size_t size)
{
    uint8_t *to = grow(writer, size);

    if (to)
        uv_put_le(to, value, size);
}

void uv_write_u8(UvWriter *writer, uint8_t value)
{
    write_le(writer, value, 1);
}

void uv_write_u16(UvWriter *writer, uint16_t value)
{
    write_le(writer, value, 2);
}

void uv_write_u32(UvWriter *writer, uint32_t value)
{
    write_le(writer, value, 4);
}

void uv_write_u64(UvWriter *writer, uint64_t value)
{
    write_le(writer, value, 8);
}

void uv_write_bytes(UvWriter *writer, const void *bytes, size_t size)
{
    uint8_t *to = grow(writer, size);

    if (to)
        memcpy(to, bytes, size);
}

void uv_write_gbytes(UvWriter *writer, GBytes *bytes)
{
    const UvReader all = uv_reader_of(bytes);

    uv_write_bytes(writer, all.at, all.left);
}

void uv_write_zeros(UvWriter *writer, size_t size)
{
    uint8_t *to = grow(writer, size);

    if (to)
        memset(to, 0, size);
}

/* Where `size` bytes at `offset` are; NULL after a failure, and for none. */
static uint8_t *inside(UvWriter *writer, size_t offset, size_t size)
{
    const size_t have = uv_writer_size(writer);

    if (writer->failed || offset > have || size > have - offset) {
        writer->failed = true;
        return NULL;
    }
    return size ? writer->bytes + offset : NULL;
}

static void write_le_at(UvWriter *writer, size_t offset, uint64_t value, size_t size)
{
    uint8_t *to = inside(writer, offset, size);

    if (to)
        uv_put_le(to, value, size);
}

void uv_write_bytes_at(UvWriter *writer, size_t offset, const void *bytes, size_t size)
{
    uint8_t *to = inside(writer, offset, size);

    if (to)
        memcpy(to, bytes, size);
}

void uv_write_u32_at(UvWriter *writer, size_t offset, uint32_t value)
{
    write_le_at(writer, offset, value, 4);
}

void uv_write_u64_at(UvWriter *writer, size_t offset, uint64_t value)
{
    write_le_at(writer, offset, value, 8);
}

void uv_writer_truncate(UvWriter *writer, size_t size)
{
    if (size > writer->size)
        writer->failed = true;
    else
        writer->size = size;
}

size_t uv_writer_size(const UvWriter *writer)
{
    return writer->size;
}

GBytes *uv_writer_steal(UvWriter *writer)
{
    const bool failed = writer->failed;
    const size_t size = writer->size;
    g_autofree uint8_t *bytes = g_steal_pointer(&writer->bytes);

    *writer = uv_writer(writer->cap);
    return failed ? NULL : g_bytes_new_take(g_steal_pointer(&bytes), size);
}

bool uv_bytes_are(const uint8_t *bytes, size_t size, uint8_t value)
{
    return size == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, size - 1) == 0);
}
