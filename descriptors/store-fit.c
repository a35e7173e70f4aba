/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Does the guest's store fit the chosen firmware? One of a 2 MiB firmware under a 4 MiB one, or an
 * Arm one's under an x86 one: the guest would not start, and nothing would say why. */

#include "desc.h"

/* What a store for the chosen firmware is made from, by the descriptor. */
static const DescImage *model_of(const DescChoice *choice)
{
    const Desc *desc = choice->desc;

    return desc->mode == DESC_MODE_COMBINED ? &desc->executable.image : &desc->template.image;
}

static char *compare(const char *what, uint64_t stores, uint64_t models)
{
    if (stores == models)
        return NULL;
    return g_strdup_printf("%s of %" G_GUINT64_FORMAT
                           " bytes, where the firmware's has %" G_GUINT64_FORMAT,
                           what, stores, models);
}

static char *size_mismatch(const DescImage *store, const DescImage *model)
{
    if (store->kind == DESC_IMAGE_UNKNOWN || model->kind == DESC_IMAGE_UNKNOWN)
        return NULL;
    if (store->volume_bytes && model->volume_bytes)
        return compare("it has a volume", store->volume_bytes, model->volume_bytes);
    /* Behind a qcow2 header the volume is not seen, and an Arm firmware makes it at the first boot;
     * but the whole image is as large as the other. */
    return compare("it is an image", store->bytes, model->bytes);
}

char *desc_store_mismatch(const DescChoice *choice, const DescPlace *place)
{
    const DescStoreKind kind = desc_choice_store_kind(choice);

    if (!place || !place->has_store || kind == DESC_STORE_NONE)
        return NULL;
    if (g_str_has_suffix(place->store_path, ".json") != (kind == DESC_STORE_JSON))
        return g_strdup("the firmware keeps its variables in another form");
    return kind == DESC_STORE_FLASH ? size_mismatch(&place->store, model_of(choice)) : NULL;
}
