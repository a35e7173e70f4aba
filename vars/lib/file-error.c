/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "file-error.h"

#include <errno.h>
#include <stdarg.h>

bool uv_file_error(GError **error, int code, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    /* GFileError knows no quota. */
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code == EDQUOT ? ENOSPC : code),
                "%s: %s", text, g_strerror(code));
    return false;
}
