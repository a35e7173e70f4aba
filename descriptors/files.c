/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The files of a firmware/ directory: which there are for a choice, and each one's text or target.
 */

#include "desc.h"

typedef struct {
    const char *name;
    bool is_link;
    bool starts; /* what starts the guest with its store, or points to it */
    char *(*make)(const DescChoice *choice, const DescPlace *place); /* NULL: not there */
} ChoiceFile;

static char *make_descriptor(const DescChoice *choice, const DescPlace *place)
{
    return g_strdup(choice->desc->path);
}

static char *make_description(const DescChoice *choice, const DescPlace *place)
{
    return g_strdup_printf("%s\n", choice->desc->description);
}

static char *make_device(const DescChoice *choice, const DescPlace *place)
{
    return g_strdup_printf("%s\n", desc_devices[choice->desc->device]);
}

static char *make_mode(const DescChoice *choice, const DescPlace *place)
{
    if (choice->desc->device != DESC_DEVICE_FLASH)
        return NULL;
    return g_strdup_printf("%s\n", desc_modes[choice->desc->mode]);
}

static char *make_format(const DescChoice *choice, const DescPlace *place)
{
    if (choice->desc->device != DESC_DEVICE_FLASH)
        return NULL;
    return g_strdup_printf("%s\n", desc_formats[choice->desc->executable.format]);
}

static char *make_features(const DescChoice *choice, const DescPlace *place)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < DESC_N_FEATURES; i++) {
        if (choice->desc->features & (1u << i))
            g_string_append_printf(text, "%s\n", desc_features[i]);
    }
    return g_string_free(text, FALSE);
}

static char *make_interface_types(const DescChoice *choice, const DescPlace *place)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < choice->desc->interfaces->len; i++)
        g_string_append_printf(text, "%s\n", (char *)choice->desc->interfaces->pdata[i]);
    return g_string_free(text, FALSE);
}

static char *make_targets(const DescChoice *choice, const DescPlace *place)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < choice->desc->targets->len; i++) {
        const DescTarget *target = choice->desc->targets->pdata[i];

        for (guint j = 0; j < target->machines->len; j++)
            g_string_append_printf(text, "%s %s\n", target->architecture,
                                   (char *)target->machines->pdata[j]);
    }
    return g_string_free(text, FALSE);
}

static char *make_executable(const DescChoice *choice, const DescPlace *place)
{
    return g_strdup(choice->desc->executable.filename);
}

static char *make_template(const DescChoice *choice, const DescPlace *place)
{
    return g_strdup(choice->desc->template.filename);
}

static char *make_nvram(const DescChoice *choice, const DescPlace *place)
{
    if (!choice->of_guest || desc_choice_store_kind(choice) == DESC_STORE_NONE)
        return NULL;
    return g_strdup(desc_place_store(place));
}

static char *make_why(const DescChoice *choice, const DescPlace *place)
{
    g_autofree char *mismatch = choice->desc ? desc_store_mismatch(choice, place) : NULL;

    if (mismatch)
        return g_strdup_printf(
            "note: %s is no store for this firmware (%s), so nothing here starts "
            "it\n%s",
            place->store_path, mismatch, choice->why);
    return g_strdup(choice->why);
}

static const ChoiceFile files[] = {
    {"why", false, false, make_why},
    {"descriptor", true, false, make_descriptor},
    {"description", false, false, make_description},
    {"device", false, false, make_device},
    {"mode", false, false, make_mode},
    {"format", false, false, make_format},
    {"features", false, false, make_features},
    {"interface-types", false, false, make_interface_types},
    {"targets", false, false, make_targets},
    {"executable", true, false, make_executable},
    {"nvram-template", true, false, make_template},
    {"nvram", true, true, make_nvram},
    {"qemu.args", false, true, desc_qemu_args},
    {"qemu-legacy.args", false, true, desc_qemu_legacy_args},
    {"libvirt.xml", false, true, desc_libvirt_xml},
    {"pflash", false, true, desc_pflash},
};

const char *desc_choice_file_name(const DescChoice *choice, size_t index)
{
    size_t n = choice->desc ? G_N_ELEMENTS(files) : 1;

    return index < n ? files[index].name : NULL;
}

char *desc_choice_file(const DescChoice *choice, const DescPlace *place, const char *name,
                       bool *ret_is_link)
{
    for (size_t i = 0; desc_choice_file_name(choice, i); i++) {
        if (g_str_equal(files[i].name, name)) {
            g_autofree char *mismatch = files[i].starts ? desc_store_mismatch(choice, place) : NULL;

            *ret_is_link = files[i].is_link;
            return mismatch ? NULL : files[i].make(choice, place);
        }
    }
    return NULL;
}
