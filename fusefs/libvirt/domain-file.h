/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The domain that a file in libvirt's folders is a store of: varstore/NAME.json,
 * nvram/NAME_VARS.fd or nvram/NAME_VARS.qcow2. A domain that has several is served from the first
 * of these, whichever is newer: a file that is not its store any more does not change that by
 * being touched.
 */

#include "domains.h"

#include <stdbool.h>

#define FS_DOMAIN_VARSTORE "varstore"
#define FS_DOMAIN_NVRAM "nvram"

/* `home` is absolute. What the monitor is told of it, and its place in that order, from 0. false:
 * it is no store, or none that can be told. */
bool fs_domain_of_file(const char *home, const char *folder, const char *file, FsDomain *ret_domain,
                       unsigned *ret_rank);
