/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The variables that the UEFI specification (2.11, 3.3) and edk2's own drivers define. */

#include "policy.h"

/* Shapes that the contents of globally defined variables must have. `size` is never 0. */

typedef bool (*VarcheckShape)(const uint8_t *data, size_t size);

/* EFI_LOAD_OPTION: u32 attributes, u16 path length, description with a NUL, device path, ... */
bool varcheck_is_load_option(const uint8_t *data, size_t size);
/* Nodes up to an end node (edk2's IsDevicePathValid); bytes after it are not looked at. */
bool varcheck_is_device_path(const uint8_t *data, size_t size);
/* Has a NUL (edk2 asks for no more). */
bool varcheck_is_ascii(const uint8_t *data, size_t size);
/* EFI_KEY_OPTION and up to three EFI_INPUT_KEY. */
bool varcheck_is_key_option(const uint8_t *data, size_t size);
bool varcheck_is_u16_array(const uint8_t *data, size_t size);
bool varcheck_is_guid_array(const uint8_t *data, size_t size);

typedef enum {
    VARCHECK_WRITABLE,
    VARCHECK_READ_ONLY, /* once checks are active */
    VARCHECK_OWNED,     /* by the service: read-only at any time, for guest and host */
} VarcheckAccess;

typedef struct {
    const UvGuid *guid;
    const char *name; /* '#' stands for an upper-case hex digit */
    uint32_t attributes;
    uint32_t min_bytes;
    uint32_t max_bytes; /* UINT32_MAX: no limit of its own */
    VarcheckShape shape;
    VarcheckAccess access;
} VarcheckRule;

/* NULL: not in the tables. */
const VarcheckRule *varcheck_find(const UvGuid *guid, const UvName *name);
/* A vendor GUID of which the specification defines every name. */
bool varcheck_is_closed(const UvGuid *guid);
bool varcheck_is_hardware_error_record(const UvGuid *guid, const UvName *name);
