/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a store or firmware image says of itself in its first bytes, and reading these of a file
 * that a descriptor names. */

#include "desc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file-io.h"

/* qcow2: the size of the disk that the guest sees, big endian. */
#define QCOW2_SIZE_AT 24
/* A firmware volume (PI specification, volume 3, EFI_FIRMWARE_VOLUME_HEADER): its length, little
 * endian, and its signature. */
#define VOLUME_LENGTH_AT 32
#define VOLUME_SIGNATURE_AT 40

DescImage desc_image_parse(const uint8_t *head, size_t size, uint64_t file_bytes)
{
    DescImage image = {.bytes = file_bytes};
    size_t at = 0;

    while (at < size && g_ascii_isspace(head[at]))
        at++;
    if (at < size && head[at] == '{') {
        image.kind = DESC_IMAGE_JSON;
    } else if (size >= QCOW2_SIZE_AT + 8 && memcmp(head, "QFI\xfb", 4) == 0) {
        image.kind = DESC_IMAGE_QCOW2;
        memcpy(&image.bytes, head + QCOW2_SIZE_AT, 8);
        image.bytes = GUINT64_FROM_BE(image.bytes);
    } else {
        image.kind = DESC_IMAGE_RAW;
        if (size >= VOLUME_SIGNATURE_AT + 4 && memcmp(head + VOLUME_SIGNATURE_AT, "_FVH", 4) == 0) {
            memcpy(&image.volume_bytes, head + VOLUME_LENGTH_AT, 8);
            image.volume_bytes = GUINT64_FROM_LE(image.volume_bytes);
        }
    }
    return image;
}

bool desc_image_read(int fd, DescImage *ret_image)
{
    uint8_t head[DESC_IMAGE_HEAD];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return false;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return false;
    }
    n = uv_pread_all(fd, head, sizeof(head), 0);
    if (n < 0) {
        errno = (int)-n;
        return false;
    }
    *ret_image = desc_image_parse(head, (size_t)n, (uint64_t)st.st_size);
    return true;
}

bool desc_image_look(const char *path, DescImage *ret_image, void *data)
{
    uv_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    return fd >= 0 && desc_image_read(fd, ret_image);
}
