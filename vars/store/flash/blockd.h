/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * uefivars-qcow2, from its engine's side: the process that runs qemu-storage-daemon for one image,
 * and confines it.
 *
 * A confined engine starts no program. So who starts the engine opens the image, once, and starts
 * uefivars-qcow2 with it (an engine that is started by hand does both itself, before it confines
 * itself), and the engine gets one end of a socket. It can ask for the server to be started, for
 * reading or for writing, and to be stopped (blockd-wire.h); it can name no other image.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct UvBlockd UvBlockd;

/*
 * Starts uefivars-qcow2 on the image (borrowed, open for reading), confined unless told otherwise.
 * `ret_control` is the engine's end, close-on-exec; the process ends with it, and is the caller's
 * to reap.
 */
bool uv_blockd_spawn(int image_fd, bool confined, int *ret_control, pid_t *ret_pid, GError **error);

/* Takes ownership of the engine's end. `pid` is reaped with it; 0: another process's child. */
UvBlockd *uv_blockd_new(int control_fd, pid_t pid);
void uv_blockd_free(UvBlockd *blockd);
/*
 * Starts the server. Returns a socket that speaks NBD, or -1 (UV_STORE_ERROR_PARSE: `name` is an
 * image that is not served). Reading takes no lock that hinders another program. That the server
 * could not open the image shows at the first use of the socket; uv_blockd_stop() then knows why.
 */
int uv_blockd_start(UvBlockd *blockd, const char *name, bool writable, GError **error);
/* Returns when the server is gone and all is in the image. What it said on stderr, or NULL. */
char *uv_blockd_stop(UvBlockd *blockd);
/* Whether this is the image that uefivars-qcow2 has; true before the first start. */
bool uv_blockd_is_of(const UvBlockd *blockd, uint64_t device, uint64_t inode);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvBlockd, uv_blockd_free)
