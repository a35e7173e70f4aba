/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "syntax.h"

#include <string.h>

#include "emit.h"

#define MACHINE_MAX 64
#define FILE_NAME_MAX 255
#define PATH_BYTES_MAX 4095

const char *desc_machine_fault(const char *name)
{
    static const char expected[] =
        "expected a machine type (letters, digits, '.', '_', '+', '-'; at most 64)";
    static const char more[] = "._+-";
    const size_t n = strlen(name);

    if (n == 0 || n > MACHINE_MAX || !g_ascii_isalnum(name[0]))
        return expected;
    for (size_t i = 1; i < n; i++) {
        if (!g_ascii_isalnum(name[i]) && !strchr(more, name[i]))
            return expected;
    }
    return NULL;
}

const char *desc_file_name_fault(const char *name)
{
    if (strchr(name, '/'))
        return "expected a file name, not a path";
    if (!*name || name[0] == '.' || strlen(name) > FILE_NAME_MAX || desc_emit_fault(name))
        return "expected a file name (at most 255 bytes, no dot in front, no control character)";
    return NULL;
}

const char *desc_path_fault(const char *path)
{
    if (path[0] != '/' || strlen(path) > PATH_BYTES_MAX || desc_emit_fault(path))
        return "expected an absolute path (at most 4095 bytes, no control character)";
    return NULL;
}

const char *desc_line_fault(const char *text)
{
    return desc_emit_fault(text) ? "expected a text without control characters" : NULL;
}
