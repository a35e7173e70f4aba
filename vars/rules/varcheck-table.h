/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The variables that the UEFI specification (2.11, 3.3) and edk2's own drivers define. */

#include "policy.h"
#include "varcheck-data.h"

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
