/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "varcheck-table.h"

#include <string.h>

#include "bytes.h"

#define NODE_HEADER_BYTES 4u
#define NODE_MEDIA 0x04
#define NODE_MEDIA_FILE_PATH 0x04
#define NODE_END 0x7f
#define NODE_END_ENTIRE 0xff

#define KEY_OPTION_BYTES 10u
#define INPUT_KEY_BYTES 4u

bool varcheck_is_device_path(const uint8_t *data, size_t size)
{
    UvReader reader = uv_reader(data, size);

    for (;;) {
        const uint8_t type = uv_read_u8(&reader);
        const uint8_t subtype = uv_read_u8(&reader);
        const uint16_t length = uv_read_u16(&reader);

        if (reader.failed || length < NODE_HEADER_BYTES)
            return false;
        if (type == NODE_END && subtype == NODE_END_ENTIRE)
            return length == NODE_HEADER_BYTES;
        const size_t rest = length - NODE_HEADER_BYTES;
        const uint8_t *node = uv_read_bytes(&reader, rest);
        if (!node)
            return false;
        /* A file path ends with a NUL; edk2 looks at the node's last two bytes, whatever they are.
         */
        if (type == NODE_MEDIA && subtype == NODE_MEDIA_FILE_PATH && rest >= 2 &&
            (node[rest - 2] != 0 || node[rest - 1] != 0))
            return false;
    }
}

bool varcheck_is_load_option(const uint8_t *data, size_t size)
{
    uint16_t unit;
    UvReader reader = uv_reader(data, size);

    uv_read_u32(&reader); /* attributes */
    const uint16_t path_bytes = uv_read_u16(&reader);
    do
        unit = uv_read_u16(&reader);
    while (unit != 0 && !reader.failed);
    const uint8_t *path = uv_read_bytes(&reader, path_bytes);
    return path && varcheck_is_device_path(path, path_bytes);
}

bool varcheck_is_ascii(const uint8_t *data, size_t size)
{
    return memchr(data, 0, size) != NULL;
}

bool varcheck_is_key_option(const uint8_t *data, size_t size)
{
    return size >= KEY_OPTION_BYTES && (size - KEY_OPTION_BYTES) % INPUT_KEY_BYTES == 0;
}

bool varcheck_is_u16_array(const uint8_t *data, size_t size)
{
    return size % 2 == 0;
}

bool varcheck_is_guid_array(const uint8_t *data, size_t size)
{
    return size % 16 == 0;
}
