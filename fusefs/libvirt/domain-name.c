/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "domain-name.h"

#include "uv-limits.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define CONFIG ".config.json"
#define DIGEST_DIGITS 16

static bool reads_as_escape(const char *percent)
{
    return percent[1] == '~' || (g_ascii_isxdigit(percent[1]) && g_ascii_isxdigit(percent[2]));
}

static bool must_escape(const char *name, size_t at, size_t size)
{
    const char c = name[at];

    return c == '/' || g_ascii_iscntrl(c) || (c == '.' && at == 0) ||
           (c == '%' && reads_as_escape(name + at)) ||
           (size - at == strlen(CONFIG) && strcmp(name + at, CONFIG) == 0);
}

static void cut(GString *guest, const char *name)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
    size_t size = UV_GUEST_NAME_MAX - strlen("%~") - DIGEST_DIGITS;
    const char *end;

    g_utf8_validate_len(guest->str, size, &end); /* in front of a character that is cut in two */
    g_string_truncate(guest, end > guest->str ? (size_t)(end - guest->str) : size);
    g_string_append_printf(guest, "%%~%.*s", DIGEST_DIGITS, digest);
}

char *fs_domain_guest(const char *name)
{
    g_autoptr(GString) guest = g_string_new(NULL);
    const size_t size = strlen(name);

    if (size == 0)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (must_escape(name, i, size))
            g_string_append_printf(guest, "%%%02X", (unsigned char)name[i]);
        else
            g_string_append_c(guest, name[i]);
    }
    if (guest->len > UV_GUEST_NAME_MAX)
        cut(guest, name);
    return g_string_free(g_steal_pointer(&guest), FALSE);
}
