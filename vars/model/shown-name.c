/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "shown-name.h"

#include "name.h"
#include "uv-limits.h"

#include <string.h>

#define KEPT_BYTES 160u /* of the name itself */
#define HASH_BYTES 16u
#define TAIL_BYTES (1 + HASH_BYTES + UV_FILE_NAME_GUID_BYTES) /* "~hash-GUID" */

G_STATIC_ASSERT(KEPT_BYTES + TAIL_BYTES < UV_FILE_NAME_MAX);

static bool is_name(const char *file_name)
{
    g_autoptr(UvName) name = NULL;
    UvGuid guid;

    return uv_file_name_parse(file_name, &name, &guid);
}

/* A cut through a character or an escape is no name: a little less is. */
static char *shorten(const char *full)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, full, -1);
    const char *guid = full + strlen(full) - UV_FILE_NAME_GUID_BYTES;

    for (int kept = KEPT_BYTES;; kept--) {
        g_autofree char *shown =
            g_strdup_printf("%.*s~%.*s%s", kept, full, (int)HASH_BYTES, hash, guid);
        if (is_name(shown))
            return g_steal_pointer(&shown);
        g_assert(kept > 0);
    }
}

char *uv_shown_name_format(const UvName *name, const UvGuid *guid)
{
    g_autofree char *full = uv_file_name_format(name, guid);

    return strlen(full) <= UV_FILE_NAME_MAX ? g_steal_pointer(&full) : shorten(full);
}

bool uv_shown_name_is_shortened(const UvVariable *variable)
{
    g_autofree char *full = uv_file_name_format(variable->name, &variable->guid);

    return strlen(full) > UV_FILE_NAME_MAX;
}

/* Whether it may be what shorten() makes: no other name is this long before such a tail. */
static bool looks_shortened(const char *file_name)
{
    const size_t size = strlen(file_name);

    if (size < TAIL_BYTES || size > KEPT_BYTES + TAIL_BYTES || size < KEPT_BYTES)
        return false;
    const char *tail = file_name + size - TAIL_BYTES;
    for (size_t i = 1; i <= HASH_BYTES; i++)
        if (!g_ascii_isxdigit(tail[i]))
            return false;
    return tail[0] == '~';
}

static const UvVariable *find_shortened(const UvVarset *set, const char *file_name)
{
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        g_autofree char *full = uv_file_name_format(v->name, &v->guid);
        if (strlen(full) <= UV_FILE_NAME_MAX)
            continue;
        g_autofree char *shown = shorten(full);
        if (strcmp(shown, file_name) == 0)
            return v;
    }
    return NULL;
}

UvShownName uv_shown_name_parse(const UvVarset *set, const char *file_name, UvName **ret_name,
                                UvGuid *ret_guid)
{
    g_autoptr(UvName) name = NULL;
    UvGuid guid;

    if (!uv_file_name_parse(file_name, &name, &guid))
        return UV_SHOWN_NO_NAME;
    if (looks_shortened(file_name) && !uv_varset_lookup(set, &guid, name)) {
        const UvVariable *found = find_shortened(set, file_name);
        if (!found)
            return UV_SHOWN_UNKNOWN;
        g_clear_pointer(&name, uv_name_unref);
        name = uv_name_ref(found->name);
    }
    *ret_name = g_steal_pointer(&name);
    *ret_guid = guid;
    return UV_SHOWN_NAME;
}
