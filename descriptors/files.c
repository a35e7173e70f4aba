/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The files of a firmware/ directory: which there are for a choice, and each one's text or target.
 */

#include "desc.h"

typedef struct {
    const char *name;
    bool is_link;
    char *(*make)(const DescChoice *choice, const DescPlace *place); /* NULL: not there */
    /* Instead, for what starts the guest with its store, or points to it. */
    char *(*start)(const DescChoice *choice, const DescPlace *place, char **ret_refusal);
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

static char *make_nvram(const DescChoice *choice, const DescPlace *place, char **ret_refusal)
{
    if (!choice->of_guest || desc_choice_store_kind(choice) == DESC_STORE_NONE)
        return NULL;
    return g_strdup(desc_place_store(place));
}

static char *make_why(const DescChoice *choice, const DescPlace *place);

static const ChoiceFile files[] = {
    {.name = "why", .make = make_why},
    {.name = "descriptor", .is_link = true, .make = make_descriptor},
    {.name = "description", .make = make_description},
    {.name = "device", .make = make_device},
    {.name = "mode", .make = make_mode},
    {.name = "format", .make = make_format},
    {.name = "features", .make = make_features},
    {.name = "interface-types", .make = make_interface_types},
    {.name = "targets", .make = make_targets},
    {.name = "executable", .is_link = true, .make = make_executable},
    {.name = "nvram-template", .is_link = true, .make = make_template},
    {.name = "nvram", .is_link = true, .start = make_nvram},
    {.name = "qemu.args", .start = desc_qemu_args},
    {.name = "qemu-legacy.args", .start = desc_qemu_legacy_args},
    {.name = "libvirt.xml", .start = desc_libvirt_xml},
    {.name = "libvirt-legacy.xml", .start = desc_libvirt_legacy_xml},
    {.name = "pflash", .start = desc_pflash},
};

/* Why what would start the guest is not there, in front of why the firmware was chosen. */
static void append_notes(GString *why, const DescChoice *choice, const DescPlace *place)
{
    g_autofree char *mismatch = desc_store_mismatch(choice, place);

    if (mismatch) {
        g_string_append_printf(
            why, "note: %s is no store for this firmware (%s), so nothing here starts it\n",
            place->store_path, mismatch);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *refusal = NULL, *text = NULL;

        if (files[i].start)
            text = files[i].start(choice, place, &refusal);
        if (refusal)
            g_string_append_printf(why, "note: no %s: %s\n", files[i].name, refusal);
    }
}

static char *make_why(const DescChoice *choice, const DescPlace *place)
{
    GString *why = g_string_new(NULL);

    if (choice->desc)
        append_notes(why, choice, place);
    if (choice->why)
        g_string_append(why, choice->why);
    return g_string_free(why, why->len == 0);
}

/* NULL: not there. */
static char *make_file(const ChoiceFile *file, const DescChoice *choice, const DescPlace *place)
{
    g_autofree char *mismatch = NULL, *refusal = NULL;

    if (!file->start)
        return file->make(choice, place);
    mismatch = desc_store_mismatch(choice, place);
    return mismatch ? NULL : file->start(choice, place, &refusal);
}

const char *desc_choice_file_name(const DescChoice *choice, size_t index)
{
    size_t n = !choice || choice->desc ? G_N_ELEMENTS(files) : 1;

    return index < n ? files[index].name : NULL;
}

char *desc_choice_file(const DescChoice *choice, const DescPlace *place, const char *name,
                       bool *ret_is_link)
{
    for (size_t i = 0; desc_choice_file_name(choice, i); i++) {
        if (g_str_equal(files[i].name, name)) {
            *ret_is_link = files[i].is_link;
            return make_file(&files[i], choice, place);
        }
    }
    return NULL;
}
