/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "domain-file.h"

#include "domain-name.h"

#include <glib.h>
#include <string.h>

static const struct {
    const char *folder, *suffix;
    FsFormat format;
} kinds[] = {
    {FS_DOMAIN_VARSTORE, ".json", FS_FORMAT_JSON},
    {FS_DOMAIN_NVRAM, "_VARS.fd", FS_FORMAT_FLASH},
    {FS_DOMAIN_NVRAM, "_VARS.qcow2", FS_FORMAT_QCOW2},
};

static bool is_of_kind(size_t kind, const char *folder, const char *file)
{
    return strcmp(kinds[kind].folder, folder) == 0 && g_str_has_suffix(file, kinds[kind].suffix);
}

bool fs_domain_of_file(const char *home, const char *folder, const char *file, FsDomain *ret_domain,
                       unsigned *ret_rank)
{
    FsDomain domain = {.kind = FS_DOMAIN_IS};
    size_t kind = 0;

    while (kind < G_N_ELEMENTS(kinds) && !is_of_kind(kind, folder, file))
        kind++;
    if (kind == G_N_ELEMENTS(kinds))
        return false;
    g_autofree char *name = g_strndup(file, strlen(file) - strlen(kinds[kind].suffix));
    g_autofree char *guest = fs_domain_guest(name),
                    *path = g_build_filename(home, folder, file, NULL);
    if (!guest || strlen(path) >= sizeof(domain.text))
        return false;
    g_strlcpy(domain.guest, guest, sizeof(domain.guest));
    strcpy(domain.text, path);
    domain.format = kinds[kind].format;
    *ret_domain = domain;
    *ret_rank = kind;
    return fs_domain_valid(&domain);
}
