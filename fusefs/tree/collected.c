/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "collected.h"

#include <errno.h>
#include <string.h>

FsCollected *fs_collected_new(size_t max_bytes)
{
    FsCollected *collected = g_new0(FsCollected, 1);

    collected->bytes = g_byte_array_new();
    collected->max_bytes = max_bytes;
    return collected;
}

void fs_collected_free(FsCollected *collected)
{
    g_byte_array_unref(collected->bytes);
    g_free(collected);
}

int fs_collected_resize(FsCollected *collected, size_t size)
{
    const size_t old = collected->bytes->len;

    if (size > collected->max_bytes)
        return EFBIG;
    g_byte_array_set_size(collected->bytes, size);
    if (size > old)
        memset(collected->bytes->data + old, 0, size - old);
    collected->changed = true;
    return 0;
}

int fs_collected_write(FsCollected *collected, GBytes *piece, size_t offset)
{
    gsize size;
    const void *bytes = g_bytes_get_data(piece, &size);
    int error = 0;

    if (offset > collected->max_bytes)
        return EFBIG;
    if (offset + size > collected->bytes->len)
        error = fs_collected_resize(collected, offset + size);
    if (!error && size > 0) {
        memcpy(collected->bytes->data + offset, bytes, size);
        collected->changed = true;
    }
    return error;
}

GBytes *fs_collected_take(FsCollected *collected)
{
    if (!collected->changed || collected->bytes->len == 0)
        return NULL;
    collected->changed = false;
    return g_bytes_new(collected->bytes->data, collected->bytes->len);
}
