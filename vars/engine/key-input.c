/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "key-input.h"

#include <string.h>

#include "auth-header.h"
#include "hex.h"
#include "siglist.h"
#include "uv-limits.h"
#include "x509-text.h"

#define LISTS_BYTES_MAX UV_VIEW_FRAME_MAX
#define OWNER_BYTES 16u

/* Who is said to own what is added here. */
static const UvGuid owner =
    UV_GUID(0x5f0e9a7c, 0x2d41, 0x4c58, 0x9b, 0x0e, 0x37, 0x6a, 0xd1, 0x84, 0xc2, 0x59);

void uv_key_input_clear(UvKeyInput *input)
{
    g_clear_pointer(&input->bytes, g_bytes_unref);
}

static bool is_signed_update(const uint8_t *bytes, size_t size)
{
    UvAuthHeader header;

    return uv_auth_header_parse(bytes, size, &header) && header.revision == EFI_WIN_CERT_REVISION &&
           header.type == EFI_WIN_CERT_TYPE_EFI_GUID &&
           uv_guid_equal(&header.cert_type, &uv_guid_cert_type_pkcs7) && header.signature.size > 0;
}

/* A signature of this type with these bytes. */
static bool is_known(GBytes *known, const UvGuid *type, GBytes *data)
{
    UvReader reader = uv_reader_of(known);
    UvSiglist list;
    gsize size;
    const void *bytes = g_bytes_get_data(data, &size);

    while (uv_siglist_next(&reader, &list)) {
        if (!uv_guid_equal(&list.type, type) || list.signature_bytes != OWNER_BYTES + size)
            continue;
        for (size_t i = 0; i < list.count; i++) {
            if (memcmp(uv_siglist_data(&list, i), bytes, size) == 0)
                return true;
        }
    }
    return false;
}

/* A list each: certificates have different sizes. */
static bool write_certificates(const uint8_t *bytes, size_t size, GBytes *known, UvWriter *writer)
{
    g_autoptr(GPtrArray) certificates = uv_x509_from_bytes(bytes, size);

    for (guint i = 0; certificates && i < certificates->len; i++) {
        g_autoptr(GPtrArray) one = g_ptr_array_new();

        if (is_known(known, uv_siglist_x509_type(), certificates->pdata[i]))
            continue;
        g_ptr_array_add(one, certificates->pdata[i]);
        uv_siglist_write(writer, uv_siglist_x509_type(), &owner, one);
    }
    return certificates != NULL;
}

static GBytes *hash_of_hex(const char *hex, size_t bytes)
{
    g_autofree uint8_t *hash = g_malloc(MAX(bytes, 1));

    if (strlen(hex) != 2 * bytes)
        return NULL;
    return uv_hex_read(hex, bytes, hash) ? g_bytes_new(hash, bytes) : NULL;
}

/* "HEX" or "TYPE HEX"; NULL: neither. */
static GBytes *read_hash_line(const char *line, UvGuid *ret_type)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", 3);
    const guint n = g_strv_length(words);
    size_t bytes;

    if (n < 1 || n > 2 || !uv_siglist_type_of_name(n == 2 ? words[0] : "sha256", ret_type, &bytes))
        return NULL;
    return hash_of_hex(words[n - 1], bytes);
}

/* Those of one type go into one list, as long as they follow each other. */
static bool write_hashes(const uint8_t *bytes, size_t size, GBytes *known, UvWriter *writer)
{
    g_autofree char *text = g_strndup((const char *)bytes, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) run = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    UvGuid run_type = {0}, type;
    bool any = false;

    if (strlen(text) != size)
        return false;
    for (char **line = lines; *line; line++) {
        if (!*g_strstrip(*line))
            continue;
        GBytes *hash = read_hash_line(*line, &type);
        if (!hash)
            return false;
        any = true;
        if (!uv_guid_equal(&type, &run_type)) {
            uv_siglist_write(writer, &run_type, &owner, run);
            g_ptr_array_set_size(run, 0);
            run_type = type;
        }
        if (is_known(known, &type, hash))
            g_bytes_unref(hash);
        else
            g_ptr_array_add(run, hash);
    }
    uv_siglist_write(writer, &run_type, &owner, run);
    return any;
}

void uv_key_input_read(GBytes *input, GBytes *known, UvKeyInput *ret_input)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(input, &size);

    *ret_input = (UvKeyInput){0};
    if (size == 0)
        return;
    if (is_signed_update(bytes, size) || uv_siglist_check(bytes, size, false)) {
        ret_input->kind =
            uv_siglist_check(bytes, size, false) ? UV_KEY_INPUT_LISTS : UV_KEY_INPUT_SIGNED;
        ret_input->bytes = g_bytes_ref(input);
        return;
    }
    g_auto(UvWriter) writer = uv_writer(LISTS_BYTES_MAX);
    if (!write_certificates(bytes, size, known, &writer)) {
        uv_writer_reset(&writer);
        if (!write_hashes(bytes, size, known, &writer))
            return;
    }
    ret_input->bytes = uv_writer_steal(&writer);
    if (ret_input->bytes)
        ret_input->kind = UV_KEY_INPUT_LISTS;
}
