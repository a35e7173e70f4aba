/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "flash-ftw.h"

#include "bytes.h"
#include "digest.h"
#include "guid.h"
#include "store.h"

#include <string.h>

/* The CRC-32 of the UEFI specification (the one of zlib), reflected. */
#define CRC32 0xedb88320u

#define WORK_HEADER_BYTES 32u
#define WORK_FLAGS_AT 20u
#define WORK_FLAGS_NONE 0xff
#define WORK_FLAGS_VALID 0xfe
#define WORK_FLAGS_INVALID 0xfc /* also marked invalid: the copy in the spare area counts */

#define WRITE_HEADER_BYTES 40u
#define WRITE_RECORD_BYTES 40u
/* Bits are 0 when they hold. */
#define HEADER_ALLOCATED 0x01
#define WRITES_ALLOCATED 0x02
#define WRITES_COMPLETE 0x04
#define BOOT_BLOCK_UPDATE 0x01
#define SPARE_COMPLETE 0x02
#define DESTINATION_COMPLETE 0x04

static const UvGuid guid_work =
    UV_GUID(0x9e58292bu, 0x7c68, 0x497d, 0xa0, 0xce, 0x65, 0x00, 0xfd, 0x9f, 0x1b, 0x95);
/* The writer: edk2's VariableRuntimeDxe, whose work this is. */
static const UvGuid guid_caller =
    UV_GUID(0xcbd2e4d5u, 0x7068, 0x4ff5, 0xb4, 0x62, 0x98, 0x22, 0xb4, 0xad, 0x8d, 0x60);

typedef struct {
    uint8_t flags;
    uint64_t writes;
    uint64_t private_bytes;
} WriteHeader;

typedef struct {
    uint8_t flags;
    uint64_t offset;
    uint64_t length;
    int64_t relative;
} WriteRecord;

static bool refuse(UvImage *image, uint64_t offset, const char *what, GError **error)
{
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                   "%s: offset 0x%" PRIx64 ": a fault tolerant write in progress %s", image->name,
                   offset, what);
}

/* The header that a working block of this size has; edk2 compares byte for byte too. */
static void work_header(const UvFlashLayout *layout, uint8_t ret[WORK_HEADER_BYTES])
{
    g_auto(UvWriter) writer = uv_writer(WORK_HEADER_BYTES);

    uv_write_bytes(&writer, guid_work.bytes, 16);
    uv_write_u32(&writer, 0xffffffff); /* the CRC, taken while it and the flags are erased */
    uv_write_u32(&writer, 0xffffffff);
    uv_write_u64(&writer, layout->work_bytes - WORK_HEADER_BYTES);
    uv_write_u32_at(&writer, 16, uv_crc(CRC32, UINT32_MAX, 0, writer.bytes, WORK_HEADER_BYTES));
    memcpy(ret, writer.bytes, WORK_HEADER_BYTES);
    ret[WORK_FLAGS_AT] = WORK_FLAGS_VALID;
}

static bool read_write_header(UvImage *image, uint64_t at, WriteHeader *ret, GError **error)
{
    uint8_t bytes[WRITE_HEADER_BYTES];

    if (!uv_image_read(image, at, bytes, sizeof(bytes), error))
        return false;
    UvReader reader = uv_reader(bytes, sizeof(bytes));
    ret->flags = uv_read_u8(&reader);
    uv_read_bytes(&reader, 23); /* padding, caller */
    ret->writes = uv_read_u64(&reader);
    ret->private_bytes = uv_read_u64(&reader);
    return true;
}

static bool read_write_record(UvImage *image, uint64_t at, WriteRecord *ret, GError **error)
{
    uint8_t bytes[WRITE_RECORD_BYTES];

    if (!uv_image_read(image, at, bytes, sizeof(bytes), error))
        return false;
    UvReader reader = uv_reader(bytes, sizeof(bytes));
    ret->flags = uv_read_u8(&reader);
    uv_read_bytes(&reader, 15); /* padding, LBA */
    ret->offset = uv_read_u64(&reader);
    ret->length = uv_read_u64(&reader);
    ret->relative = (int64_t)uv_read_u64(&reader);
    return true;
}

/* Bytes of a write in the queue; 0: impossible. */
static uint64_t write_bytes(const UvFlashLayout *layout, const WriteHeader *h)
{
    if (h->writes == 0 || h->writes > layout->work_bytes / WRITE_RECORD_BYTES ||
        h->private_bytes > layout->work_bytes)
        return 0;
    return WRITE_HEADER_BYTES + h->writes * (WRITE_RECORD_BYTES + h->private_bytes);
}

