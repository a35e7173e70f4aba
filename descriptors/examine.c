/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a descriptor promises, held against the files that it names: a guest that was promised keys
 * must not get an empty store in setup mode, nor any guest a store that can't be made. */

#include "desc.h"

#include <errno.h>

static void set_problem(Desc *desc, unsigned line, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void set_problem(Desc *desc, unsigned line, const char *format, ...)
{
    g_autofree char *reason = NULL;
    va_list arguments;

    va_start(arguments, format);
    reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_free(desc->problem);
    desc->problem = g_strdup_printf("%s:%u: %s", desc->path, line, reason);
}

static const char *kind_name(DescImageKind kind)
{
    static const char *const names[] = {"not known", "a raw image", "a qcow2 image", "JSON"};

    return names[kind];
}

static DescImageKind wanted_kind(const Desc *desc)
{
    if (desc->device == DESC_DEVICE_MEMORY)
        return DESC_IMAGE_JSON;
    return desc->template.format == DESC_FORMAT_QCOW2 ? DESC_IMAGE_QCOW2 : DESC_IMAGE_RAW;
}

static void examine_template(Desc *desc, DescLook look, void *look_data)
{
    DescFile *template = &desc->template;

    if (!look(template->filename, &template->image, look_data))
        set_problem(desc, desc->template_line, "the template %s: %s", template->filename,
                    errno == EINVAL ? "not a regular file" : g_strerror(errno));
    else if (template->image.kind != wanted_kind(desc))
        set_problem(desc, desc->template_line, "the template %s is %s, and must be %s",
                    template->filename, kind_name(template->image.kind),
                    kind_name(wanted_kind(desc)));
}

void desc_examine(Desc *desc, DescLook look, void *look_data)
{
    const unsigned promise = DESC_FEATURE_ENROLLED_KEYS | DESC_FEATURE_HOST_UEFI_VARS;

    if (desc->problem)
        return;
    if (desc->device == DESC_DEVICE_FLASH &&
        !look(desc->executable.filename, &desc->executable.image, look_data))
        desc->executable.image = (DescImage){0}; /* QEMU will tell */
    if (desc->template.filename)
        examine_template(desc, look, look_data);
    else if (desc->device == DESC_DEVICE_MEMORY && (desc->features & promise) == promise)
        set_problem(desc, desc->features_line,
                    "features: enrolled-keys, but there is no template that has them");
}
