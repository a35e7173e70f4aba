/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "memory-image.h"

#include <string.h>

typedef struct {
    UvImage image;
    uint8_t *bytes;
} MemoryImage;

static bool memory_read(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error)
{
    memcpy(bytes, ((MemoryImage *)image)->bytes + offset, size);
    return true;
}

static bool memory_write(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                         GError **error)
{
    memcpy(((MemoryImage *)image)->bytes + offset, bytes, size);
    return true;
}

static bool memory_flush(UvImage *image, GError **error)
{
    return true;
}

static void memory_free(UvImage *image)
{
    g_free(((MemoryImage *)image)->bytes);
    g_free(image);
}

UvImage *memory_image_new(const char *name, const void *bytes, size_t size)
{
    static const UvImageOps ops = {
        .read = memory_read, .write = memory_write, .flush = memory_flush, .free = memory_free};
    MemoryImage *memory = g_new0(MemoryImage, 1);

    memory->image.ops = &ops;
    memory->image.name = g_strdup(name);
    memory->image.size_bytes = size;
    memory->bytes = g_memdup2(bytes, size);
    return &memory->image;
}

const uint8_t *memory_image_bytes(UvImage *image)
{
    return ((MemoryImage *)image)->bytes;
}
