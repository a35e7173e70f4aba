/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "flash-write.h"

#include "bytes.h"
#include "efi-abi.h"
#include "store.h"

#include <string.h>

/* What a disk writes in one piece. */
#define SECTOR_BYTES 512u

struct UvFlash {
    UvImage *image; /* borrowed */
    UvFlashLayout layout;
    UvFtw ftw;
    UvFlashScan scan;
    uint8_t header[UV_FLASH_STORE_HEADER_BYTES];
    GArray *unsettled; /* of guint: records whose deletion may not be durable yet */
    bool stale;        /* a write failed half-way: read it again first */
    UvFlashReclaim reclaim;
    void *reclaim_data;
};

/* One step of a change, as far as the flash is concerned. */
typedef struct {
    const UvVariable *key;
    const UvVariable *after; /* NULL: a deletion */
    guint old;               /* its record, if has_old */
    bool has_old;
    uint8_t old_state;
    guint with; /* index + 1 of the record whose deletion goes to the disk with step 1 */
    guint new;  /* its record's index + 1, once it is written */
} Step;

static bool load(UvFlash *flash, GError **error)
{
    g_auto(UvFlashLayout) layout = {0};
    g_autofree uint8_t *store = NULL;
    UvFtw ftw;

    if (!uv_flash_layout_find(flash->image, &layout, error) ||
        !uv_ftw_read(flash->image, &layout, &ftw, error))
        return false;
    store = g_malloc(layout.store_bytes);
    if (!uv_ftw_read_through(flash->image, &layout, &ftw, layout.store_offset, store,
                             layout.store_bytes, error))
        return false;
    if (layout.blank) {
        memset(store, 0xff, layout.store_bytes);
        uv_flash_layout_store_header(&layout, store);
    }

    uv_flash_layout_clear(&flash->layout);
    uv_flash_scan_clear(&flash->scan);
    flash->layout = layout;
    layout.damage = NULL;
    flash->ftw = ftw;
    memcpy(flash->header, store, sizeof flash->header);
    g_array_set_size(flash->unsettled, 0);
    flash->stale = false;
    uv_flash_scan(store, flash->layout.store_bytes, flash->layout.authenticated,
                  flash->layout.store_offset, &flash->scan);
    return true;
}

UvFlash *uv_flash_open(UvImage *image, GError **error)
{
    g_autoptr(UvFlash) flash = g_new0(UvFlash, 1);

    flash->image = image;
    flash->unsettled = g_array_new(FALSE, FALSE, sizeof(guint));
    flash->reclaim = uv_flash_reclaim_in_place;
    return load(flash, error) ? g_steal_pointer(&flash) : NULL;
}

void uv_flash_free(UvFlash *flash)
{
    if (!flash)
        return;
    uv_flash_layout_clear(&flash->layout);
    uv_flash_scan_clear(&flash->scan);
    g_array_unref(flash->unsettled);
    g_free(flash);
}

void uv_flash_set_reclaim(UvFlash *flash, UvFlashReclaim reclaim, void *data)
{
    flash->reclaim = reclaim;
    flash->reclaim_data = data;
}

void uv_flash_set_image(UvFlash *flash, UvImage *image)
{
    flash->image = image;
}

UvImage *uv_flash_image(UvFlash *flash)
{
    return flash->image;
}

const UvFlashLayout *uv_flash_layout(const UvFlash *flash)
{
    return &flash->layout;
}

const char *uv_flash_damage(const UvFlash *flash)
{
    return flash->layout.damage ? flash->layout.damage : flash->scan.damage;
}

bool uv_flash_unfinished(const UvFlash *flash)
{
    return flash->scan.torn || flash->scan.halfway || flash->ftw.pending;
}

GPtrArray *uv_flash_variables(const UvFlash *flash)
{
    return uv_flash_scan_variables(&flash->scan);
}

size_t uv_flash_capacity_bytes(const UvFlash *flash)
{
    return flash->layout.store_bytes - UV_FLASH_STORE_HEADER_BYTES;
}

static UvFlashRecord *record_at(const UvFlash *flash, guint index)
{
    return &g_array_index(flash->scan.records, UvFlashRecord, index);
}

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
                           record_at(flash, g_array_index(flash->unsettled, guint, i)));
    g_array_set_size(flash->unsettled, 0);
    return true;
}

bool uv_flash_settle(UvFlash *flash, GError **error)
{
    return flash->unsettled->len == 0 || barrier(flash, error);
}

/* What the change means for the records. */
static GArray *plan(UvFlash *flash, const UvChange *change)
{
    GArray *steps = g_array_new(FALSE, TRUE, sizeof(Step));

    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);
        Step step = {.key = item->after ? item->after : item->before};
        const UvFlashRecord *old =
            uv_flash_scan_find(&flash->scan, &step.key->guid, step.key->name);

        if (item->after && uv_variable_is_nv(item->after))
            step.after = item->after;
        step.has_old = old != NULL;
        if (old) {
            step.old = old - record_at(flash, 0);
            step.old_state = old->state;
        }
        if (step.after || step.has_old)
            g_array_append_val(steps, step);
    }
    return steps;
}

