/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A change behind the last record: the steps that flash-write.h tells of. */

#include "flash-private.h"

#include "bytes.h"

/* What a disk writes in one piece. */
#define SECTOR_BYTES 512u

static size_t aligned_bytes(const UvFlash *flash, const UvVariable *variable)
{
    return UV_FLASH_ALIGN(uv_flash_record_bytes(variable, flash->layout.authenticated));
}

static uint64_t state_offset(const UvFlash *flash, const UvFlashRecord *record)
{
    return flash->layout.store_offset + record->offset + UV_FLASH_STATE_OFFSET;
}

static bool put_state(UvFlash *flash, UvFlashRecord *record, uint8_t state, GError **error)
{
    if (!uv_image_write(flash->image, state_offset(flash, record), &state, 1, error))
        return false;
    record->state = state;
    return true;
}

/* What was written is durable; with it the deletions of the change before. */
static bool barrier(UvFlash *flash, GError **error)
{
    if (!uv_image_flush(flash->image, error))
        return false;
    for (guint i = 0; i < flash->unsettled->len; i++)
        uv_flash_scan_drop(&flash->scan,
                           uv_flash_record_at(flash, g_array_index(flash->unsettled, guint, i)));
    g_array_set_size(flash->unsettled, 0);
    return true;
}

bool uv_flash_settle(UvFlash *flash, GError **error)
{
    return flash->unsettled->len == 0 || barrier(flash, error);
}

size_t uv_flash_append_bytes(const UvFlash *flash, const GArray *steps)
{
    size_t bytes = 0;

    for (guint i = 0; i < steps->len; i++) {
        const UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        if (step->after)
            bytes += aligned_bytes(flash, step->after);
    }
    return bytes;
}

/* A sector is written whole or not at all. */
static bool in_one_sector(const UvFlash *flash, const UvFlashRecord *a, const UvFlashRecord *b)
{
    return state_offset(flash, a) / SECTOR_BYTES == state_offset(flash, b) / SECTOR_BYTES;
}

/* The state of `record`, and in the same sector the one that `earlier` has got before. */
static bool put_state_with(UvFlash *flash, UvFlashRecord *record, uint8_t state,
                           const UvFlashRecord *earlier, GError **error)
{
    const uint64_t from = state_offset(flash, earlier);
    const size_t size = state_offset(flash, record) - from + 1;
    uint8_t bytes[SECTOR_BYTES];

    if (!uv_image_read(flash->image, from, bytes, size, error))
        return false;
    bytes[0] = earlier->state;
    bytes[size - 1] = state;
    if (!uv_image_write(flash->image, from, bytes, size, error))
        return false;
    record->state = state;
    return true;
}

/* Whether the deletion of a moment ago has to be durable before this step begins. */
static bool must_settle(UvFlash *flash, guint deleted, UvFlashStep *step)
{
    const UvFlashRecord *record = uv_flash_record_at(flash, deleted);

    if (!uv_variable_same_key(record->variable, step->key))
        return false;
    if (!step->after || !step->has_old || deleted > step->old ||
        !in_one_sector(flash, record, uv_flash_record_at(flash, step->old)))
        return true;
    step->with = deleted + 1;
    return false;
}

/*
 * No other record of these variables may be in transition when theirs gets there: what a crash left
 * so is deleted, and what was deleted a moment ago is made durable, or is with the next state.
 */
static bool clear_the_way(UvFlash *flash, GArray *steps, GError **error)
{
    bool flush = false;

    for (guint i = 0; i < flash->unsettled->len && !flush; i++) {
        for (guint j = 0; j < steps->len; j++)
            flush |= must_settle(flash, g_array_index(flash->unsettled, guint, i),
                                 &g_array_index(steps, UvFlashStep, j));
    }
    for (guint i = 0; flash->scan.leftovers > 0 && i < flash->scan.records->len; i++) {
        UvFlashRecord *record = uv_flash_record_at(flash, i);
        if (!record->variable || record->visible ||
            (record->state & (uint8_t)~UV_FLASH_DELETED) == 0)
            continue;
        if (!put_state(flash, record, record->state & UV_FLASH_DELETED, error))
            return false;
        g_array_append_val(flash->unsettled, i);
        flush = true;
    }
    flash->scan.leftovers = 0;
    return !flush || uv_flash_settle(flash, error);
}

