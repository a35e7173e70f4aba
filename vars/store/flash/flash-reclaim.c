/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A new variable store in the place of the old one (Variable.c: Reclaim). */

#include "flash-private.h"

#include "bytes.h"
#include "store.h"

#include <string.h>

static bool is_planned(const GArray *steps, const UvVariable *variable)
{
    for (guint i = 0; steps && i < steps->len; i++) {
        if (uv_variable_same_key(g_array_index(steps, UvFlashStep, i).key, variable))
            return true;
    }
    return false;
}

static void add_record(const UvFlash *flash, UvWriter *writer, const UvVariable *variable)
{
    g_autoptr(GBytes) record =
        uv_flash_record_format(variable, flash->layout.authenticated, UV_FLASH_STATE_ADDED);

    uv_write_gbytes(writer, record);
    while (uv_writer_size(writer) % 4)
        uv_write_u8(writer, 0xff);
}

/* Takes what was written as the new store, pads it, puts it into its place and reads it back. */
static bool publish(UvFlash *flash, UvWriter *writer, GError **error)
{
    const size_t size = flash->layout.store_bytes;
    g_autofree uint8_t *store = NULL;

    if (writer->failed)
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_NO_SPACE,
                       "%s: the variable store is full", flash->image->name);
    store = g_malloc(size);
    memset(store, 0xff, size);
    memcpy(store, writer->bytes, uv_writer_size(writer));
    flash->stale = true;
    return flash->reclaim(flash, store, flash->reclaim_data, error) && uv_flash_load(flash, error);
}

bool uv_flash_reclaim_with(UvFlash *flash, GArray *steps, GError **error)
{
    g_autoptr(GPtrArray) kept = uv_flash_variables(flash);

    /* The end of a store need not be a multiple of 4. */
    g_auto(UvWriter) writer = uv_writer(flash->layout.store_bytes & ~3u);
    uv_write_bytes(&writer, flash->header, sizeof(flash->header));
    for (guint i = 0; i < kept->len; i++) {
        const UvVariable *variable = g_ptr_array_index(kept, i);
        if (!is_planned(steps, variable))
            add_record(flash, &writer, variable);
    }
    for (guint i = 0; i < steps->len; i++) {
        const UvFlashStep *step = &g_array_index(steps, UvFlashStep, i);
        if (step->after)
            add_record(flash, &writer, step->after);
    }
    return publish(flash, &writer, error);
}

bool uv_flash_replace(UvFlash *flash, const UvVarset *set, GError **error)
{
    if (!uv_flash_writable(flash, error))
        return false;
    g_auto(UvWriter) writer = uv_writer(flash->layout.store_bytes & ~3u);
    uv_write_bytes(&writer, flash->header, sizeof(flash->header));
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
            !uv_ftw_format(flash->image, layout, error) || !uv_flash_load(flash, error))
            return false;
    }
    if (!uv_ftw_usable(layout))
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                       "%s: it has no spare area to rewrite the variable store through",
                       flash->image->name);
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
