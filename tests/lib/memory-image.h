/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A flash image in memory. */

#include "image.h"

/* A copy of `bytes`. */
UvImage *memory_image_new(const char *name, const void *bytes, size_t size);
/* As it is now; borrowed. */
const uint8_t *memory_image_bytes(UvImage *image);
