/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "der.h"

/* X.690, 8.1.3: one byte, or how many bytes of length follow. */
static size_t read_length(UvReader *reader)
{
    const uint8_t first = uv_read_u8(reader);
    size_t length = 0;

    if (first < 0x80)
        return first;
    if (first == 0x80 || first > 0x84)
        reader->failed = true;
    for (uint8_t i = 0x80; i < first && !reader->failed; i++)
        length = length << 8 | uv_read_u8(reader);
    return length;
}

bool der_next(UvReader *reader, uint8_t tag, UvReader *ret_content)
{
    UvReader at = *reader;
    const uint8_t found = uv_read_u8(&at);
    const size_t length = read_length(&at);
    const UvReader content = uv_read_sub(&at, length);

    if (at.failed || found != tag)
        return false;
    *reader = at;
    *ret_content = content;
    return true;
}

bool der_next_whole(UvReader *reader, uint8_t tag, DerElement *ret_element)
{
    const uint8_t *bytes = reader->at;
    UvReader content;

    if (!der_next(reader, tag, &content))
        return false;
    *ret_element = (DerElement){bytes, reader->at - bytes};
    return true;
}
