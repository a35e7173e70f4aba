/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * SOURCE of a libvirt: a folder of the monitor's own that has a folder for each domain, and in that
 * a link to the domain's store: vars.json, vars.fd or vars.qcow2, as its format is. So a domain is
 * a guest like others, found, listed and followed like others; what it leads to is opened by the
 * rules for any store (place.h). That of a domain without a store's path is empty.
 *
 * No other user can put anything there. That a link's text is plain was checked before it was made;
 * its folders are walked without following links but root's.
 */

#include "domains.h"
#include "place.h"

#include <stdbool.h>

/* The folder of `domain` (valid, of FS_DOMAIN_IS) says what the domain is now. `ret_moved`: it had
 * another store until now. 0, -EINVAL (no guest's name), or another -errno. */
int fs_domain_put(const FsLocal *source, const FsDomain *domain, bool *ret_moved);
/* The domain is gone: its folder goes. */
void fs_domain_drop(const FsLocal *source, const char *guest);
/* Drops all that are not `kept` (a set of names; NULL: none is), each when `gone` (nullable) was
 * told of it. */
typedef void (*FsDomainGone)(void *data, const char *guest);
void fs_domain_sweep(const FsLocal *source, GHashTable *kept, FsDomainGone gone, void *data);

/* Where the domain's store is, allocated; NULL: that is not said, or it is no domain. */
char *fs_domain_store(const FsLocal *source, const char *guest);
/* The same of a store whose domain may be gone; to be cleared. 0 or -errno. */
int fs_domain_reach(const char *store, FsPlace *ret_place);

/* A place's store becomes what the link means; where that can't be reached, there is none, and
 * `place->unreached` says why. 0 or -errno. */
int fs_domain_follow(FsPlace *place);
