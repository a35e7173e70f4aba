/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "flash-volume.h"

#include <string.h>

#include "flash-ftw.h"

UvImage *flash_volume_new(size_t before)
{
    const size_t size = before + 3 * FLASH_BLOCK;
    g_autofree uint8_t *zeros = g_malloc0(MAX(FLASH_BLANK_BYTES, size));
    g_autoptr(UvImage) blank = memory_image_new("blank", zeros, FLASH_BLANK_BYTES);
    g_autoptr(UvImage) volume = memory_image_new("volume", zeros, 3 * FLASH_BLOCK);
    UvImage *image = memory_image_new("image", zeros, size);
    g_auto(UvFlashLayout) layout = {0};

    g_assert_true(uv_flash_layout_find(blank, &layout, NULL));
    g_assert_true(layout.blank);
    g_assert_true(uv_flash_layout_format(volume, &layout, NULL));
    g_assert_true(uv_ftw_format(volume, &layout, NULL));
    g_assert_true(uv_image_write(image, before, memory_image_bytes(volume), 3 * FLASH_BLOCK, NULL));
    return image;
}

void flash_put(UvImage *image, uint64_t at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++, value >>= 8) {
        const uint8_t byte = value & 0xff;

        g_assert_true(uv_image_write(image, at + i, &byte, 1, NULL));
    }
}