/* Walks the queue to the write that is not complete, or to its end. */
static bool find_last_write(UvImage *image, const UvFlashLayout *layout, uint32_t *ret_at,
                            WriteHeader *ret_header, GError **error)
{
    uint64_t at = WORK_HEADER_BYTES;

    for (;;) {
        if (at + WRITE_HEADER_BYTES + WRITE_RECORD_BYTES > layout->work_bytes) {
            *ret_at = layout->work_bytes;
            *ret_header = (WriteHeader){.flags = 0xff};
            return true;
        }
        if (!read_write_header(image, layout->work_offset + at, ret_header, error))
            return false;
        if (ret_header->flags & WRITES_COMPLETE)
            break;
        const uint64_t bytes = write_bytes(layout, ret_header);
        if (bytes == 0) { /* edk2 then starts the queue afresh */
            *ret_at = layout->work_bytes;
            *ret_header = (WriteHeader){.flags = 0xff};
            return true;
        }
        at += bytes;
    }
    *ret_at = at;
    return true;
}

/* The first record whose destination is not complete; the last one if all are. */
static bool find_last_record(UvImage *image, const UvFlashLayout *layout, const WriteHeader *h,
                             UvFtw *ftw, WriteRecord *ret, GError **error)
{
    uint64_t at = (uint64_t)ftw->write_at + WRITE_HEADER_BYTES;

    for (uint64_t i = 0; i < h->writes; i++, at += WRITE_RECORD_BYTES + h->private_bytes) {
        if (!read_write_record(image, layout->work_offset + at, ret, error))
            return false;
        ftw->record_at = at;
        if (ret->flags & DESTINATION_COMPLETE)
            return true;
    }
    return true;
}

static bool take_pending(UvImage *image, const UvFlashLayout *layout, const WriteRecord *record,
                         UvFtw *ftw, GError **error)
{
    const uint64_t at = layout->work_offset + ftw->record_at;
    const uint64_t block = layout->block_bytes;

    if (!(record->flags & BOOT_BLOCK_UPDATE))
        return refuse(image, at, "updates a boot block", error);
    if (layout->spare_offset == 0)
        return refuse(image, at, "has a spare area that can't be found", error);
    if (block == 0 || record->offset > layout->spare_bytes || record->length > layout->spare_bytes)
        return refuse(image, at, "has an impossible length", error);
    const uint64_t bytes = (record->offset + record->length + block - 1) / block * block;
    if (bytes == 0 || bytes > layout->spare_bytes)
        return refuse(image, at, "has an impossible length", error);
    if (record->relative < -(int64_t)layout->volume_bytes || record->relative >= 0)
        return refuse(image, at, "has its target outside the variable area", error);
    const int64_t target = (int64_t)layout->spare_offset + record->relative;
    if (target < (int64_t)layout->volume_offset || (uint64_t)target + bytes > layout->work_offset)
        return refuse(image, at, "has its target outside the variable area", error);
    ftw->pending = true;
    ftw->target_offset = target;
    ftw->target_bytes = bytes;
    return true;
}

bool uv_ftw_read(UvImage *image, const UvFlashLayout *layout, UvFtw *ret_ftw, GError **error)
{
    uint8_t expected[WORK_HEADER_BYTES], found[WORK_HEADER_BYTES];
    UvFtw ftw = {0};
    WriteHeader header;
    WriteRecord record = {.flags = 0xff};

    *ret_ftw = ftw;
    if (layout->work_offset == 0 || layout->work_bytes < 2 * WORK_HEADER_BYTES || layout->blank)
        return true;
    work_header(layout, expected);
    if (!uv_image_read(image, layout->work_offset, found, sizeof(found), error))
        return false;
    if (memcmp(expected, found, sizeof(found)) != 0)
        return true; /* edk2 makes a new one, or takes the spare area's copy: nothing is pending */
    ftw.valid = true;
    if (!find_last_write(image, layout, &ftw.write_at, &header, error))
        return false;
    if (header.flags & HEADER_ALLOCATED) {
        *ret_ftw = ftw;
        return true;
    }
    const uint64_t bytes = write_bytes(layout, &header);
    if (bytes == 0 || ftw.write_at + bytes > layout->work_bytes) {
        ftw.open = true; /* torn while it was allocated */
        *ret_ftw = ftw;
        return true;
    }
    if (!find_last_record(image, layout, &header, &ftw, &record, error))
        return false;
    if (!(record.flags & SPARE_COMPLETE) && (record.flags & DESTINATION_COMPLETE)) {
        if (!take_pending(image, layout, &record, &ftw, error))
            return false;
    } else {
        ftw.open = true;
    }
    *ret_ftw = ftw;
    return true;
}

