/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What QEMU's command line says of its uefi-vars device. No QEMU header is needed here. */

#include <glib.h>
#include <stdbool.h>

typedef struct {
    bool found;  /* there is such a device */
    char *store; /* its jsonfile=, or NULL */
    bool socket; /* it has a socket= */
} GlueDeviceOption;

/*
 * `line` holds `bytes` of arguments, each with a NUL, as /proc/self/cmdline has them. Options are
 * read in both forms: `-device uefi-vars-x64,jsonfile=FILE` (with ",," for a comma) and `-device
 * {"driver": "uefi-vars-x64", "jsonfile": "FILE"}`. Of several devices the first counts.
 */
GlueDeviceOption glue_device_option_parse(const char *line, size_t bytes);
void glue_device_option_clear(GlueDeviceOption *option);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GlueDeviceOption, glue_device_option_clear)
