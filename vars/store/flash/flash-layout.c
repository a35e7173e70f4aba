/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "flash-layout.h"

#include "bytes.h"
#include "guid.h"
#include "store.h"
#include "uv-limits.h"

#include <string.h>

#define SCAN_STEP 1024u
#define SCAN_CHUNK (1024u * 1024)
#define VOLUME_PROBE_BYTES 64u
#define WORK_HEADER_BYTES 32u
#define WORK_STEP 0x1000u
#define VOLUME_SIGNATURE 0x4856465fu /* "_FVH" */

/* ArmVirt's NOR flash: one volume of three 256 KiB blocks at the start of 64 MiB. */
#define BLANK_FILE_BYTES (64u * 1024 * 1024)
#define BLANK_BLOCK_BYTES 0x40000u
#define BLANK_ATTRIBUTES 0x00000e36u
#define HEADER_BYTES 0x48u

static const UvGuid guid_nv_data =
    UV_GUID(0xfff12b8du, 0x7696, 0x4c8b, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50);
static const UvGuid guid_authenticated =
    UV_GUID(0xaaf32c78u, 0x947b, 0x439a, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92);
static const UvGuid guid_plain =
    UV_GUID(0xddcf3616u, 0x3275, 0x4164, 0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d);
static const UvGuid guid_work =
    UV_GUID(0x9e58292bu, 0x7c68, 0x497d, 0xa0, 0xce, 0x65, 0x00, 0xfd, 0x9f, 0x1b, 0x95);

static bool parse_error(UvImage *image, uint64_t offset, const char *what, GError **error)
{
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE, "%s: offset 0x%" PRIx64 ": %s",
                   image->name, offset, what);
}

static void note_damage(UvFlashLayout *layout, uint64_t offset, const char *what)
{
    if (!layout->damage)
        layout->damage = g_strdup_printf("offset 0x%" PRIx64 ": %s", offset, what);
}

static bool guid_is(const uint8_t *bytes, const UvGuid *guid)
{
    return bytes && memcmp(bytes, guid->bytes, sizeof(guid->bytes)) == 0;
}

static uint16_t sum16(const uint8_t *bytes, size_t size)
{
    uint16_t sum = 0;
    UvReader reader = uv_reader(bytes, size);

    while (reader.left >= 2)
        sum += uv_read_u16(&reader);
    return sum;
}

/* The volume's header: lengths, checksum, block size. */
static bool read_volume_header(UvImage *image, UvFlashLayout *layout, uint16_t *ret_header_bytes,
                               GError **error)
{
    uint8_t header[UV_FLASH_HEADER_MAX];

    if (!uv_image_read(image, layout->volume_offset, header, HEADER_BYTES, error))
        return false;
    UvReader reader = uv_reader(header, HEADER_BYTES);
    uv_read_bytes(&reader, 32);
    layout->volume_bytes = uv_read_u64(&reader);
    const uint32_t signature = uv_read_u32(&reader);
    uv_read_u32(&reader); /* attributes */
    const uint16_t header_bytes = uv_read_u16(&reader);
    uv_read_bytes(&reader, 6); /* checksum, extended header, reserved, revision */
    uv_read_u32(&reader);      /* number of blocks */
    layout->block_bytes = uv_read_u32(&reader);

    if (signature != VOLUME_SIGNATURE)
        return parse_error(image, layout->volume_offset + 40, "no firmware volume signature",
                           error);
    if (header_bytes < HEADER_BYTES || header_bytes > UV_FLASH_HEADER_MAX || header_bytes % 4)
        return parse_error(image, layout->volume_offset + 48,
                           "the volume's header has an impossible length", error);
    if (!uv_image_read(image, layout->volume_offset, header, header_bytes, error))
        return false;
    if (sum16(header, header_bytes) != 0)
        note_damage(layout, layout->volume_offset + 50, "the volume's checksum is wrong");
    if (layout->block_bytes == 0 || layout->block_bytes % 512)
        note_damage(layout, layout->volume_offset + 60, "the volume has an impossible block size");
    if (layout->volume_bytes > image->size_bytes - layout->volume_offset) {
        note_damage(layout, layout->volume_offset + 32, "the volume is longer than the file");
        layout->volume_bytes = image->size_bytes - layout->volume_offset;
    }
    *ret_header_bytes = header_bytes;
    return true;
}