bool uv_ftw_read_through(UvImage *image, const UvFlashLayout *layout, const UvFtw *ftw,
                         uint64_t offset, void *bytes, size_t size, GError **error)
{
    const uint64_t target_end = ftw->target_offset + ftw->target_bytes;

    if (!uv_image_read(image, offset, bytes, size, error))
        return false;
    if (!ftw->pending || offset >= target_end || offset + size <= ftw->target_offset)
        return true;
    const uint64_t from = MAX(offset, ftw->target_offset);
    const uint64_t to = MIN(offset + size, target_end);
    return uv_image_read(image, layout->spare_offset + (from - ftw->target_offset),
                         (uint8_t *)bytes + (from - offset), to - from, error);
}

/* One flag byte, durable. */
static bool put_flags(UvImage *image, uint64_t at, uint8_t flags, GError **error)
{
    return uv_image_write(image, at, &flags, 1, error) && uv_image_flush(image, error);
}

static bool clear_flag(UvImage *image, uint64_t at, uint8_t flag, GError **error)
{
    uint8_t flags;

    return uv_image_read(image, at, &flags, 1, error) && put_flags(image, at, flags & ~flag, error);
}

static bool put(UvImage *image, uint64_t at, const void *bytes, size_t size, GError **error)
{
    return uv_image_write(image, at, bytes, size, error) && uv_image_flush(image, error);
}

static bool copy(UvImage *image, uint64_t from, uint64_t to, size_t size, GError **error)
{
    g_autofree uint8_t *bytes = g_malloc(size);

    return uv_image_read(image, from, bytes, size, error) && put(image, to, bytes, size, error);
}

static bool erase(UvImage *image, uint64_t at, size_t size, GError **error)
{
    g_autofree uint8_t *bytes = g_malloc(size);

    memset(bytes, 0xff, size);
    return put(image, at, bytes, size, error);
}

bool uv_ftw_settle(UvImage *image, const UvFlashLayout *layout, UvFtw *ftw, GError **error)
{
    const uint64_t work = layout->work_offset;

    if (ftw->pending &&
        (!copy(image, layout->spare_offset, ftw->target_offset, ftw->target_bytes, error) ||
         !clear_flag(image, work + ftw->record_at, DESTINATION_COMPLETE, error)))
        return false;
    if ((ftw->pending || ftw->open) &&
        !clear_flag(image, work + ftw->write_at, WRITES_COMPLETE, error))
        return false;
    if (ftw->pending && !erase(image, layout->spare_offset, layout->spare_bytes, error))
        return false;
    return uv_ftw_read(image, layout, ftw, error);
}

bool uv_ftw_format(UvImage *image, const UvFlashLayout *layout, GError **error)
{
    uint8_t header[WORK_HEADER_BYTES];

    work_header(layout, header);
    return put(image, layout->work_offset, header, sizeof(header), error);
}

bool uv_ftw_usable(const UvFlashLayout *layout)
{
    const uint64_t in_volume = layout->store_offset - layout->volume_offset;
    const uint64_t block = layout->block_bytes;

    if (layout->spare_offset == 0 || block == 0)
        return false;
    const uint64_t blocks = (in_volume % block + layout->store_bytes + block - 1) / block;
    return blocks * block <= layout->spare_bytes &&
           layout->volume_offset + (in_volume / block + blocks) * block <= layout->work_offset;
}

/*
 * An empty queue. The new working block is made in the spare area first; while the one in its place
 * is marked invalid, that copy counts.
 */
