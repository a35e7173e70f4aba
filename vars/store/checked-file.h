/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Small sidecars that are read and replaced as a whole, and found whole or not at all:
 *
 *   magic (8) | body | the first 16 bytes of SHA-256 of all before
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "folder.h"

#define UV_CHECKED_MAGIC_BYTES 8

/* The body; NULL: absent, larger than `max_bytes`, or not such a file. */
GBytes *uv_checked_file_read(UvFolder *folder, UvFileRole role,
                             const uint8_t magic[UV_CHECKED_MAGIC_BYTES], size_t max_bytes);
/* Written aside as `temporary` and renamed. `durable`: synced before it has its name. */
bool uv_checked_file_write(UvFolder *folder, UvFileRole role, UvFileRole temporary,
                           const uint8_t magic[UV_CHECKED_MAGIC_BYTES], GBytes *body, bool durable,
                           GError **error);
