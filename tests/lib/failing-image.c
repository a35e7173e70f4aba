/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "failing-image.h"

#include "store.h"

static bool fails(FailingImage *f, GError **error)
{
    f->steps++;
    if (f->fail_at == 0 || f->steps < f->fail_at || f->steps >= f->fail_at + f->n_failures)
        return false;
    g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_NO_SPACE, "no space");
    return true;
}

static bool failing_read(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error)
{
    FailingImage *f = (FailingImage *)image;

    return !(f->reads && fails(f, error)) && uv_image_read(f->inner, offset, bytes, size, error);
}

static bool failing_write(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                          GError **error)
{
    FailingImage *f = (FailingImage *)image;

    return !fails(f, error) && uv_image_write(f->inner, offset, bytes, size, error);
}

static bool failing_flush(UvImage *image, GError **error)
{
    return !fails((FailingImage *)image, error);
}

void failing_image_init(FailingImage *failing, UvImage *image)
{
    static const UvImageOps ops = {
        .read = failing_read, .write = failing_write, .flush = failing_flush};

    *failing = (FailingImage){
        .image = {.ops = &ops, .name = (char *)"failing", .size_bytes = image->size_bytes},
        .inner = memory_image_new("inner", memory_image_bytes(image), image->size_bytes),
        .n_failures = 1,
    };
}

void failing_image_clear(FailingImage *failing)
{
    g_clear_pointer(&failing->inner, uv_image_free);
}
