/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Which format a store's file has: told by its content. */

#include "store.h"

#include "fd.h"
#include "file-io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Enough of the beginning to tell the formats apart: a firmware volume's signature is at 40. */
#define PROBE_BYTES 64
#define FV_SIGNATURE_OFFSET 40

typedef enum {
    FORMAT_JSON,
    FORMAT_FLASH, /* raw or in a qcow2 container */
    FORMAT_NONE,
} Format;

static bool has_bytes(const uint8_t *bytes, size_t size, size_t offset, const char *wanted)
{
    size_t n = strlen(wanted);

    return offset <= size && n <= size - offset && memcmp(bytes + offset, wanted, n) == 0;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (g_ascii_iscntrl(bytes[i]) && !g_ascii_isspace(bytes[i]))
            return false;
    return true;
}

/* JSON takes any text: its loader says what is wrong, with a position. */
static Format format_of(const uint8_t *bytes, size_t size)
{
    if (has_bytes(bytes, size, 0, "QFI\xfb") || has_bytes(bytes, size, FV_SIGNATURE_OFFSET, "_FVH"))
        return FORMAT_FLASH;
    /* Blank or code first: an image whose variables are elsewhere in it. */
    if (size == PROBE_BYTES && (bytes[0] == 0xff || bytes[0] == 0))
        return FORMAT_FLASH;
    return is_text(bytes, size) ? FORMAT_JSON : FORMAT_NONE;
}

static bool probe(UvFolder *folder, Format *ret_format, bool *ret_absent, GError **error)
{
    g_autoptr(GError) local = NULL;
    uint8_t bytes[PROBE_BYTES];
    uv_autofd int fd = uv_folder_open(folder, UV_FILE_STORE, O_RDONLY, &local);
    ssize_t n;

    *ret_absent = fd < 0 && g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    *ret_format = FORMAT_JSON;
    if (*ret_absent)
        return true;
    if (fd < 0) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s", local->message);
        return false;
    }
    n = uv_pread_all(fd, bytes, sizeof bytes, 0);
    if (n >= 0)
        *ret_format = format_of(bytes, n);
    else
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s: cannot read: %s",
                    uv_folder_path(folder, UV_FILE_STORE), g_strerror(-n));
    return n >= 0;
}

UvStore *uv_store_open(UvFolder *folder, const UvStoreOptions *options, GError **error)
{
    g_autoptr(UvFolder) owned = folder;
    Format format;
    bool absent;

    if (!probe(owned, &format, &absent, error))
        return NULL;
    if (absent && !options->create) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s: %s",
                    uv_folder_path(owned, UV_FILE_STORE), g_strerror(ENOENT));
        return NULL;
    }
    if (format == FORMAT_NONE) {
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                    "%s: neither a JSON store nor an edk2 flash image, nor a qcow2 file of one",
                    uv_folder_path(owned, UV_FILE_STORE));
        return NULL;
    }
    if (format == FORMAT_FLASH)
        return uv_store_flash_open(g_steal_pointer(&owned), options, error);
    return uv_store_json_open(g_steal_pointer(&owned), options, error);
}
