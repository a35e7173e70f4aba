/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "efi-errno.h"

#include "bytes.h"
#include "efi-abi.h"

#include <errno.h>

#define REASON_MAX 1024

int fs_outcome_errno(uint64_t efi_status)
{
    switch (efi_status) {
    case EFI_SUCCESS:
        return 0;
    case EFI_INVALID_PARAMETER:
        return EINVAL;
    case EFI_OUT_OF_RESOURCES:
        return ENOSPC;
    case EFI_DEVICE_ERROR:
        return EIO;
    case EFI_WRITE_PROTECTED:
        return EROFS;
    case EFI_SECURITY_VIOLATION:
        return EACCES;
    case EFI_NOT_FOUND:
        return ENOENT;
    case EFI_ABORTED:
        return EINTR;
    default:
        return EINVAL;
    }
}

int fs_outcome_parse(GBytes *payload, char **ret_reason)
{
    UvReader reader = uv_reader_of(payload);
    uint64_t status = uv_read_u64(&reader);
    uint32_t error = uv_read_u32(&reader);
    size_t reason_bytes = MIN(reader.left, REASON_MAX);
    const uint8_t *reason = uv_read_bytes(&reader, reason_bytes);

    *ret_reason = NULL;
    if (reader.failed || error > 4095)
        return EIO;
    if (reason_bytes > 0)
        *ret_reason = g_utf8_make_valid((const char *)reason, (gssize)reason_bytes);
    return error ? (int)error : fs_outcome_errno(status);
}
