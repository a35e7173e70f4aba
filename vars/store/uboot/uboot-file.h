/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The file in which U-Boot keeps UEFI variables, ubootefi.var, as the Embedded Base Boot
 * Requirements have it ("File Format For Storing EFI Variables"). Little endian:
 *
 *   u64 reserved, 0 | "UbEfiVa" and the revision, 1 | u32 bytes of the whole, the header included |
 *   u32 CRC-32 (zlib's) of what follows the header
 *   entries, each from a multiple of 8: u32 bytes of data | u32 attributes | u64 seconds since
 * 1970, of the last authenticated write | GUID | name in UTF-16 with its NUL | data
 *
 * The file may be longer than it says.
 */

#include "variable.h"

#define UV_UBOOT_MAGIC_AT 8u
#define UV_UBOOT_MAGIC "UbEfiVa"

/*
 * The variables (UvVariable) in the file's order; of two with one name the first counts, as in
 * U-Boot. What no store keeps is left out and counted: volatile variables (of a file that was made
 * to be built into U-Boot). NULL: UV_STORE_ERROR_PARSE with `name` and the offset.
 */
GPtrArray *uv_uboot_parse(const char *name, const void *bytes, size_t size, unsigned *ret_left_out,
                          GError **error);
