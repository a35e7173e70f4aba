/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a domain's XML says of its UEFI variables, as the user wrote it who defined the domain. */

#include "domains.h"

#include <glib.h>

typedef struct {
    bool is_guest; /* it has a store, or will have one; without it the rest means nothing */
    FsFormat format;
    char *path; /* absolute; NULL: not said yet, or not on this host */
} FsDomainStore;

void fs_domain_store_clear(FsDomainStore *store);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsDomainStore, fs_domain_store_clear)

/* `xml` is libvirt's <domain>. false with an error: it is not, or its store's path is none that a
 * file can have. */
bool fs_domain_xml_read(const char *xml, FsDomainStore *ret_store, GError **error);
/* What the monitor is told of it, FS_DOMAIN_IS. false: it is no guest; with an error where it might
 * have been one. */
bool fs_domain_describe(const char *name, const char *xml, bool saved, FsDomain *ret_domain,
                        GError **error);