static size_t append_bytes(const UvFlash *flash, const GArray *steps)
{
    size_t bytes = 0;

    for (guint i = 0; i < steps->len; i++) {
        const Step *step = &g_array_index(steps, Step, i);
        if (step->after)
            bytes += aligned_bytes(flash, step->after);
    }
    return bytes;
}

static bool same_key(const UvVariable *a, const UvVariable *b)
{
    return uv_guid_equal(&a->guid, &b->guid) && uv_name_equal(a->name, b->name);
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
static bool must_settle(UvFlash *flash, guint deleted, Step *step)
{
    const UvFlashRecord *record = record_at(flash, deleted);

    if (!same_key(record->variable, step->key))
        return false;
    if (!step->after || !step->has_old || deleted > step->old ||
        !in_one_sector(flash, record, record_at(flash, step->old)))
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
                                 &g_array_index(steps, Step, j));
    }
    for (guint i = 0; flash->scan.leftovers > 0 && i < flash->scan.records->len; i++) {
        UvFlashRecord *record = record_at(flash, i);
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

/* Step 1 of one variable. */
static bool leave_record(UvFlash *flash, const Step *step, GError **error)
{
    UvFlashRecord *old = record_at(flash, step->old);
    const uint8_t state = old->state & UV_FLASH_IN_DELETED_TRANSITION;

    if (step->with)
        return put_state_with(flash, old, state, record_at(flash, step->with - 1), error);
    return put_state(flash, old, state, error);
}

/* Steps 1 and 2. */
static bool write_records(UvFlash *flash, GArray *steps, size_t bytes, GError **error)
{
    g_auto(UvWriter) writer = {0};
    const uint32_t at = flash->scan.end;

    if (bytes == 0)
        return true;
    for (guint i = 0; i < steps->len; i++) {
        const Step *step = &g_array_index(steps, Step, i);
        if (step->after && step->has_old && !leave_record(flash, step, error))
            return false;
    }
    uv_writer_init(&writer, bytes);
    for (guint i = 0; i < steps->len; i++) {
        Step *step = &g_array_index(steps, Step, i);
        g_autoptr(GBytes) record = NULL;

        if (!step->after)
            continue;
        while (uv_writer_size(&writer) % 4)
            uv_write_u8(&writer, 0xff);
        record =
            uv_flash_record_format(step->after, flash->layout.authenticated, UV_FLASH_STATE_NONE);
        uv_write_bytes(&writer, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
        uv_flash_scan_append(&flash->scan, step->after, aligned_bytes(flash, step->after));
        step->new = flash->scan.records->len;
    }
    return uv_image_write(flash->image, flash->layout.store_offset + at, writer.bytes->data,
                          uv_writer_size(&writer), error) &&
           barrier(flash, error);
}

/* Step 3, a barrier for each. */
static bool commit_records(UvFlash *flash, GArray *steps, GError **error)
{
    for (guint i = 0; i < steps->len; i++) {
        const Step *step = &g_array_index(steps, Step, i);
        UvFlashRecord *old = step->has_old ? record_at(flash, step->old) : NULL;
        const bool ok = step->after ? put_state(flash, record_at(flash, step->new - 1),
                                                UV_FLASH_STATE_ADDED, error)
                                    : put_state(flash, old, old->state & UV_FLASH_DELETED, error);
        if (!ok || !barrier(flash, error))
            return false;
    }
    return true;
}

/* Step 4. That it can't be written does not undo what is durable by now. */
static void retire_records(UvFlash *flash, GArray *steps)
{
    for (guint i = 0; i < steps->len; i++) {
        const Step *step = &g_array_index(steps, Step, i);
        UvFlashRecord *old = step->has_old ? record_at(flash, step->old) : NULL;

        if (step->after)
            uv_flash_scan_show(&flash->scan, record_at(flash, step->new - 1));
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
        const Step *step = &g_array_index(steps, Step, i);
        if (!step->after)
            put_state(flash, record_at(flash, step->old), step->old_state, NULL);
        else if (step->new &&record_at(flash, step->new - 1)->state == UV_FLASH_STATE_ADDED)
            put_state(flash, record_at(flash, step->new - 1),
                      UV_FLASH_STATE_ADDED & UV_FLASH_DELETED, NULL);
    }
    uv_image_flush(flash->image, NULL);
    flash->stale = true;
}

static bool is_planned(const GArray *steps, const UvVariable *variable)
{
    for (guint i = 0; steps && i < steps->len; i++) {
        if (same_key(g_array_index(steps, Step, i).key, variable))
            return true;
    }
    return false;
}

static void add_record(const UvFlash *flash, UvWriter *writer, const UvVariable *variable)
{
    g_autoptr(GBytes) record =
        uv_flash_record_format(variable, flash->layout.authenticated, UV_FLASH_STATE_ADDED);

    uv_write_bytes(writer, g_bytes_get_data(record, NULL), g_bytes_get_size(record));
    while (uv_writer_size(writer) % 4)
        uv_write_u8(writer, 0xff);
}

/* Takes what was written as the new store, pads it, puts it into its place and reads it back. */
static bool publish(UvFlash *flash, UvWriter *writer, GError **error)
{
    const size_t size = flash->layout.store_bytes;
    g_autofree uint8_t *store = NULL;

    if (writer->failed) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_NO_SPACE,
                    "%s: the variable store is full", flash->image->name);
        return false;
    }
    store = g_malloc(size);
    memset(store, 0xff, size);
    memcpy(store, writer->bytes->data, uv_writer_size(writer));
    flash->stale = true;
    return flash->reclaim(flash, store, flash->reclaim_data, error) && load(flash, error);
}

