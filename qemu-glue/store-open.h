/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* No QEMU header is needed here. */

#include <glib.h>

/*
 * The store, as QEMU's own device opens it: for reading and writing, and of the file that the name
 * means. -1 with a GLUE_LINK_ERROR_NOT_SENT.
 */
int glue_store_open(const char *store, gint64 deadline, GError **error);
