/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "instantiate.h"

#include "desc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct DescInstantiation {
    DescStoreKind kind;
    char *template_path; /* NULL: an empty JSON store */
    char **folders;      /* where that must lie; NULL: anywhere */
    DescFormat format;   /* of the flash image to make */
    bool keep_format;    /* copy as it is, whatever it is */
    char *pin;           /* NULL: nothing to pin */
};

void desc_instantiation_free(DescInstantiation *instantiation)
{
    if (!instantiation)
        return;
    g_free(instantiation->template_path);
    g_strfreev(instantiation->folders);
    g_free(instantiation->pin);
    g_free(instantiation);
}

/* Is the file of this descriptor below one of the folders, by the name that the kernel knows it by?
 */
static bool is_below(int fd, const char *const *folders)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *real = g_file_read_link(link, NULL);

    for (; real && *folders; folders++) {
        g_autofree char *folder = realpath(*folders, NULL);
        size_t length = folder ? strlen(folder) : 0;

        if (length > 0 && strncmp(real, folder, length) == 0 && real[length] == '/')
            return true;
    }
    return false;
}

/* The same by its text alone: nothing elsewhere is as much as touched for a path that a user
 * wrote into a guest's config.json. */
static bool is_named_below(const char *path, const char *const *folders)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    if (g_strv_contains((const char *const *)parts, ".."))
        return false;
    for (; *folders; folders++) {
        const size_t length = strlen(*folders);

        if (length > 0 && strncmp(path, *folders, length) == 0 &&
            (path[length] == '/' || path[length - 1] == '/'))
            return true;
    }
    return false;
}

static bool wrong_place(const DescInstantiation *instantiation, GError **error)
{
    g_set_error(
        error, G_FILE_ERROR, G_FILE_ERROR_PERM,
        "%s: not an absolute path below a folder that templates are taken from (templates=)",
        instantiation->template_path);
    return false;
}

/* `folders` NULL: a descriptor's own. */
static bool set_template(DescInstantiation *instantiation, const char *path,
                         const char *const *folders, GError **error)
{
    instantiation->template_path = g_strdup(path);
    instantiation->folders = g_strdupv((char **)folders);
    return !folders || is_named_below(path, folders) || wrong_place(instantiation, error);
}

DescInstantiation *desc_instantiation_new(const DescChoice *choice,
                                          const char *const *template_folders, GError **error)
{
    g_autoptr(DescInstantiation) instantiation = g_new0(DescInstantiation, 1);
    const char *template = desc_choice_template(choice);

    instantiation->kind = desc_choice_store_kind(choice);
    instantiation->format = choice->format;
    if (instantiation->kind == DESC_STORE_NONE) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    choice->desc ? "the chosen firmware keeps no variables"
                                 : "no firmware satisfies config.json (firmware/why tells)");
        return NULL;
    }
    instantiation->pin = desc_choice_pin(choice);
    if (template && !set_template(instantiation, template,
                                  choice->template_path ? template_folders : NULL, error))
        return NULL;
    return g_steal_pointer(&instantiation);
}

DescInstantiation *desc_instantiation_of_template(const char *path,
                                                  const char *const *template_folders,
                                                  GError **error)
{
    g_autoptr(DescInstantiation) instantiation = g_new0(DescInstantiation, 1);

    instantiation->keep_format = true;
    if (!set_template(instantiation, path, template_folders, error))
        return NULL;
    return g_steal_pointer(&instantiation);
}

const char *desc_instantiation_template(const DescInstantiation *instantiation)
{
    return instantiation->template_path;
}

const char *desc_instantiation_pin(const DescInstantiation *instantiation)
{
    return instantiation->pin;
}

static DescImageKind wanted_kind(const DescInstantiation *instantiation)
{
    if (instantiation->kind == DESC_STORE_JSON)
        return DESC_IMAGE_JSON;
    return instantiation->format == DESC_FORMAT_QCOW2 ? DESC_IMAGE_QCOW2 : DESC_IMAGE_RAW;
}

bool desc_instantiation_check(const DescInstantiation *instantiation, int fd, const char *reason,
                              DescImageKind *ret_from, DescImageKind *ret_kind, GError **error)
{
    const char *path = instantiation->template_path;
    DescImageKind wanted = wanted_kind(instantiation);
    DescImage image = {0};

    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "%s: can't open the template: %s",
                    path, reason);
        return false;
    }
    /* A link in the folder leads elsewhere. */
    if (instantiation->folders && !is_below(fd, (const char *const *)instantiation->folders))
        return wrong_place(instantiation, error);
    if (!desc_image_read(fd, &image)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: a template is a regular file",
                    path);
        return false;
    }
    if (!instantiation->keep_format &&
        (image.kind == DESC_IMAGE_JSON) != (wanted == DESC_IMAGE_JSON)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: expected %s", path,
                    wanted == DESC_IMAGE_JSON ? "a JSON variable store" : "a flash image");
        return false;
    }
    if (instantiation->keep_format && image.kind == DESC_IMAGE_RAW && image.volume_bytes == 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: no variable store", path);
        return false;
    }
    *ret_from = image.kind;
    *ret_kind = instantiation->keep_format ? image.kind : wanted;
    return true;
}