static bool renew_work(UvImage *image, const UvFlashLayout *layout, UvFtw *ftw, GError **error)
{
    g_autofree uint8_t *work = g_malloc(layout->work_bytes);
    const size_t spared = MIN(layout->work_bytes, layout->spare_bytes);
    g_autofree uint8_t *spare = g_malloc(spared);
    const uint64_t at = layout->work_offset;

    memset(work, 0xff, layout->work_bytes);
    work_header(layout, work);
    work[WORK_FLAGS_AT] = WORK_FLAGS_NONE;
    if (!uv_image_read(image, layout->spare_offset, spare, spared, error) ||
        !put(image, layout->spare_offset, work, spared, error) ||
        !put_flags(image, layout->spare_offset + WORK_FLAGS_AT, WORK_FLAGS_VALID, error) ||
        !put_flags(image, at + WORK_FLAGS_AT, WORK_FLAGS_INVALID, error) ||
        !put(image, at, work, layout->work_bytes, error) ||
        !put_flags(image, at + WORK_FLAGS_AT, WORK_FLAGS_VALID, error) ||
        !put(image, layout->spare_offset, spare, spared, error))
        return false;
    return uv_ftw_read(image, layout, ftw, error);
}

static GBytes *format_write(uint64_t block, uint64_t in_volume, uint64_t store_bytes,
                            int64_t relative)
{
    g_auto(UvWriter) writer = uv_writer(WRITE_HEADER_BYTES + WRITE_RECORD_BYTES);

    uv_write_u32(&writer, 0xffffffff); /* flags, padding */
    uv_write_bytes(&writer, guid_caller.bytes, 16);
    uv_write_u32(&writer, 0xffffffff);
    uv_write_u64(&writer, 1); /* writes */
    uv_write_u64(&writer, 0); /* private data */
    uv_write_u64(&writer, UINT64_MAX);
    uv_write_u64(&writer, in_volume / block);
    uv_write_u64(&writer, in_volume % block);
    uv_write_u64(&writer, store_bytes);
    uv_write_u64(&writer, relative);
    return uv_writer_steal(&writer);
}

/* Header, then record, each whole before the flag that says so. */
static bool allocate(UvImage *image, const UvFlashLayout *layout, const UvFtw *ftw, GError **error)
{
    const uint64_t block = layout->block_bytes;
    const uint64_t in_volume = layout->store_offset - layout->volume_offset;
    const uint64_t at = layout->work_offset + ftw->write_at;
    const int64_t relative = (int64_t)(layout->volume_offset + in_volume / block * block) -
                             (int64_t)layout->spare_offset;
    g_autoptr(GBytes) write = format_write(block, in_volume, layout->store_bytes, relative);

    return put(image, at, g_bytes_get_data(write, NULL), g_bytes_get_size(write), error) &&
           clear_flag(image, at, HEADER_ALLOCATED, error) &&
           clear_flag(image, at, WRITES_ALLOCATED, error);
}

bool uv_ftw_write(UvImage *image, const UvFlashLayout *layout, UvFtw *ftw, const void *store,
                  GError **error)
{
    const uint64_t block = layout->block_bytes;
    const uint64_t in_volume = layout->store_offset - layout->volume_offset;
    const uint64_t first = layout->volume_offset + in_volume / block * block;
    const size_t blocks = (in_volume % block + layout->store_bytes + block - 1) / block * block;
    g_autofree uint8_t *target = g_malloc(blocks);
    g_autofree uint8_t *spare = g_malloc(layout->spare_bytes);

    if ((!ftw->valid ||
         ftw->write_at + WRITE_HEADER_BYTES + WRITE_RECORD_BYTES > layout->work_bytes) &&
        !renew_work(image, layout, ftw, error))
        return false;
    const uint64_t record = layout->work_offset + ftw->write_at + WRITE_HEADER_BYTES;
    if (!uv_image_read(image, layout->spare_offset, spare, layout->spare_bytes, error) ||
        !uv_image_read(image, first, target, blocks, error) || !allocate(image, layout, ftw, error))
        return false;
    memcpy(target + in_volume % block, store, layout->store_bytes);
    if (!put(image, layout->spare_offset, target, blocks, error) ||
        !clear_flag(image, record, SPARE_COMPLETE, error)) {
        /* Whether the flag is there or not: this write is off. */
        clear_flag(image, record - WRITE_HEADER_BYTES, WRITES_COMPLETE, NULL);
        return false;
    }
    /* From here on the new content is what counts, even if it can't be copied to its place now. */
    const bool copied = put(image, first, target, blocks, NULL) &&
                        clear_flag(image, record, DESTINATION_COMPLETE, NULL) &&
                        clear_flag(image, record - WRITE_HEADER_BYTES, WRITES_COMPLETE, NULL) &&
                        put(image, layout->spare_offset, spare, layout->spare_bytes, NULL);
    return uv_ftw_read(image, layout, ftw, copied ? error : NULL) || !copied;
}
