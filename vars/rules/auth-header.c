/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "auth-header.h"

#include <string.h>

#include "bytes.h"
#include "uv-limits.h"

bool uv_auth_header_parse(const uint8_t *bytes, size_t size, UvAuthHeader *ret_header)
{
    UvAuthHeader header = {0};
    UvReader reader = uv_reader(bytes, size);

    header.time = uv_read_bytes(&reader, EFI_TIME_BYTES);
    const uint32_t length = uv_read_u32(&reader);
    header.revision = uv_read_u16(&reader);
    header.type = uv_read_u16(&reader);
    const uint8_t *cert_type = uv_read_bytes(&reader, sizeof(header.cert_type.bytes));
    if (reader.failed || length < EFI_WIN_CERT_HEADER_BYTES)
        return false;
    memcpy(header.cert_type.bytes, cert_type, sizeof(header.cert_type.bytes));
    header.signature.size = length - EFI_WIN_CERT_HEADER_BYTES;
    header.signature.bytes = uv_read_bytes(&reader, header.signature.size);
    if (reader.failed)
        return false;
    header.content = (UvPayload){reader.at, reader.left};
    *ret_header = header;
    return true;
}

UvPayload uv_auth_content(const UvSetRequest *request)
{
    UvAuthHeader header;

    if ((request->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS) &&
        uv_auth_header_parse(request->data, request->data_bytes, &header))
        return header.content;
    return (UvPayload){request->data, request->data_bytes};
}

static uint64_t time_key(const uint8_t *time)
{
    const uint64_t year = time[0] | time[1] << 8;

    return year << 40 | (uint64_t)time[2] << 32 | (uint64_t)time[3] << 24 |
           (uint64_t)time[4] << 16 | (uint64_t)time[5] << 8 | time[6];
}

bool uv_auth_time_not_after(const uint8_t *a, const uint8_t *b)
{
    return time_key(a) <= time_key(b);
}

bool uv_auth_time_is_clean(const uint8_t *time)
{
    /* Pad1, Nanosecond, TimeZone, Daylight, Pad2. */
    for (size_t i = 7; i < EFI_TIME_BYTES; i++) {
        if (time[i] != 0)
            return false;
    }
    return true;
}
