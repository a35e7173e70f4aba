/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "trusted-attributes.h"

#include <glib.h>
#include <limits.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

/* Most files have none, and to have room for as many as there may be costs more than to ask. */
bool uv_has_trusted_attributes(int fd)
{
    if (flistxattr(fd, NULL, 0) <= 0)
        return false;
    g_autofree char *names = g_malloc0(XATTR_LIST_MAX + 1);
    const ssize_t size = flistxattr(fd, names, XATTR_LIST_MAX);

    for (const char *name = names; name < names + size; name += strlen(name) + 1)
        if (g_str_has_prefix(name, "trusted."))
            return true;
    return false;
}
