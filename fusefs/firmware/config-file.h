/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A guest's config.json on the disk: read whole, replaced atomically, reached from SOURCE without
 * following links.
 */

#include <sys/stat.h>

#include "fleet.h"

/* A larger config.json is an error. */
#define FS_CONFIG_MAX (64 * 1024)

/* false: there is none. */
bool fs_config_stat(const FsFleet *fleet, const FsGuest *guest, struct stat *ret_stat);
/* NULL without an error: there is none. */
GBytes *fs_config_read(const FsFleet *fleet, const FsGuest *guest, size_t max_bytes,
                       GError **error);
/* Checks the text, then replaces the file. 0 or an errno (EINVAL: the text), with an error that
 * says why. */
int fs_config_write(const FsFleet *fleet, const FsGuest *guest, GBytes *text, GError **error);
