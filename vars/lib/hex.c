/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "hex.h"

#include <glib.h>

bool uv_hex_read(const char *digits, size_t bytes, uint8_t *ret_bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const int high = g_ascii_xdigit_value(digits[2 * i]);
        const int low = g_ascii_xdigit_value(digits[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
