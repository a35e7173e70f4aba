/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "profile-image.h"
#include "file-error.h"

#include <string.h>

#include "flash-write.h"

typedef struct {
    UvImage image;
    const uint8_t *bytes; /* borrowed */
} MemoryImage;

/* The range is in the image: uv_image_read() has looked. */
static bool read_bytes(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error)
{
    const MemoryImage *memory = (const MemoryImage *)image;

    memcpy(bytes, memory->bytes + offset, size);
    return true;
}

static bool write_bytes(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                        GError **error)
{
    return uv_fail(error, G_FILE_ERROR, G_FILE_ERROR_ROFS, "%s: only read", image->name);
}

static bool flush(UvImage *image, GError **error)
{
    return true;
}

static void keep(UvImage *image)
{
}

GPtrArray *uv_profile_image_read(const char *name, GBytes *bytes, GError **error)
{
    static const UvImageOps ops = {read_bytes, write_bytes, flush, keep};
    gsize size;
    const uint8_t *content = g_bytes_get_data(bytes, &size);
    MemoryImage memory = {{&ops, (char *)name, size}, content};
    g_autoptr(UvFlash) flash = uv_flash_open(&memory.image, error);

    return flash ? uv_flash_variables(flash) : NULL;
}
