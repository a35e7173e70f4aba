/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "flash-private.h"

#include "efi-abi.h"
#include "store.h"

#include <string.h>

/* What is pending must be of this very volume: its headers are where everything else is told from.
 */
static bool same_headers(UvImage *image, const UvFlashLayout *layout, const UvFtw *ftw,
                         GError **error)
{
    const uint64_t at = layout->volume_offset;
    const size_t size = layout->store_offset + UV_FLASH_STORE_HEADER_BYTES - at;
    g_autofree uint8_t *now = g_malloc(size), *then = g_malloc(size);

    if (!uv_image_read(image, at, now, size, error) ||
        !uv_ftw_read_through(image, layout, ftw, at, then, size, error))
        return false;
    if (memcmp(now, then, size) == 0)
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                   "%s: offset 0x%" PRIx64 ": the write in progress is not of this volume",
                   image->name, layout->spare_offset);
}

bool uv_flash_load(UvFlash *flash, GError **error)
{
    g_auto(UvFlashLayout) layout = {0};
    g_autofree uint8_t *store = NULL;
    UvFtw ftw;

    if (!uv_flash_layout_find(flash->image, &layout, error) ||
        !uv_ftw_read(flash->image, &layout, &ftw, error) ||
        !same_headers(flash->image, &layout, &ftw, error))
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
    memcpy(flash->header, store, sizeof(flash->header));
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
    return uv_flash_load(flash, error) ? g_steal_pointer(&flash) : NULL;
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

uint64_t uv_flash_hidden_at(const UvFlash *flash)
{
    return flash->scan.hidden_at ? flash->layout.store_offset + flash->scan.hidden_at : 0;
}

GPtrArray *uv_flash_variables(const UvFlash *flash)
{
    return uv_flash_scan_variables(&flash->scan);
}

size_t uv_flash_capacity_bytes(const UvFlash *flash)
{
    return flash->layout.store_bytes - UV_FLASH_STORE_HEADER_BYTES;
}

UvFlashRecord *uv_flash_record_at(const UvFlash *flash, guint index)
{
    return &g_array_index(flash->scan.records, UvFlashRecord, index);
}

/* What the change means for the records. */
static GArray *plan(UvFlash *flash, const UvChange *change)
{
    GArray *steps = g_array_new(FALSE, TRUE, sizeof(UvFlashStep));

    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);
        UvFlashStep step = {.key = item->after ? item->after : item->before};
        const UvFlashRecord *old =
            uv_flash_scan_find(&flash->scan, &step.key->guid, step.key->name);

        if (item->after && uv_variable_is_nv(item->after))
            step.after = item->after;
        step.has_old = old != NULL;
        if (old) {
            step.old = old - uv_flash_record_at(flash, 0);
            step.old_state = old->state;
        }
        if (step.after || step.has_old)
            g_array_append_val(steps, step);
    }
    return steps;
}

bool uv_flash_writable(UvFlash *flash, GError **error)
{
    if (flash->stale && !uv_flash_load(flash, error))
        return false;
    if (!uv_flash_damage(flash))
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                   "%s: damaged, so not written: %s", flash->image->name, uv_flash_damage(flash));
}

/* A plain record has no room for a time; edk2 knows no authenticated variables there. */
static bool can_hold(const UvFlash *flash, const GArray *steps, GError **error)
{
    for (guint i = 0; i < steps->len && !flash->layout.authenticated; i++) {
        const UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        if (!step->after ||
            !(step->after->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS))
            continue;
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                       "%s: its records are of the format without authenticated variables",
                       flash->image->name);
    }
    return true;
}

bool uv_flash_apply(UvFlash *flash, const UvChange *change, GError **error)
{
    g_autoptr(GArray) steps = NULL;

    if (!uv_flash_writable(flash, error))
        return false;
    steps = plan(flash, change);
    if (steps->len == 0)
        return true;
    if (!can_hold(flash, steps, error))
        return false;
    const size_t bytes = uv_flash_append_bytes(flash, steps);
    if (uv_flash_unfinished(flash) || flash->layout.blank ||
        bytes > flash->layout.store_bytes - flash->scan.end)
        return uv_flash_reclaim_with(flash, steps, error);
    return uv_flash_append_change(flash, steps, bytes, error);
}
