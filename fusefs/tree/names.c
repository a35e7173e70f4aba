/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "names.h"

#include <string.h>

#include "name.h"

#define GUID_GLOBAL "8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define GUID_LINUX_CRASH "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"
#define GUID_LINUX_RANDOM_SEED "1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b"

/* Where the GUID of a folded name begins. */
static const char *guid_part(const char *folded)
{
    return folded + strlen(folded) - UV_GUID_TEXT_BYTES;
}

bool fs_name_fold(const char *name, char ret_name[UV_FILE_NAME_MAX + 1])
{
    size_t size = strlen(name);
    UvGuid guid;

    if (size <= UV_FILE_NAME_GUID_BYTES || size > UV_FILE_NAME_MAX ||
        name[size - UV_FILE_NAME_GUID_BYTES] != '-' ||
        !uv_guid_parse(name + size - UV_GUID_TEXT_BYTES, &guid)) {
        return false;
    }
    memcpy(ret_name, name, size - UV_GUID_TEXT_BYTES);
    uv_guid_format(&guid, ret_name + size - UV_GUID_TEXT_BYTES);
    return true;
}

bool fs_name_canonical(const char *name, char ret_name[UV_FILE_NAME_MAX + 1])
{
    g_autoptr(UvName) parsed = NULL;
    g_autofree char *text = NULL;
    UvGuid guid;

    if (!fs_name_fold(name, ret_name) || !uv_file_name_parse(name, &parsed, &guid)) {
        return false;
    }
    text = uv_file_name_format(parsed, &guid);
    return g_strlcpy(ret_name, text, UV_FILE_NAME_MAX + 1) <= UV_FILE_NAME_MAX;
}

bool fs_name_is_hidden(const char *folded)
{
    size_t size = strlen(folded);
    return size > UV_FILE_NAME_MAX || memcmp(folded + size - UV_GUID_TEXT_BYTES,
                                             GUID_LINUX_RANDOM_SEED, UV_GUID_TEXT_BYTES) == 0;
}

/* The table of semantics 3.4, kernel's vars.c: '#' stands for a hexadecimal digit. */
static const char *const removable[] = {
    "BootNext",  "BootOrder", "Boot####",     "Driver####",    "DriverOrder",
    "ConIn",     "ConInDev",  "ConOut",       "ConOutDev",     "ErrOut",
    "ErrOutDev", "Lang",      "PlatformLang", "OsIndications", "Timeout",
};

static bool matches(const char *pattern, const char *name, size_t size)
{
    if (strlen(pattern) != size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (pattern[i] == '#' ? !g_ascii_isxdigit(name[i]) : pattern[i] != name[i]) {
            return false;
        }
    }
    return true;
}

bool fs_name_is_removable(const char *folded)
{
    const char *guid = guid_part(folded);

    if (strcmp(guid, GUID_LINUX_CRASH) == 0) {
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(removable); i++) {
        if (strcmp(guid, GUID_GLOBAL) == 0 && matches(removable[i], folded, guid - 1 - folded)) {
            return true;
        }
    }
    return false;
}
