/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The -o options that are ours. */

#include "options.h"

typedef struct FsMountOption FsMountOption;

/* NULL: none of ours. */
const FsMountOption *fs_mount_option_find(const char *name);
/* `value` NULL: none is given. false with an error that names the option. */
bool fs_mount_option_take(const FsMountOption *option, FsOptions *options, const char *value,
                          GError **error);
void fs_mount_options_help(void); /* to stdout */

/* Always false: replaces the error. */
bool fs_options_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
