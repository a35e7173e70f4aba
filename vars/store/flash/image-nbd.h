/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* An image behind an NBD connection; the only file that knows libnbd. */

#include "image.h"

/* Takes ownership of the connected socket. */
UvImage *uv_image_new_nbd(int socket, const char *name, GError **error);
