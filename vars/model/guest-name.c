/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "guest-name.h"

#include "uv-limits.h"

#include <glib.h>
#include <string.h>

#define CONFIG ".config.json"

static const char *const suffixes[UV_GUEST_RULES] = {
    [UV_GUEST_FOLDER] = "", [UV_GUEST_JSON] = ".json",       [UV_GUEST_VARS_JSON] = "_VARS.json",
    [UV_GUEST_FD] = ".fd",  [UV_GUEST_VARS_FD] = "_VARS.fd", [UV_GUEST_VARS_QCOW2] = "_VARS.qcow2",
};

static bool valid_name(const char *name, size_t size)
{
    return size > 0 && size <= UV_GUEST_NAME_MAX && name[0] != '.' && !memchr(name, '/', size) &&
           !memchr(name, '\n', size);
}

bool uv_guest_name_valid(const char *name)
{
    return valid_name(name, strlen(name)) && !g_str_has_suffix(name, CONFIG);
}

bool uv_guest_classify(const char *file, bool folder, UvGuestRule *ret_rule, size_t *ret_name_bytes)
{
    /* The longer suffix decides, so that each file belongs to one guest. */
    static const UvGuestRule by_length[] = {UV_GUEST_VARS_QCOW2, UV_GUEST_VARS_JSON,
                                            UV_GUEST_VARS_FD, UV_GUEST_JSON, UV_GUEST_FD};
    const size_t size = strlen(file);

    if (folder) {
        *ret_rule = UV_GUEST_FOLDER;
        *ret_name_bytes = size;
        return valid_name(file, size);
    }
    if (g_str_has_suffix(file, CONFIG))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(by_length); i++) {
        const size_t suffix = strlen(suffixes[by_length[i]]);
        if (size <= suffix || !g_str_has_suffix(file, suffixes[by_length[i]]))
            continue;
        *ret_rule = by_length[i];
        *ret_name_bytes = size - suffix;
        return valid_name(file, size - suffix);
    }
    return false;
}

char *uv_guest_of_file(const char *file)
{
    size_t size = strlen(file);
    UvGuestRule rule;

    if (g_str_has_suffix(file, CONFIG) && valid_name(file, size - strlen(CONFIG)))
        return g_strndup(file, size - strlen(CONFIG));
    return uv_guest_classify(file, false, &rule, &size) ? g_strndup(file, size) : NULL;
}

char *uv_guest_file(UvGuestRule rule, const char *guest)
{
    return g_strconcat(guest, suffixes[rule], NULL);
}

bool uv_guest_fits(UvGuestRule rule, const char *guest)
{
    g_autofree char *file = uv_guest_file(rule, guest);
    UvGuestRule meant;
    size_t size;

    return uv_guest_classify(file, rule == UV_GUEST_FOLDER, &meant, &size) && meant == rule;
}

char *uv_guest_config(UvGuestRule rule, const char *guest)
{
    return g_strconcat(guest, rule == UV_GUEST_FOLDER ? "/config.json" : CONFIG, NULL);
}
