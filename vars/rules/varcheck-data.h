/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shapes that the contents of globally defined variables must have. `size` is never 0. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef bool (*VarcheckShape)(const uint8_t *data, size_t size);

/* EFI_LOAD_OPTION: u32 attributes, u16 path length, description with a NUL, device path, ... */
bool varcheck_is_load_option(const uint8_t *data, size_t size);
/* Nodes up to an end node (edk2's IsDevicePathValid); bytes after it are not looked at. */
bool varcheck_is_device_path(const uint8_t *data, size_t size);
/* Has a NUL (edk2 asks for no more). */
bool varcheck_is_ascii(const uint8_t *data, size_t size);
/* EFI_KEY_OPTION and up to three EFI_INPUT_KEY. */
bool varcheck_is_key_option(const uint8_t *data, size_t size);
bool varcheck_is_u16_array(const uint8_t *data, size_t size);
bool varcheck_is_guid_array(const uint8_t *data, size_t size);
