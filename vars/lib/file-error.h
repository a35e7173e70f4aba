/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Sets `error` to G_FILE_ERROR of `code`, a positive errno: "TEXT: what the code means". A quota
 * counts as a full disk. Always false, so that callers can return it. */
bool uv_file_error(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* As g_set_error(); always false, likewise. */
bool uv_fail(GError **error, GQuark domain, int code, const char *format, ...) G_GNUC_PRINTF(4, 5);
/* As g_propagate_error(); always false, too. */
bool uv_fail_with(GError **error, GError *reason);
/* The errno that such an error tells a program; EIO for others. */
int uv_file_error_number(const GError *error);
