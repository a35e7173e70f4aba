/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Bytes as hexadecimal digits, in either case. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads 2 * `bytes` digits, which must be there. False: one of them is none. */
bool uv_hex_read(const char *digits, size_t bytes, uint8_t *ret_bytes);
void uv_hex_append(GString *text, const void *bytes, size_t size);
