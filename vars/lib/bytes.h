/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The bounded reader and writer. All arithmetic on bytes from outside happens here.
 *
 * A reader is a pointer, the bytes left, and a failure that sticks: after a read past the end every
 * further read gives zero (NULL for bytes) and uv_reader_done() is false. A writer appends to a
 * buffer of its own and fails, sticking too, at its cap; what it holds then is not to be used.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at;
    size_t left;
    bool failed;
} UvReader;

UvReader uv_reader(const void *bytes, size_t size); /* borrowed, as with the next */
UvReader uv_reader_of(GBytes *bytes);               /* NULL: of nothing */
uint8_t uv_read_u8(UvReader *reader);
uint16_t uv_read_u16(UvReader *reader); /* little endian, as all of them */
uint32_t uv_read_u32(UvReader *reader);
uint64_t uv_read_u64(UvReader *reader);
/* `size` bytes, borrowed from the input; NULL after a failure. A size of 0 gives a non-NULL
 * pointer. */
const uint8_t *uv_read_bytes(UvReader *reader, size_t size);
/* A reader of its own over the next `size` bytes; failed if they are not there. */
UvReader uv_read_sub(UvReader *reader, size_t size);
/* Nothing failed and nothing is left over. */
bool uv_reader_done(const UvReader *reader);

typedef struct {
    uint8_t *bytes;
    size_t size, room, cap;
    bool failed;
} UvWriter;

UvWriter uv_writer(size_t cap);
void uv_writer_clear(UvWriter *writer);
/* Empty again, with the memory it has. */
void uv_writer_reset(UvWriter *writer);
void uv_write_u8(UvWriter *writer, uint8_t value);
void uv_write_u16(UvWriter *writer, uint16_t value);
void uv_write_u32(UvWriter *writer, uint32_t value);
void uv_write_u64(UvWriter *writer, uint64_t value);
void uv_write_bytes(UvWriter *writer, const void *bytes, size_t size);
void uv_write_gbytes(UvWriter *writer, GBytes *bytes); /* NULL: nothing */
void uv_write_zeros(UvWriter *writer, size_t size);
/* Overwrites what was written at `offset`; fails the writer if that is not inside. */
void uv_write_u32_at(UvWriter *writer, size_t offset, uint32_t value);
void uv_write_u64_at(UvWriter *writer, size_t offset, uint64_t value);
void uv_write_bytes_at(UvWriter *writer, size_t offset, const void *bytes, size_t size);
size_t uv_writer_size(const UvWriter *writer);
/* Forgets what was written behind `size`; fails the writer if there is less. */
void uv_writer_truncate(UvWriter *writer, size_t size);
/* What was written, or NULL if the writer failed; the writer is empty afterwards. */
GBytes *uv_writer_steal(UvWriter *writer);

/* The lowest `size` bytes of a value, at most 8, little endian. */
void uv_put_le(uint8_t *to, uint64_t value, size_t size);
/* Every byte is this one; also true of none at all. */
bool uv_bytes_are(const uint8_t *bytes, size_t size, uint8_t value);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvWriter, uv_writer_clear)
