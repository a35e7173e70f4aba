/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "image-nbd.h"

#include "store.h"

#include <errno.h>
#include <libnbd.h>

#define REQUEST_MAX (1024u * 1024)

typedef struct {
    UvImage image;
    struct nbd_handle *nbd;
} NbdImage;

static bool fail(UvImage *image, const char *what, uint64_t offset, GError **error)
{
    const int code = nbd_get_errno();

    g_set_error(error, UV_STORE_ERROR, code == ENOSPC ? UV_STORE_ERROR_NO_SPACE : UV_STORE_ERROR_IO,
                "%s: %s at offset 0x%" PRIx64 ": %s", image->name, what, offset, nbd_get_error());
    return false;
}

static bool nbd_image_read(UvImage *image, uint64_t offset, void *bytes, size_t size,
                           GError **error)
{
    for (size_t done = 0; done < size;) {
        const size_t n = MIN(REQUEST_MAX, size - done);
        if (nbd_pread(((NbdImage *)image)->nbd, (uint8_t *)bytes + done, n, offset + done, 0) < 0)
            return fail(image, "reading", offset + done, error);
        done += n;
    }
    return true;
}

static bool nbd_image_write(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                            GError **error)
{
    for (size_t done = 0; done < size;) {
        const size_t n = MIN(REQUEST_MAX, size - done);
        if (nbd_pwrite(((NbdImage *)image)->nbd, (const uint8_t *)bytes + done, n, offset + done,
                       0) < 0)
            return fail(image, "writing", offset + done, error);
        done += n;
    }
    return true;
}

static bool nbd_image_flush(UvImage *image, GError **error)
{
    if (nbd_flush(((NbdImage *)image)->nbd, 0) < 0)
        return fail(image, "syncing", 0, error);
    return true;
}

static void nbd_image_free(UvImage *image)
{
    NbdImage *n = (NbdImage *)image;

    nbd_shutdown(n->nbd, 0);
    nbd_close(n->nbd);
    g_free(n);
}

UvImage *uv_image_new_nbd(int socket, const char *name, GError **error)
{
    static const UvImageOps ops = {.read = nbd_image_read,
                                   .write = nbd_image_write,
                                   .flush = nbd_image_flush,
                                   .free = nbd_image_free};
    NbdImage *n = g_new0(NbdImage, 1);
    g_autoptr(UvImage) image = &n->image;
    int64_t size;

    n->image.ops = &ops;
    n->image.name = g_strdup(name);
    n->nbd = nbd_create();
    if (!n->nbd || nbd_connect_socket(n->nbd, socket) < 0 || (size = nbd_get_size(n->nbd)) < 0) {
        fail(image, "connecting", 0, error);
        return NULL;
    }
    n->image.size_bytes = size;
    return g_steal_pointer(&image);
}
