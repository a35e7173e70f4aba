/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The domains of a connection, as the monitor was told of them last. What changes is told by
 * fs_domains_turn(), outside of libvirt's callbacks: from inside one nothing is asked.
 */

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>

typedef struct FsDomainsNow FsDomainsNow;

/* `link_fd`: the socket to the monitor, borrowed as is the connection. Events are asked for, and
 * every domain there is is due. NULL with an error. */
FsDomainsNow *fs_domains_now_new(virConnectPtr connection, int link_fd, GError **error);
void fs_domains_now_free(FsDomainsNow *domains);
/* Tells of what is due. false: the monitor is gone. */
bool fs_domains_turn(FsDomainsNow *domains);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsDomainsNow, fs_domains_now_free)