static bool reclaim_with(UvFlash *flash, GArray *steps, GError **error)
{
    g_autoptr(GPtrArray) kept = uv_flash_variables(flash);
    g_auto(UvWriter) writer = {0};

    /* The end of a store need not be a multiple of 4. */
    uv_writer_init(&writer, flash->layout.store_bytes & ~3u);
    uv_write_bytes(&writer, flash->header, sizeof flash->header);
    for (guint i = 0; i < kept->len; i++) {
        const UvVariable *variable = g_ptr_array_index(kept, i);
        if (!is_planned(steps, variable))
            add_record(flash, &writer, variable);
    }
    for (guint i = 0; i < steps->len; i++) {
        const Step *step = &g_array_index(steps, Step, i);
        if (step->after)
            add_record(flash, &writer, step->after);
    }
    return publish(flash, &writer, error);
}

static bool writable(UvFlash *flash, GError **error)
{
    if (flash->stale && !load(flash, error))
        return false;
    if (!uv_flash_damage(flash))
        return true;
    g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: damaged, so not written: %s",
                flash->image->name, uv_flash_damage(flash));
    return false;
}

static bool append_change(UvFlash *flash, GArray *steps, size_t bytes, GError **error)
{
    if (write_records(flash, steps, bytes, error) && commit_records(flash, steps, error)) {
        retire_records(flash, steps);
        return true;
    }
    undo(flash, steps);
    return false;
}

/* A plain record has no room for a time; edk2 knows no authenticated variables there. */
static bool can_hold(const UvFlash *flash, const GArray *steps, GError **error)
{
    for (guint i = 0; i < steps->len && !flash->layout.authenticated; i++) {
        const Step *step = &g_array_index(steps, Step, i);
        if (!step->after ||
            !(step->after->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS))
            continue;
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                    "%s: its records are of the format without authenticated variables",
                    flash->image->name);
        return false;
    }
    return true;
}

bool uv_flash_apply(UvFlash *flash, const UvChange *change, GError **error)
{
    g_autoptr(GArray) steps = NULL;

    if (!writable(flash, error))
        return false;
    steps = plan(flash, change);
    if (steps->len == 0)
        return true;
    if (!can_hold(flash, steps, error))
        return false;
    const size_t bytes = append_bytes(flash, steps);
    if (uv_flash_unfinished(flash) || flash->layout.blank ||
        bytes > flash->layout.store_bytes - flash->scan.end)
        return reclaim_with(flash, steps, error);
    return clear_the_way(flash, steps, error) && append_change(flash, steps, bytes, error);
}

bool uv_flash_replace(UvFlash *flash, const UvVarset *set, GError **error)
{
    g_auto(UvWriter) writer = {0};

    if (!writable(flash, error))
        return false;
    uv_writer_init(&writer, flash->layout.store_bytes & ~3u);
    uv_write_bytes(&writer, flash->header, sizeof flash->header);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (uv_variable_is_nv(v))
            add_record(flash, &writer, v);
    }
    return publish(flash, &writer, error);
}

bool uv_flash_reclaim_in_place(UvFlash *flash, const uint8_t *store, void *data, GError **error)
{
    const UvFlashLayout *layout = &flash->layout;

    if (layout->blank) {
        if (!uv_flash_layout_format(flash->image, layout, error) ||
            !uv_ftw_format(flash->image, layout, error) || !load(flash, error))
            return false;
    }
    if (!uv_ftw_usable(layout)) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                    "%s: it has no spare area to rewrite the variable store through",
                    flash->image->name);
        return false;
    }
    return uv_ftw_settle(flash->image, layout, &flash->ftw, error) &&
           uv_ftw_write(flash->image, layout, &flash->ftw, store, error);
}

bool uv_flash_write_copy(UvFlash *flash, UvImage *copy, const uint8_t *store, GError **error)
{
    const UvFlashLayout *layout = &flash->layout;
    UvFtw ftw = flash->ftw;
    const size_t header = UV_FLASH_STORE_HEADER_BYTES;

    if (layout->blank &&
        (!uv_flash_layout_format(copy, layout, error) || !uv_ftw_format(copy, layout, error)))
        return false;
    if (!layout->blank && (ftw.pending || ftw.open) && !uv_ftw_settle(copy, layout, &ftw, error))
        return false;
    /* The header stays as it is; a blank image has just got one. */
    return uv_image_write(copy, layout->store_offset + header, store + header,
                          layout->store_bytes - header, error);
}
