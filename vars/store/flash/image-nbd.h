/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* An image behind an NBD connection; the only file that knows NBD. */

#include "image.h"

/* Takes ownership of the connected socket; how long it may wait for the server is the socket's own
 * (SO_RCVTIMEO, SO_SNDTIMEO). */
UvImage *uv_image_new_nbd(int socket, const char *name, GError **error);
