/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "guest-name.h"

#include "uv-limits.h"

#include <glib.h>
#include <string.h>

#define CONFIG ".config.json"
#define DOMAIN_CONFIG ".json.config"

static const char *const suffixes[UV_GUEST_RULES] = {
    [UV_GUEST_FOLDER] = "", [UV_GUEST_JSON] = ".json",       [UV_GUEST_VARS_JSON] = "_VARS.json",
    [UV_GUEST_FD] = ".fd",  [UV_GUEST_VARS_FD] = "_VARS.fd", [UV_GUEST_VARS_QCOW2] = "_VARS.qcow2",
};

#define OWN_FOLDER "NAME/ with config.json, vars.json or vars.fd in it"
#define OTHERS_FOLDER                                                                              \
    ", or qemu.nvram, vm-NAME-disk-0.qcow2, vm-NAME-disk-0.raw or ubootefi.var (layout=auto)"
#define OWN_FILES ", NAME.json, NAME_VARS.json, NAME.fd, NAME_VARS.fd and NAME_VARS.qcow2"

const char *uv_guest_names(bool libvirts, bool any)
{
    if (libvirts)
        return "NAME.json, libvirt's stores of <varstore>";
    return any ? OWN_FOLDER OTHERS_FOLDER OWN_FILES : OWN_FOLDER OWN_FILES;
}

static bool valid_name(const char *name, size_t size)
{
    return size > 0 && size <= UV_GUEST_NAME_MAX && name[0] != '.' && !memchr(name, '/', size) &&
           !memchr(name, '\n', size);
}

/* Any that libvirt lets a domain have. */
static bool valid_domain(const char *name, size_t size)
{
    const bool dots = size <= 2 && strspn(name, ".") >= size;

    return size > 0 && size <= UV_GUEST_NAME_MAX && !dots && !memchr(name, '/', size) &&
           !memchr(name, '\n', size);
}

bool uv_guest_name_valid(bool libvirts, const char *name)
{
    if (libvirts)
        return valid_domain(name, strlen(name));
    return valid_name(name, strlen(name)) && !g_str_has_suffix(name, CONFIG);
}

static bool classify_domain(const char *file, bool folder, UvGuestRule *ret_rule,
                            size_t *ret_name_bytes)
{
    const size_t size = strlen(file), suffix = strlen(suffixes[UV_GUEST_JSON]);

    if (folder || size <= suffix || !g_str_has_suffix(file, suffixes[UV_GUEST_JSON]))
        return false;
    *ret_rule = UV_GUEST_JSON;
    *ret_name_bytes = size - suffix;
    return valid_domain(file, size - suffix);
}

bool uv_guest_classify(bool libvirts, const char *file, bool folder, UvGuestRule *ret_rule,
                       size_t *ret_name_bytes)
{
    /* The longer suffix decides, so that each file belongs to one guest. */
    static const UvGuestRule by_length[] = {UV_GUEST_VARS_QCOW2, UV_GUEST_VARS_JSON,
                                            UV_GUEST_VARS_FD, UV_GUEST_JSON, UV_GUEST_FD};
    const size_t size = strlen(file);

    if (libvirts)
        return classify_domain(file, folder, ret_rule, ret_name_bytes);
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

char *uv_guest_of_file(bool libvirts, const char *file)
{
    const char *config = libvirts ? DOMAIN_CONFIG : CONFIG;
    size_t size = strlen(file);
    UvGuestRule rule;

    if (size > strlen(config) && g_str_has_suffix(file, config)) {
        g_autofree char *name = g_strndup(file, size - strlen(config));
        if (uv_guest_name_valid(libvirts, name))
            return g_steal_pointer(&name);
    }
    return uv_guest_classify(libvirts, file, false, &rule, &size) ? g_strndup(file, size) : NULL;
}

char *uv_guest_file(UvGuestRule rule, const char *guest)
{
    return g_strconcat(guest, suffixes[rule], NULL);
}

bool uv_guest_fits(bool libvirts, UvGuestRule rule, const char *guest)
{
    g_autofree char *file = uv_guest_file(rule, guest);
    UvGuestRule meant;
    size_t size;

    return uv_guest_classify(libvirts, file, rule == UV_GUEST_FOLDER, &meant, &size) &&
           meant == rule;
}

char *uv_guest_others_store(unsigned i, const char *folder)
{
    /* Of Incus and LXD, of Proxmox, whose folders have the machines' other disks, too, and of
     * U-Boot. */
    static const struct {
        const char *before, *after; /* the folder's name; NULL: that is all */
    } names[] = {{"qemu.nvram", NULL},
                 {"vm-", "-disk-0.qcow2"},
                 {"vm-", "-disk-0.raw"},
                 {"ubootefi.var", NULL}};

    if (i >= G_N_ELEMENTS(names))
        return NULL;
    return names[i].after ? g_strconcat(names[i].before, folder, names[i].after, NULL)
                          : g_strdup(names[i].before);
}

bool uv_guest_store_is_of_others(const char *store, const char *folder)
{
    char *name;
    bool is = false;

    for (unsigned i = 0; !is && (name = uv_guest_others_store(i, folder)); i++) {
        is = strcmp(name, store) == 0;
        g_free(name);
    }
    return is;
}

char *uv_guest_config(bool libvirts, UvGuestRule rule, const char *guest)
{
    const char *beside = libvirts ? DOMAIN_CONFIG : CONFIG;

    return g_strconcat(guest, rule == UV_GUEST_FOLDER ? "/config.json" : beside, NULL);
}
