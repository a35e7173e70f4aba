/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store.h"

#include "efi-abi.h"

/* clang-format off */
G_DEFINE_QUARK(uv-store-error-quark, uv_store_error)
/* clang-format on */

uint64_t uv_store_error_status(const GError *error)
{
    if (error->domain != UV_STORE_ERROR)
        return EFI_DEVICE_ERROR;
    switch (error->code) {
    case UV_STORE_ERROR_READ_ONLY:
    case UV_STORE_ERROR_CHANGED:
        return EFI_WRITE_PROTECTED;
    case UV_STORE_ERROR_NO_SPACE:
        return EFI_OUT_OF_RESOURCES;
    default:
        return EFI_DEVICE_ERROR;
    }
}
