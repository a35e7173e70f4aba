/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where things are in an edk2 flash image. One firmware volume, marked as system non-volatile data,
 * holds the variable store, then an event log, the fault tolerant write working block and its spare
 * area. It may lie anywhere in the file (a combined image has code before or after it):
 *
 *   volume   | header (0x48) | variable store | event log | working block | spare area |
 *
 * The volume's and the store's headers are in the image; where the working block is, is only built
 * into the firmware, so it is looked for by its signature. The spare area follows it and ends with
 * the volume (true of OVMF's two layouts and of ArmVirt's). edk2: Guid/SystemNvDataGuid.h,
 * Guid/VariableFormat.h, VariableNonVolatile.c, FaultTolerantWrite.
 */

#include "image.h"

#define UV_FLASH_STORE_HEADER_BYTES 28u
#define UV_FLASH_HEADER_MAX 4096u

typedef struct {
    uint64_t volume_offset;
    uint64_t volume_bytes;
    uint64_t store_offset; /* of the variable store's header */
    uint32_t store_bytes;  /* with its header */
    uint32_t block_bytes;  /* erase block */
    bool authenticated;    /* 60 byte records; otherwise 32 */
    uint64_t work_offset;  /* 0: no working block was found */
    uint32_t work_bytes;
    uint64_t spare_offset; /* 0: none */
    uint32_t spare_bytes;
    /* An image of zeros, which ArmVirt's firmware formats on its first boot. The fields above say
     * how. */
    bool blank;
    char *damage; /* what is wrong, with the offset, though the store can be read; NULL: nothing */
} UvFlashLayout;

bool uv_flash_layout_find(UvImage *image, UvFlashLayout *ret_layout, GError **error);
void uv_flash_layout_clear(UvFlashLayout *layout);
/* Writes the headers of a blank image: what the firmware would make of it. */
bool uv_flash_layout_format(UvImage *image, const UvFlashLayout *layout, GError **error);
/* The variable store's header that a blank image gets. */
void uv_flash_layout_store_header(const UvFlashLayout *layout,
                                  uint8_t ret_header[UV_FLASH_STORE_HEADER_BYTES]);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvFlashLayout, uv_flash_layout_clear)
