/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "image.h"

#include "file-io.h"
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    UvImage image;
    int fd; /* borrowed */
} FdImage;

static bool fail(UvImage *image, const char *what, uint64_t offset, int code, GError **error)
{
    const int kind = code == ENOSPC || code == EDQUOT ? UV_STORE_ERROR_NO_SPACE
                     : code == EROFS                  ? UV_STORE_ERROR_READ_ONLY
                                                      : UV_STORE_ERROR_IO;

    return uv_fail(error, UV_STORE_ERROR, kind, "%s: %s at offset 0x%" PRIx64 ": %s", image->name,
                   what, offset, g_strerror(code));
}

static bool fd_read(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error)
{
    const ssize_t n = uv_pread_all(((FdImage *)image)->fd, bytes, size, offset);

    if (n < 0)
        return fail(image, "reading", offset, -n, error);
    if ((size_t)n == size)
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                   "%s: the file ends at offset 0x%" PRIx64, image->name, offset + n);
}

static bool fd_write(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                     GError **error)
{
    const int ret = uv_pwrite_all(((FdImage *)image)->fd, bytes, size, offset);

    return ret == 0 || fail(image, "writing", offset, -ret, error);
}

static bool fd_flush(UvImage *image, GError **error)
{
    if (fdatasync(((FdImage *)image)->fd) < 0)
        return fail(image, "syncing", 0, errno, error);
    return true;
}

static void fd_free(UvImage *image)
{
    g_free(image);
}

UvImage *uv_image_new_fd(int fd, const char *name, GError **error)
{
    static const UvImageOps ops = {
        .read = fd_read, .write = fd_write, .flush = fd_flush, .free = fd_free};
    g_autoptr(UvImage) image = (UvImage *)g_new0(FdImage, 1);
    struct stat st;

    image->ops = &ops;
    image->name = g_strdup(name);
    ((FdImage *)image)->fd = fd;
    if (fstat(fd, &st) < 0) {
        fail(image, "looking", 0, errno, error);
        return NULL;
    }
    image->size_bytes = st.st_size;
    if (S_ISBLK(st.st_mode)) {
        const off_t end = lseek(fd, 0, SEEK_END);
        if (end < 0) {
            fail(image, "looking", 0, errno, error);
            return NULL;
        }
        image->size_bytes = end;
    }
    return g_steal_pointer(&image);
}

void uv_image_free(UvImage *image)
{
    if (!image)
        return;
    g_free(image->name);
    image->ops->free(image);
}

static bool inside(UvImage *image, uint64_t offset, size_t size, int kind, GError **error)
{
    if (offset <= image->size_bytes && size <= image->size_bytes - offset)
        return true;
    return uv_fail(error, UV_STORE_ERROR, kind,
                   "%s: %zu bytes at offset 0x%" PRIx64 " are not inside its 0x%" PRIx64 " bytes",
                   image->name, size, offset, image->size_bytes);
}

bool uv_image_read(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error)
{
    return inside(image, offset, size, UV_STORE_ERROR_PARSE, error) &&
           (size == 0 || image->ops->read(image, offset, bytes, size, error));
}

bool uv_image_write(UvImage *image, uint64_t offset, const void *bytes, size_t size, GError **error)
{
    return inside(image, offset, size, UV_STORE_ERROR_IO, error) &&
           (size == 0 || image->ops->write(image, offset, bytes, size, error));
}

bool uv_image_flush(UvImage *image, GError **error)
{
    return image->ops->flush(image, error);
}
