/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "domains.h"

#include <glib.h>
#include <string.h>

static bool has_controls(const char *text)
{
    for (; *text; text++)
        if (g_ascii_iscntrl(*text))
            return true;
    return false;
}

bool fs_domain_path_valid(const char *path)
{
    if (path[0] != '/' || path[1] == '\0' || has_controls(path))
        return false;
    g_auto(GStrv) names = g_strsplit(path + 1, "/", -1);
    for (char **name = names; *name; name++)
        if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
            return false;
    return true;
}

static bool texts_end(const FsDomain *domain)
{
    return memchr(domain->guest, '\0', sizeof(domain->guest)) &&
           memchr(domain->text, '\0', sizeof(domain->text));
}

bool fs_domain_valid(const FsDomain *domain)
{
    if (!texts_end(domain) || domain->format > FS_FORMAT_QCOW2 ||
        (domain->flags & ~FS_DOMAIN_FLAGS) != 0 || has_controls(domain->guest))
        return false;
    switch (domain->kind) {
    case FS_DOMAIN_IS:
        return domain->guest[0] != '\0' &&
               (domain->text[0] == '\0' || fs_domain_path_valid(domain->text));
    case FS_DOMAIN_GONE:
        return domain->guest[0] != '\0';
    case FS_DOMAINS_ALL:
    case FS_DOMAINS_LOST:
        return true;
    default:
        return false;
    }
}
