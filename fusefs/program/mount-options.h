/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The -o options that are ours. */

#include "options.h"

/* Takes a value that is not empty, or NULL for an option that has none; false with an error that
 * names the option. */
typedef bool (*FsSetOption)(FsOptions *options, const char *name, const char *value,
                            GError **error);

/* NULL: none of ours. `ret_flag`: it has no value. */
FsSetOption fs_mount_option_find(const char *name, bool *ret_flag);
void fs_mount_options_help(void); /* to stdout */

/* Always false: replaces the error. */
bool fs_options_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
