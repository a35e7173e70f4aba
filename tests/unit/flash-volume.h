/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* An empty image of our own making, to be spoilt by tests. */

#include "failing-image.h"

#define FLASH_BLANK_BYTES (64u * 1024 * 1024)
/* The store, the working block and the spare area, each; the store's header is at FLASH_STORE. */
#define FLASH_BLOCK 0x40000u
#define FLASH_STORE 0x48u

/* Behind `before` bytes of zeros. */
UvImage *flash_volume_new(size_t before);
/* `bytes` bytes of `value`, the lowest first. */
void flash_put(UvImage *image, uint64_t at, uint64_t value, size_t bytes);
