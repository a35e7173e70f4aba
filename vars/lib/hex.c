/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "hex.h"

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

void uv_hex_append(GString *text, const void *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    const size_t at = text->len;

    g_string_set_size(text, at + 2 * size);
    for (size_t i = 0; i < size; i++) {
        text->str[at + 2 * i] = digits[from[i] >> 4];
        text->str[at + 2 * i + 1] = digits[from[i] & 0xf];
    }
}