/* UvFlashStep 1 of one variable. */
static bool leave_record(UvFlash *flash, const UvFlashStep *step, GError **error)
{
    UvFlashRecord *old = uv_flash_record_at(flash, step->old);
    const uint8_t state = old->state & UV_FLASH_IN_DELETED_TRANSITION;

    if (step->with)
        return put_state_with(flash, old, state, uv_flash_record_at(flash, step->with - 1), error);
    return put_state(flash, old, state, error);
}

/* Steps 1 and 2. */
static bool write_records(UvFlash *flash, GArray *steps, size_t bytes, GError **error)
{
    const uint32_t at = flash->scan.end;

    if (bytes == 0)
        return true;
    for (guint i = 0; i < steps->len; i++) {
        const UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        if (step->after && step->has_old && !leave_record(flash, step, error))
            return false;
    }
    g_auto(UvWriter) writer = uv_writer(bytes);
    for (guint i = 0; i < steps->len; i++) {
        UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        g_autoptr(GBytes) record = NULL;

        if (!step->after)
            continue;
        while (uv_writer_size(&writer) % 4)
            uv_write_u8(&writer, 0xff);
        record =
            uv_flash_record_format(step->after, flash->layout.authenticated, UV_FLASH_STATE_NONE);
        uv_write_gbytes(&writer, record);
        uv_flash_scan_append(&flash->scan, step->after, aligned_bytes(flash, step->after));
        step->new = flash->scan.records->len;
    }
    return uv_image_write(flash->image, flash->layout.store_offset + at, writer.bytes,
                          uv_writer_size(&writer), error) &&
           barrier(flash, error);
}

/* UvFlashStep 3, a barrier for each. */
static bool commit_records(UvFlash *flash, GArray *steps, GError **error)
{
    for (guint i = 0; i < steps->len; i++) {
        const UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        UvFlashRecord *old = step->has_old ? uv_flash_record_at(flash, step->old) : NULL;
        const bool ok = step->after ? put_state(flash, uv_flash_record_at(flash, step->new - 1),
                                                UV_FLASH_STATE_ADDED, error)
                                    : put_state(flash, old, old->state & UV_FLASH_DELETED, error);
        if (!ok || !barrier(flash, error))
            return false;
    }
    return true;
}

/* UvFlashStep 4. That it can't be written does not undo what is durable by now. */
static void retire_records(UvFlash *flash, GArray *steps)
{
    for (guint i = 0; i < steps->len; i++) {
        const UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        UvFlashRecord *old = step->has_old ? uv_flash_record_at(flash, step->old) : NULL;

        if (step->after)
            uv_flash_scan_show(&flash->scan, uv_flash_record_at(flash, step->new - 1));
        if (!old)
            continue;
        if (!step->after)
            uv_flash_scan_drop(&flash->scan, old);
        else if (put_state(flash, old, old->state & UV_FLASH_DELETED, NULL))
            g_array_append_val(flash->unsettled, step->old);
        else
            flash->stale = true;
    }
}

/*
 * After a failed write: whatever was added is deleted again, so that the old records, in
 * transition, are what counts, and the rest is a torn append; what was deleted is put back.
 */
static void undo(UvFlash *flash, GArray *steps)
{
    for (guint i = 0; i < steps->len; i++) {
        const UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        UvFlashRecord *new = step->new ? uv_flash_record_at(flash, step->new - 1) : NULL;

        if (!step->after)
            put_state(flash, uv_flash_record_at(flash, step->old), step->old_state, NULL);
        else if (new &&new->state == UV_FLASH_STATE_ADDED)
            put_state(flash, new, UV_FLASH_STATE_ADDED & UV_FLASH_DELETED, NULL);
    }
    uv_image_flush(flash->image, NULL);
    flash->stale = true;
}

bool uv_flash_append_change(UvFlash *flash, GArray *steps, size_t bytes, GError **error)
{
    if (!clear_the_way(flash, steps, error))
        return false;
    if (write_records(flash, steps, bytes, error) && commit_records(flash, steps, error)) {
        retire_records(flash, steps);
        return true;
    }
    undo(flash, steps);
    return false;
}