static bool read_store_header(UvImage *image, UvFlashLayout *layout, GError **error)
{
    uint8_t header[UV_FLASH_STORE_HEADER_BYTES];
    const uint64_t at = layout->store_offset;

    if (!uv_image_read(image, at, header, sizeof(header), error))
        return false;
    UvReader reader = uv_reader(header, sizeof(header));
    const uint8_t *guid = uv_read_bytes(&reader, 16);
    layout->store_bytes = uv_read_u32(&reader);
    const uint8_t format = uv_read_u8(&reader);
    const uint8_t state = uv_read_u8(&reader);

    layout->authenticated = guid_is(guid, &guid_authenticated);
    if (!layout->authenticated && !guid_is(guid, &guid_plain))
        return parse_error(image, at, "no variable store", error);
    if (format != 0x5a)
        return parse_error(image, at + 20, "the variable store is not formatted", error);
    if (state != 0xfe)
        return parse_error(image, at + 21, "the variable store is not healthy", error);
    if (layout->store_bytes < UV_FLASH_STORE_HEADER_BYTES || layout->store_bytes > UV_STORAGE_MAX ||
        layout->store_bytes > layout->volume_offset + layout->volume_bytes - at)
        return parse_error(image, at + 16, "the variable store has an impossible size", error);
    return true;
}

/*
 * Takes the working block at `work` (in the volume) of `work_bytes`, if the areas then have one of
 * the proportions in use: OVMF's spare area is as large as all before it, ArmVirt's as the block.
 */
static bool take_work_block(UvFlashLayout *layout, uint64_t work, uint64_t work_bytes)
{
    const uint64_t spare = work + work_bytes;
    const uint64_t store_end = layout->store_offset + layout->store_bytes - layout->volume_offset;

    if (spare >= layout->volume_bytes || layout->volume_bytes > G_MAXUINT32)
        return false;
    const uint64_t spare_bytes = layout->volume_bytes - spare;
    if (spare_bytes != spare && !(spare_bytes == work_bytes && store_end <= spare_bytes))
        return false;
    layout->work_offset = layout->volume_offset + work;
    layout->work_bytes = work_bytes;
    layout->spare_offset = layout->volume_offset + spare;
    layout->spare_bytes = spare_bytes;
    return true;
}

static bool find_work_block(UvImage *image, UvFlashLayout *layout, GError **error)
{
    const uint64_t store_end = layout->store_offset + layout->store_bytes - layout->volume_offset;
    uint64_t unknown = 0, unknown_bytes = 0;

    for (uint64_t at = (store_end + WORK_STEP - 1) / WORK_STEP * WORK_STEP;
         at + WORK_HEADER_BYTES <= layout->volume_bytes; at += WORK_STEP) {
        uint8_t header[WORK_HEADER_BYTES];

        if (!uv_image_read(image, layout->volume_offset + at, header, sizeof(header), error))
            return false;
        if (!guid_is(header, &guid_work))
            continue;
        UvReader reader = uv_reader(header + 24, 8);
        const uint64_t queue_bytes = uv_read_u64(&reader);
        const uint64_t bytes = queue_bytes + WORK_HEADER_BYTES;
        if (queue_bytes == 0 || queue_bytes > layout->volume_bytes)
            continue;
        if (take_work_block(layout, at, bytes))
            return true;
        /* Its copy in the spare area, while the working block itself is being rewritten. */
        if (at >= bytes && take_work_block(layout, at - bytes, bytes))
            return true;
        if (!unknown) {
            unknown = at;
            unknown_bytes = bytes;
        }
    }
    if (unknown) {
        layout->work_offset = layout->volume_offset + unknown;
        layout->work_bytes = MIN(unknown_bytes, layout->volume_bytes - unknown);
    }
    return true;
}

static bool read_volume(UvImage *image, uint64_t offset, UvFlashLayout *ret_layout, GError **error)
{
    g_auto(UvFlashLayout) layout = {.volume_offset = offset};
    uint16_t header_bytes;

    if (!read_volume_header(image, &layout, &header_bytes, error))
        return false;
    layout.store_offset = offset + header_bytes;
    if (layout.volume_bytes < (uint64_t)header_bytes + UV_FLASH_STORE_HEADER_BYTES)
        return parse_error(image, offset + 32, "the volume has an impossible length", error);
    if (!read_store_header(image, &layout, error) || !find_work_block(image, &layout, error))
        return false;
    *ret_layout = layout;
    layout.damage = NULL;
    return true;
}

static bool is_blank(UvImage *image)
{
    const size_t size = 3 * BLANK_BLOCK_BYTES;
    g_autofree uint8_t *bytes = NULL;

    if (image->size_bytes != BLANK_FILE_BYTES)
        return false;
    bytes = g_malloc(size);
    return uv_image_read(image, 0, bytes, size, NULL) && uv_bytes_are(bytes, size, 0);
}

static void lay_out_blank(UvFlashLayout *layout)
{
    *layout = (UvFlashLayout){
        .volume_bytes = 3 * BLANK_BLOCK_BYTES,
        .store_offset = HEADER_BYTES,
        .store_bytes = BLANK_BLOCK_BYTES - HEADER_BYTES,
        .block_bytes = BLANK_BLOCK_BYTES,
        .authenticated = true,
        .work_offset = BLANK_BLOCK_BYTES,
        .work_bytes = BLANK_BLOCK_BYTES,
        .spare_offset = 2 * BLANK_BLOCK_BYTES,
        .spare_bytes = BLANK_BLOCK_BYTES,
        .blank = true,
    };
}

