/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "told.h"

#include "bytes.h"
#include "fd.h"
#include "file-io.h"

#include <glib.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NUMBERS_BYTES offsetof(FsLook, file)

/* A length fits into a byte. */
G_STATIC_ASSERT(FS_QUESTION_FILE - 1 <= UINT8_MAX);

static uint8_t *put_text(uint8_t *at, const char *text)
{
    const size_t size = strlen(text);

    *at++ = (uint8_t)size;
    memcpy(at, text, size);
    return at + size;
}

int fs_told_write(const FsTold *told, unsigned n)
{
    uv_autofd int fd = memfd_create("guests", MFD_CLOEXEC);
    g_autofree uint8_t *bytes = g_malloc(n * sizeof(*told));
    uint8_t *at = bytes;

    if (fd < 0)
        return -errno;
    for (unsigned i = 0; i < n; i++) {
        memcpy(at, &told[i].look, NUMBERS_BYTES);
        at = put_text(at + NUMBERS_BYTES, told[i].guest);
        at = put_text(at, told[i].look.file);
        at = put_text(at, told[i].look.store_name);
    }
    const int result = uv_pwrite_all(fd, bytes, (size_t)(at - bytes), 0);
    return result < 0 ? result : uv_fd_steal(&fd);
}

static void take_text(UvReader *reader, char ret_text[FS_QUESTION_FILE])
{
    const size_t size = uv_read_u8(reader);
    const uint8_t *bytes = uv_read_bytes(reader, size);

    if (bytes)
        memcpy(ret_text, bytes, size);
    ret_text[bytes ? size : 0] = '\0';
}

static bool take(UvReader *reader, FsTold *ret_told)
{
    const uint8_t *numbers = uv_read_bytes(reader, NUMBERS_BYTES);

    if (numbers)
        memcpy(&ret_told->look, numbers, NUMBERS_BYTES);
    take_text(reader, ret_told->guest);
    take_text(reader, ret_told->look.file);
    take_text(reader, ret_told->look.store_name);
    return !reader->failed && ret_told->look.format < FS_FORMATS;
}

unsigned fs_told_read(int fd, FsTold *ret_told, unsigned most)
{
    struct stat st;
    unsigned n = 0;

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > (off_t)(most * sizeof(*ret_told)))
        return 0;
    g_autofree uint8_t *bytes = g_malloc((size_t)st.st_size);
    const ssize_t size = uv_pread_all(fd, bytes, (size_t)st.st_size, 0);
    UvReader reader = uv_reader(bytes, size < 0 ? 0 : (size_t)size);
    while (n < most && take(&reader, &ret_told[n]))
        n++;
    return n;
}
