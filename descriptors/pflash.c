/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Where QEMU's x86 machines map the flash chips (pc_system_flash_map): unit 0 ends at 4 GiB, each
 * further one ends where the one before begins; sectors of 4 KiB.
 */

#include "desc.h"

#define SECTOR_BYTES 4096u
#define FLASH_TOP (UINT64_C(1) << 32)

/* Appends a unit below `*top` and moves it; false if such a file can't be mapped there. */
static bool add_unit(GString *text, unsigned unit, const char *path, uint64_t size, uint64_t *top)
{
    if (size == 0 || size % SECTOR_BYTES || size > *top)
        return false;
    *top -= size;
    g_string_append_printf(text,
                           "unit=%u num-blocks=%" G_GUINT64_FORMAT
                           " sector-length=%u phys-addr=0x%" G_GINT64_MODIFIER "x file=%s\n",
                           unit, size / SECTOR_BYTES, SECTOR_BYTES, *top, path);
    return true;
}

/* Of the guest's own copy: as it is, else as it will be. */
static uint64_t store_bytes(const DescPlace *place, const DescImage *model)
{
    return place && place->store.kind != DESC_IMAGE_UNKNOWN ? place->store.bytes : model->bytes;
}

char *desc_pflash(const DescChoice *choice, const DescPlace *place, char **ret_refusal)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const Desc *desc = choice->desc;
    const char *fault = desc_emit_fault(desc_place_store(place));
    bool combined = desc->mode == DESC_MODE_COMBINED;
    uint64_t top = FLASH_TOP;

    if (desc->device != DESC_DEVICE_FLASH || !desc_is_x86(choice))
        return NULL;
    if (desc->mode != DESC_MODE_STATELESS && fault) {
        *ret_refusal = g_strdup_printf("file: %s", fault);
        return NULL;
    }
    if (combined
            ? !add_unit(text, 0, desc_place_store(place),
                        store_bytes(place, &desc->executable.image), &top)
            : !add_unit(text, 0, desc->executable.filename, desc->executable.image.bytes, &top))
        return NULL;
    if (desc->mode == DESC_MODE_SPLIT && !add_unit(text, 1, desc_place_store(place),
                                                   store_bytes(place, &desc->template.image), &top))
        return NULL;
    return g_string_free(g_steal_pointer(&text), FALSE);
}
