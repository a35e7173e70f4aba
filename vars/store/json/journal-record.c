/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "journal-record.h"

#include "bytes.h"
#include "uv-limits.h"
#include "variable-codec.h"

#include <string.h>

/* The most that a disk writes as one. */
#define SECTOR_BYTES 512
/* More than anything encoded here: the largest storage with its overhead, two texts of it. */
#define PAYLOAD_MAX (2 * (size_t)UV_JSON_FILE_MAX)

enum {
    ITEM_REMOVE = 0,
    ITEM_PUT_1 = 1, /* of version 0.1 */
    ITEM_PUT = 2,
};

static void write_remove(UvWriter *out, const UvVariable *variable)
{
    size_t units = uv_name_units(variable->name);

    uv_write_u8(out, ITEM_REMOVE);
    uv_write_bytes(out, variable->guid.bytes, sizeof(variable->guid.bytes));
    uv_write_u32(out, units);
    uv_write_bytes(out, uv_name_utf16le(variable->name), 2 * units);
}

static void write_blob(UvWriter *out, GBytes *blob)
{
    uv_write_u32(out, g_bytes_get_size(blob));
    uv_write_gbytes(out, blob);
}

static void write_put(UvWriter *out, const UvVariable *variable)
{
    uv_write_u8(out, ITEM_PUT);
    uv_variable_write(out, variable);
}

GBytes *uv_record_of_change(const UvChange *change)
{
    bool any = false;
    g_auto(UvWriter) out = uv_writer(PAYLOAD_MAX);

    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);

        if (item->after && uv_variable_is_nv(item->after))
            write_put(&out, item->after);
        else if (item->before && uv_variable_is_nv(item->before))
            write_remove(&out, item->before);
        else
            continue;
        any = true;
    }
    return any ? uv_writer_steal(&out) : NULL;
}

GBytes *uv_record_of_set(const UvVarset *set)
{
    g_auto(UvWriter) out = uv_writer(PAYLOAD_MAX);

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        if (uv_variable_is_nv(v))
            write_put(&out, v);
    return uv_writer_steal(&out);
}

GBytes *uv_record_of_compaction(const UvDigest *digest, const UvFileId *file)
{
    g_auto(UvWriter) out = uv_writer(UV_DIGEST_BYTES + 16);

    uv_write_bytes(&out, digest->bytes, sizeof(digest->bytes));
    uv_write_u64(&out, file->inode);
    uv_write_u64(&out, file->born_ns);
    return uv_writer_steal(&out);
}

GBytes *uv_record_of_image(GBytes *old_text, GBytes *new_text)
{
    g_auto(UvWriter) out = uv_writer(PAYLOAD_MAX + 8);

    write_blob(&out, old_text);
    write_blob(&out, new_text);
    return uv_writer_steal(&out);
}

static bool replay_put(UvReader *reader, UvVariableLayout layout, UvVarset *set)
{
    g_autoptr(UvVariable) variable = uv_variable_read(reader, layout);

    if (!variable || !uv_variable_is_nv(variable))
        return false;
    uv_varset_put(set, variable);
    return true;
}

static bool replay_remove(UvReader *reader, UvVarset *set)
{
    g_autoptr(UvName) name = NULL;
    const UvGuid guid = uv_read_guid(reader);
    const uint32_t n_units = uv_read_u32(reader);
    const uint8_t *units = uv_read_bytes(reader, 2 * (size_t)n_units);

    name = units ? uv_name_new_utf16le(units, n_units) : NULL;
    if (!name)
        return false;
    uv_varset_remove(set, &guid, name);
    return true;
}

static bool replay_item(UvReader *reader, UvVarset *set)
{
    switch (uv_read_u8(reader)) {
    case ITEM_REMOVE:
        return replay_remove(reader, set);
    case ITEM_PUT_1:
        return replay_put(reader, UV_VARIABLE_LAYOUT_JOURNAL_1, set);
    case ITEM_PUT:
        return replay_put(reader, UV_VARIABLE_LAYOUT, set);
    default:
        return false;
    }
}

