/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "file-io.h"

#include <errno.h>
#include <unistd.h>

/* uv_read_to_end() takes memory in such steps: no size from outside is allocated before it came. */
#define PIECE_BYTES 4096u
#define COPY_CHUNK (256u * 1024)

/* Without `offset` from where `fd` stands. */
static ssize_t read_all(int fd, void *bytes, size_t size, const uint64_t *offset)
{
    size_t done = 0;

    while (done < size) {
        uint8_t *at = (uint8_t *)bytes + done;
        const ssize_t n = TEMP_FAILURE_RETRY(offset ? pread(fd, at, size - done, *offset + done)
                                                    : read(fd, at, size - done));

        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += n;
    }
    return done;
}

ssize_t uv_read_all(int fd, void *bytes, size_t size)
{
    return read_all(fd, bytes, size, NULL);
}

ssize_t uv_pread_all(int fd, void *bytes, size_t size, uint64_t offset)
{
    return read_all(fd, bytes, size, &offset);
}

int uv_read_begin(int fd, size_t max, GBytes **ret_bytes)
{
    g_autofree uint8_t *bytes = g_malloc(max);
    const ssize_t size = uv_pread_all(fd, bytes, max, 0);

    if (size < 0)
        return (int)size;
    *ret_bytes = g_bytes_new_take(g_steal_pointer(&bytes), (size_t)size);
    return 0;
}

int uv_read_to_end(int fd, size_t max, GBytes **ret_bytes)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    uint8_t piece[PIECE_BYTES];
    ssize_t n;

    while ((n = uv_read_all(fd, piece, sizeof(piece))) > 0) {
        if ((size_t)n > max - all->len)
            return -EFBIG;
        g_byte_array_append(all, piece, n);
    }
    if (n < 0)
        return n;
    *ret_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&all));
    return 0;
}

static int write_all(int fd, const void *bytes, size_t size, const uint64_t *offset)
{
    for (size_t done = 0; done < size;) {
        const uint8_t *at = (const uint8_t *)bytes + done;
        const ssize_t n = TEMP_FAILURE_RETRY(offset ? pwrite(fd, at, size - done, *offset + done)
                                                    : write(fd, at, size - done));

        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        done += n;
    }
    return 0;
}

int uv_write_all(int fd, const void *bytes, size_t size)
{
    return write_all(fd, bytes, size, NULL);
}

int uv_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset)
{
    return write_all(fd, bytes, size, &offset);
}

int uv_copy_range(int from_fd, int fd, uint64_t begin, uint64_t end)
{
    g_autofree char *bytes = g_malloc(COPY_CHUNK);

    for (uint64_t at = begin; at < end;) {
        const ssize_t n = uv_pread_all(from_fd, bytes, MIN(COPY_CHUNK, end - at), at);
        const int result = n < 0 ? (int)n : n == 0 ? -EIO : uv_pwrite_all(fd, bytes, (size_t)n, at);
        if (result < 0)
            return result;
        at += (uint64_t)n;
    }
    return 0;
}
