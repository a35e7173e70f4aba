/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "auth-signature.h"

#include "bytes.h"
#include "uv-limits.h"

UvPkcs7 *uv_auth_signature(const UvAuthHeader *header)
{
    if (header->type != EFI_WIN_CERT_TYPE_EFI_GUID ||
        !uv_guid_equal(&header->cert_type, &uv_guid_cert_type_pkcs7))
        return NULL;
    return uv_pkcs7_parse(header->signature.bytes, header->signature.size);
}

bool uv_auth_signed(const UvPkcs7 *pkcs7, const UvSetRequest *request, const UvAuthHeader *header)
{
    g_autoptr(GBytes) content = NULL;
    gsize size;
    g_auto(UvWriter) writer = uv_writer(2 * UV_MM_BUFFER_MAX + UV_VARIABLE_MAX);

    uv_write_bytes(&writer, uv_name_utf16le(request->name), 2 * uv_name_units(request->name));
    uv_write_bytes(&writer, request->guid.bytes, sizeof(request->guid.bytes));
    uv_write_u32(&writer, request->attributes);
    uv_write_bytes(&writer, header->time, EFI_TIME_BYTES);
    uv_write_bytes(&writer, header->content.bytes, header->content.size);
    content = uv_writer_steal(&writer);
    if (!content)
        return false;
    const uint8_t *bytes = g_bytes_get_data(content, &size);
    return uv_pkcs7_signs(pkcs7, bytes, size);
}