static void remove_nv(UvVarset *set)
{
    const UvVariable *variable;

    while ((variable = uv_varset_first(set))) {
        g_autoptr(UvVariable) kept = uv_variable_ref(variable);
        uv_varset_remove(set, &kept->guid, kept->name);
    }
}

bool uv_record_replay(const UvRecord *record, UvVarset *set)
{
    if (record->kind == UV_RECORD_COMPACT || record->kind == UV_RECORD_IMAGE)
        return true;
    if (record->kind != UV_RECORD_CHANGE && record->kind != UV_RECORD_REPLACE)
        return false;
    if (record->kind == UV_RECORD_REPLACE)
        remove_nv(set);
    UvReader reader = uv_reader(record->payload, record->size);
    while (reader.left > 0)
        if (!replay_item(&reader, set))
            return false;
    return uv_reader_done(&reader);
}

bool uv_record_read_compaction(const UvRecord *record, UvDigest *ret_digest, UvFileId *ret_file)
{
    if (record->kind != UV_RECORD_COMPACT)
        return false;
    UvReader reader = uv_reader(record->payload, record->size);
    const uint8_t *digest = uv_read_bytes(&reader, sizeof(ret_digest->bytes));
    *ret_file = (UvFileId){0};
    if (reader.left > 0) {
        ret_file->inode = uv_read_u64(&reader);
        ret_file->born_ns = uv_read_u64(&reader);
    }
    if (!uv_reader_done(&reader))
        return false;
    memcpy(ret_digest->bytes, digest, sizeof(ret_digest->bytes));
    return true;
}

bool uv_record_read_image(const UvRecord *record, UvRecordImage *ret_image)
{
    if (record->kind != UV_RECORD_IMAGE)
        return false;
    UvReader reader = uv_reader(record->payload, record->size);
    ret_image->old_size = uv_read_u32(&reader);
    ret_image->old_text = uv_read_bytes(&reader, ret_image->old_size);
    ret_image->new_size = uv_read_u32(&reader);
    ret_image->new_text = uv_read_bytes(&reader, ret_image->new_size);
    return uv_reader_done(&reader);
}

/* Behind its end a text is zeros, as a file is that was made longer. */
static uint8_t byte_of(const uint8_t *text, size_t size, size_t at)
{
    return at < size ? text[at] : 0;
}

/* A sector: the new one up to some byte (all, none, or where the new text ends), then the old. */
static bool sector_matches(const UvRecordImage *image, const uint8_t *text, size_t at, size_t end)
{
    while (at < end && text[at] == byte_of(image->new_text, image->new_size, at))
        at++;
    while (at < end && text[at] == byte_of(image->old_text, image->old_size, at))
        at++;
    return at == end;
}

static bool size_matches(const UvRecordImage *images, size_t n_images, size_t size)
{
    size_t least = SIZE_MAX, most = 0;

    for (size_t i = 0; i < n_images; i++) {
        least = MIN(least, MIN(images[i].old_size, images[i].new_size));
        most = MAX(most, MAX(images[i].old_size, images[i].new_size));
    }
    return size >= least && size <= most;
}

static bool any_sector_matches(const UvRecordImage *images, size_t n_images, const uint8_t *text,
                               size_t at, size_t end)
{
    for (size_t i = n_images; i-- > 0;)
        if (sector_matches(&images[i], text, at, end))
            return true;
    return false;
}

bool uv_record_image_matches(const UvRecordImage *images, size_t n_images, const uint8_t *text,
                             size_t size)
{
    if (!size_matches(images, n_images, size))
        return false;
    for (size_t at = 0; at < size; at += SECTOR_BYTES)
        if (!any_sector_matches(images, n_images, text, at, MIN(at + SECTOR_BYTES, size)))
            return false;
    return true;
}
