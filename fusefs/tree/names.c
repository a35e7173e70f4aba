/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "names.h"

#include <string.h>

#include "name.h"

#define GUID_GLOBAL "8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define GUID_LINUX_CRASH "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"
#define GUID_LINUX_RANDOM_SEED "1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b"
#define GUID_RUNTIME_FILE "b2ac5fc9-92b7-4acd-aeac-11e818c3130c"

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
        !uv_guid_parse(name + size - UV_GUID_TEXT_BYTES, &guid))
        return false;
    memcpy(ret_name, name, size - UV_GUID_TEXT_BYTES);
    uv_guid_format(&guid, ret_name + size - UV_GUID_TEXT_BYTES);
    return true;
}

bool fs_name_canonical(const char *name, char ret_name[UV_FILE_NAME_MAX + 1])
{
    g_autoptr(UvName) parsed = NULL;
    g_autofree char *text = NULL;
    UvGuid guid;

    if (!fs_name_fold(name, ret_name) || !uv_file_name_parse(name, &parsed, &guid))
        return false;
    text = uv_file_name_format(parsed, &guid);
    return g_strlcpy(ret_name, text, UV_FILE_NAME_MAX + 1) <= UV_FILE_NAME_MAX;
}

/* What no program may come upon, and why. */
static const struct {
    const char *guid;
    const char *name; /* NULL: any */
    bool host_only;   /* only host tools would act on it: with view=guest it is shown */
} hidden[] = {
    /* Linux' own secret; efivarfs hides it too. */
    {GUID_LINUX_RANDOM_SEED, NULL, false},
    /* After each set, libefivar (38 and later) writes the content of VarToFile into the file below
     * /boot that RTStorageVolatile names. Here a guest chose both, and the file is the host's. */
    {GUID_RUNTIME_FILE, "RTStorageVolatile", true},
    {GUID_RUNTIME_FILE, "VarToFile", true},
};

bool fs_name_is_hidden(const char *folded, bool guest_view)
{
    const char *guid = guid_part(folded);
    size_t name_size = guid - 1 - folded;

    for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++) {
        const char *name = hidden[i].name;
        bool named = !name || (strlen(name) == name_size && !memcmp(name, folded, name_size));
        if (named && strcmp(guid, hidden[i].guid) == 0 && !(hidden[i].host_only && guest_view))
            return true;
    }
    return strlen(folded) > UV_FILE_NAME_MAX;
}

static bool is_word(const char *text)
{
    for (const char *c = text; *c; c++) {
        if (!g_ascii_isalnum(*c) && *c != '-' && *c != '_')
            return false;
    }
    return *text != '\0';
}

/* A file's name, a dot, and a word. */
static bool is_derived(const char *name)
{
    static const char *const control_files[] = {"config.json", "store.json", "store.img", NULL};
    const char *dot = strrchr(name, '.');
    g_autofree char *base = dot ? g_strndup(name, dot - name) : NULL;
    char folded[UV_FILE_NAME_MAX + 1];

    return dot && is_word(dot + 1) &&
           (g_strv_contains(control_files, base) || fs_name_fold(base, folded));
}

bool fs_name_is_staging(const char *name)
{
    const size_t size = strlen(name);
    const bool marked =
        name[0] == '.' || name[size - 1] == '~' || (name[0] == '#' && name[size - 1] == '#');
    const bool prefixed = g_str_has_prefix(name, "sed") || g_str_has_prefix(name, "tmp");

    return marked || strspn(name, "0123456789") == size || (prefixed && is_word(name)) ||
           is_derived(name);
}

/* The table of the kernel's vars.c: '#' stands for a hexadecimal digit. */
static const char *const removable[] = {
    "BootNext",  "BootOrder", "Boot####",     "Driver####",    "DriverOrder",
    "ConIn",     "ConInDev",  "ConOut",       "ConOutDev",     "ErrOut",
    "ErrOutDev", "Lang",      "PlatformLang", "OsIndications", "Timeout",
};

static bool matches(const char *pattern, const char *name, size_t size)
{
    if (strlen(pattern) != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (pattern[i] == '#' ? !g_ascii_isxdigit(name[i]) : pattern[i] != name[i])
            return false;
    }
    return true;
}

bool fs_name_is_removable(const char *folded)
{
    const char *guid = guid_part(folded);

    if (strcmp(guid, GUID_LINUX_CRASH) == 0)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(removable); i++) {
        if (strcmp(guid, GUID_GLOBAL) == 0 && matches(removable[i], folded, guid - 1 - folded))
            return true;
    }
    return false;
}
