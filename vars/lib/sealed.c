/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sealed.h"

#include "fd.h"
#include "file-io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int uv_sealed_new(const void *bytes, size_t size)
{
    uv_autofd int fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int result = fd < 0 ? -errno : uv_pwrite_all(fd, bytes, size, 0);

    if (result < 0)
        return result;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | SEALS) < 0)
        return -errno;
    return uv_fd_steal(&fd);
}

int64_t uv_sealed_size(int memfd, uint64_t max_bytes)
{
    const int seals = fcntl(memfd, F_GET_SEALS);
    struct stat st;

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(memfd, &st) < 0)
        return -EINVAL;
    return (uint64_t)st.st_size > max_bytes ? -EFBIG : st.st_size;
}
