/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * MM communicate buffers: request bytes -> service -> reply bytes. No I/O of its own.
 *
 * The request is const; the reply is built in a buffer of its own, never longer than the request's
 * buffer. What edk2's handler ignores comes back unchanged.
 */

#include "service.h"

/* UEFI_VARS_STS_*: what the device's status register shows. */
#define UV_DEVICE_SUCCESS 0x00u
#define UV_DEVICE_BUSY 0x01u
#define UV_DEVICE_UNKNOWN_ERROR 0x10u
#define UV_DEVICE_NOT_SUPPORTED 0x11u
#define UV_DEVICE_BAD_BUFFER_SIZE 0x12u

/*
 * `request` is the communicate buffer (EFI_MM_COMMUNICATE_HEADER and data, at most UV_MM_BUFFER_MAX
 * bytes). Returns the buffer after processing (never NULL) and the device status.
 */
GBytes *uv_mm_handle(UvService *service, const uint8_t *request, size_t size,
                     uint32_t *ret_device_status);

/* true for a message that asks and changes nothing, not even the session: GetVariable,
 * GetNextVariableName, QueryVariableInfo, the payload size. */
bool uv_mm_only_asks(const uint8_t *request, size_t size);
