/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * qemu-storage-daemon for one image, run by a supervisor.
 *
 * A confined engine can't start programs, so a small process does: forked when the store is opened,
 * before the confinement, it knows two requests, start (a descriptor of the image; reading, or
 * writing) and stop, on a socket that only the engine has. It ends with the engine, and the daemon
 * with it. What the daemon exports is reached through one connection that the supervisor made; its
 * socket has no name any more when the engine gets it.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct UvBlockd UvBlockd;

UvBlockd *uv_blockd_new(GError **error);
void uv_blockd_free(UvBlockd *blockd);
/*
 * Starts the daemon on the qcow2 image that `image_fd` is open on. Returns a socket that speaks
 * NBD, or -1. Reading takes no lock that hinders anybody. That the daemon could not open the image
 * shows at the first use of the socket; uv_blockd_stop() then knows why.
 */
int uv_blockd_start(UvBlockd *blockd, int image_fd, bool writable, GError **error);
/* Returns when the daemon is gone and all is in the image. What it said on stderr, or NULL. */
char *uv_blockd_stop(UvBlockd *blockd);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvBlockd, uv_blockd_free)
