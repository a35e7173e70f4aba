/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "file-error.h"

#include <errno.h>
#include <stdarg.h>

bool uv_file_error(GError **error, int code, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    if (!error) /* g_strerror() looks for translations and character sets */
        return false;
    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    /* GFileError knows no quota. */
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code == EDQUOT ? ENOSPC : code),
                "%s: %s", text, g_strerror(code));
    return false;
}

bool uv_fail(GError **error, GQuark domain, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (error)
        *error = g_error_new_valist(domain, code, format, arguments);
    va_end(arguments);
    return false;
}

bool uv_fail_with(GError **error, GError *reason)
{
    g_propagate_error(error, reason);
    return false;
}

int uv_file_error_number(const GError *error)
{
    static const struct {
        GFileError code;
        int number;
    } numbers[] = {
        {G_FILE_ERROR_EXIST, EEXIST}, {G_FILE_ERROR_NOENT, ENOENT}, {G_FILE_ERROR_PERM, EPERM},
        {G_FILE_ERROR_ACCES, EACCES}, {G_FILE_ERROR_NOSPC, ENOSPC}, {G_FILE_ERROR_ROFS, EROFS},
        {G_FILE_ERROR_INVAL, EINVAL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (g_error_matches(error, G_FILE_ERROR, numbers[i].code))
            return numbers[i].number;
    }
    return EIO;
}