/* Looks at what may be a volume's header; *ret_step is how far the next one may be. */
static bool look_at(const uint8_t *bytes, uint64_t *ret_step)
{
    *ret_step = SCAN_STEP;
    if (guid_is(bytes + 16, &guid_nv_data))
        return true;
    UvReader reader = uv_reader(bytes + 32, 12);
    const uint64_t length = uv_read_u64(&reader);
    /* Another volume, of code: what looks like ours inside it is data. */
    if (uv_read_u32(&reader) == VOLUME_SIGNATURE && length >= SCAN_STEP &&
        length % SCAN_STEP == 0 && length < UV_FLASH_FILE_MAX)
        *ret_step = length;
    return false;
}

bool uv_flash_layout_find(UvImage *image, UvFlashLayout *ret_layout, GError **error)
{
    g_autofree uint8_t *chunk = g_malloc(SCAN_CHUNK);
    g_autoptr(GError) first = NULL;
    uint64_t chunk_at = 0, chunk_bytes = 0, step;

    if (image->size_bytes > UV_FLASH_FILE_MAX)
        return parse_error(image, UV_FLASH_FILE_MAX, "too large for a flash image", error);
    if (is_blank(image)) {
        lay_out_blank(ret_layout);
        return true;
    }
    for (uint64_t at = 0; at + VOLUME_PROBE_BYTES <= image->size_bytes; at += step) {
        if (at < chunk_at || at + VOLUME_PROBE_BYTES > chunk_at + chunk_bytes) {
            chunk_at = at;
            chunk_bytes = MIN(SCAN_CHUNK, image->size_bytes - at);
            if (!uv_image_read(image, chunk_at, chunk, chunk_bytes, error))
                return false;
        }
        g_autoptr(GError) local = NULL;
        if (!look_at(chunk + (at - chunk_at), &step))
            continue;
        if (read_volume(image, at, ret_layout, &local))
            return true;
        if (!first)
            first = g_steal_pointer(&local);
    }
    if (first)
        return uv_fail_with(error, g_steal_pointer(&first));
    return parse_error(image, 0, "no firmware volume with variables", error);
}

void uv_flash_layout_clear(UvFlashLayout *layout)
{
    g_clear_pointer(&layout->damage, g_free);
}

static GBytes *blank_headers(const UvFlashLayout *layout)
{
    g_auto(UvWriter) writer = uv_writer(HEADER_BYTES + UV_FLASH_STORE_HEADER_BYTES);

    uv_write_zeros(&writer, 16);
    uv_write_bytes(&writer, guid_nv_data.bytes, 16);
    uv_write_u64(&writer, layout->volume_bytes);
    uv_write_u32(&writer, VOLUME_SIGNATURE);
    uv_write_u32(&writer, BLANK_ATTRIBUTES);
    uv_write_u16(&writer, HEADER_BYTES);
    uv_write_u16(&writer, 0); /* the checksum, below */
    uv_write_u16(&writer, 0);
    uv_write_u16(&writer, 0x0200); /* reserved, revision 2 */
    uv_write_u32(&writer, layout->volume_bytes / layout->block_bytes);
    uv_write_u32(&writer, layout->block_bytes);
    uv_write_u64(&writer, 0);
    const uint16_t sum = -sum16(writer.bytes, HEADER_BYTES);
    uv_write_u32_at(&writer, 48, HEADER_BYTES | (uint32_t)sum << 16);
    uv_write_bytes(&writer, guid_authenticated.bytes, 16);
    uv_write_u32(&writer, layout->store_bytes);
    uv_write_u16(&writer, 0xfe5a);
    uv_write_zeros(&writer, 6);
    return uv_writer_steal(&writer);
}

bool uv_flash_layout_format(UvImage *image, const UvFlashLayout *layout, GError **error)
{
    g_autoptr(GBytes) headers = blank_headers(layout);
    g_autofree uint8_t *erased = g_malloc(layout->volume_bytes);
    const size_t size = g_bytes_get_size(headers);

    /* The headers last: until they are there, the image is as good as blank. */
    memset(erased, 0xff, layout->volume_bytes);
    return uv_image_write(image, layout->volume_offset + size, erased, layout->volume_bytes - size,
                          error) &&
           uv_image_flush(image, error) &&
           uv_image_write(image, layout->volume_offset, g_bytes_get_data(headers, NULL), size,
                          error) &&
           uv_image_flush(image, error);
}

void uv_flash_layout_store_header(const UvFlashLayout *layout,
                                  uint8_t ret_header[UV_FLASH_STORE_HEADER_BYTES])
{
    g_autoptr(GBytes) headers = blank_headers(layout);

    memcpy(ret_header, (const uint8_t *)g_bytes_get_data(headers, NULL) + HEADER_BYTES,
           UV_FLASH_STORE_HEADER_BYTES);
}
