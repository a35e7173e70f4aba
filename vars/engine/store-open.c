/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Which format a store's file has: what who started the engine says, or else what the content looks
 * like. It is found once: a file that turns into another kind later is not served as that.
 */

#include "store-qcow2.h"
#include "store.h"

#include "fd.h"
#include "file-io.h"
#include "uboot-file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Enough of the beginning to tell the formats apart: a firmware volume's signature is at 40. */
#define PROBE_BYTES 64
#define FV_SIGNATURE_OFFSET 40

typedef enum {
    FORMAT_JSON,
    FORMAT_FLASH,
    FORMAT_QCOW2,
    FORMAT_UBOOT,
    FORMAT_NONE,
} Format;

static const char *const format_names[] = {"json", "flash", "qcow2", "uboot"};

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
    if (has_bytes(bytes, size, 0, "QFI\xfb"))
        return FORMAT_QCOW2;
    if (has_bytes(bytes, size, FV_SIGNATURE_OFFSET, "_FVH"))
        return FORMAT_FLASH;
    if (has_bytes(bytes, size, UV_UBOOT_MAGIC_AT, UV_UBOOT_MAGIC))
        return FORMAT_UBOOT;
    /* Blank or code first: an image whose variables are elsewhere in it. */
    if (size == PROBE_BYTES && (bytes[0] == 0xff || bytes[0] == 0))
        return FORMAT_FLASH;
    return is_text(bytes, size) ? FORMAT_JSON : FORMAT_NONE;
}

static bool is_absent(const GError *error)
{
    return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

/* `ret_fd`: -1 for a file that is yet to be made. */
static bool open_file(UvFolder *folder, const UvStoreOptions *options, int *ret_fd, GError **error)
{
    const bool json = !options->format || strcmp(options->format, format_names[FORMAT_JSON]) == 0;
    g_autoptr(GError) local = NULL;

    *ret_fd = uv_folder_open(folder, UV_FILE_STORE, O_RDONLY, &local);
    if (*ret_fd >= 0 || (is_absent(local) && options->create && json))
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s", local->message);
}

static Format format_named(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(format_names); i++) {
        if (strcmp(name, format_names[i]) == 0)
            return i;
    }
    return FORMAT_NONE;
}

static bool find_format(UvFolder *folder, const UvStoreOptions *options, int fd, Format *ret_format,
                        GError **error)
{
    const char *name = uv_folder_path(folder, UV_FILE_STORE);
    const Format asked = options->format ? format_named(options->format) : FORMAT_NONE;
    uint8_t bytes[PROBE_BYTES];
    const ssize_t n = fd < 0 ? 0 : uv_pread_all(fd, bytes, sizeof(bytes), 0);
    const Format found = n < 0 ? FORMAT_NONE : format_of(bytes, n);

    *ret_format = asked == FORMAT_NONE ? found : asked;
    if (n < 0)
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s: cannot read: %s", name,
                    g_strerror(-n));
    else if (*ret_format == FORMAT_NONE)
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                    "%s: offset 0x0: neither a JSON store nor an edk2 flash image, nor a qcow2 "
                    "file of one, nor U-Boot's ubootefi.var",
                    name);
    else if (found == FORMAT_QCOW2 && *ret_format != found) /* an image may well be found inside */
        g_set_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                    "%s: a qcow2 image, where a store of format %s is expected", name,
                    options->format);
    else
        return true;
    return false;
}

/* The image is the file at hand, whatever its name means later. */
static UvBlockd *start_blockd(const UvStoreOptions *options, int image_fd, GError **error)
{
    int control;
    pid_t pid;

    if (!uv_blockd_spawn(image_fd, !options->unconfined, &control, &pid, error))
        return NULL;
    return uv_blockd_new(control, pid);
}

UvStore *uv_store_open(UvFolder *folder, const UvStoreOptions *options, GError **error)
{
    g_autoptr(UvFolder) owned = folder;
    g_autoptr(UvBlockd) blockd = options->blockd;
    uv_autofd int fd = -1;
    Format format;

    if (!open_file(owned, options, &fd, error) || !find_format(owned, options, fd, &format, error))
        return NULL;
    if (format == FORMAT_JSON)
        return uv_store_json_open(g_steal_pointer(&owned), options, error);
    if (format == FORMAT_FLASH)
        return uv_store_flash_open(g_steal_pointer(&owned), options, error);
    if (format == FORMAT_UBOOT)
        return uv_store_uboot_open(g_steal_pointer(&owned), options, error);
    if (!blockd)
        blockd = start_blockd(options, fd, error);
    if (!blockd)
        return NULL;
    return uv_store_qcow2_open(g_steal_pointer(&owned), options, g_steal_pointer(&blockd), error);
}
