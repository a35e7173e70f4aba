/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "checked-file.h"

#include <fcntl.h>
#include <string.h>

#include "bytes.h"
#include "digest.h"
#include "fd.h"
#include "replace-store.h"

#define CHECK_BYTES 16

GBytes *uv_checked_file_read(UvFolder *folder, UvFileRole role,
                             const uint8_t magic[UV_CHECKED_MAGIC_BYTES], size_t max_bytes)
{
    g_autoptr(GBytes) bytes = NULL;
    UvDigest digest;
    const uint8_t *data;
    gsize size;
    uv_autofd int fd = uv_folder_open(folder, role, O_RDONLY, NULL);

    if (fd < 0)
        return NULL;
    bytes = uv_read_file(fd, uv_folder_path(folder, role), max_bytes, NULL);
    if (!bytes)
        return NULL;
    data = g_bytes_get_data(bytes, &size);
    if (size < UV_CHECKED_MAGIC_BYTES + CHECK_BYTES ||
        memcmp(data, magic, UV_CHECKED_MAGIC_BYTES) != 0)
        return NULL;
    uv_digest_of(data, size - CHECK_BYTES, &digest);
    if (memcmp(data + size - CHECK_BYTES, digest.bytes, CHECK_BYTES) != 0)
        return NULL;
    return g_bytes_new_from_bytes(bytes, UV_CHECKED_MAGIC_BYTES,
                                  size - UV_CHECKED_MAGIC_BYTES - CHECK_BYTES);
}

static GBytes *with_check(const uint8_t magic[UV_CHECKED_MAGIC_BYTES], GBytes *body)
{
    UvDigest check;
    g_auto(UvWriter) out = uv_writer(UV_CHECKED_MAGIC_BYTES + g_bytes_get_size(body) + CHECK_BYTES);

    uv_write_bytes(&out, magic, UV_CHECKED_MAGIC_BYTES);
    uv_write_gbytes(&out, body);
    uv_digest_of(out.bytes, out.size, &check);
    uv_write_bytes(&out, check.bytes, CHECK_BYTES);
    return uv_writer_steal(&out);
}

static bool write_aside(UvFolder *folder, UvFileRole temporary, GBytes *content, bool durable,
                        GError **error)
{
    const char *name = uv_folder_path(folder, temporary);
    uv_autofd int fd = uv_folder_open(folder, temporary, O_WRONLY | O_CREAT, error);
    gsize size;
    const void *bytes = g_bytes_get_data(content, &size);

    return fd >= 0 && uv_write_file_at(fd, name, bytes, size, 0, error) &&
           (!durable || uv_sync_file(fd, name, false, error));
}

bool uv_checked_file_write(UvFolder *folder, UvFileRole role, UvFileRole temporary,
                           const uint8_t magic[UV_CHECKED_MAGIC_BYTES], GBytes *body, bool durable,
                           GError **error)
{
    g_autoptr(GBytes) content = with_check(magic, body);

    if (write_aside(folder, temporary, content, durable, error) &&
        uv_folder_rename(folder, temporary, role, error))
        return true;
    uv_folder_unlink(folder, temporary, NULL);
    return false;
}
