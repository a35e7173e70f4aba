/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "file-id.h"

#include <fcntl.h>
#include <sys/stat.h>

UvFileId uv_file_id(int fd)
{
    UvFileId id = {0};
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) < 0)
        return id;
    id.inode = st.stx_ino;
    if (st.stx_mask & STATX_BTIME)
        id.born_ns = st.stx_btime.tv_sec * INT64_C(1000000000) + st.stx_btime.tv_nsec;
    return id;
}

bool uv_file_id_equal(const UvFileId *a, const UvFileId *b)
{
    return a->inode != 0 && a->inode == b->inode && a->born_ns == b->born_ns;
}
