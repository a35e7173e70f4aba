/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * EFI_VARIABLE_AUTHENTICATION_2 in front of a variable's content (UEFI 2.11, 8.2.2):
 *
 *   EFI_TIME (16), u32 length of what follows up to the content, u16 revision, u16 certificate
 *   type, GUID of the certificate's type, certificate (PKCS#7 SignedData), content
 */

#include "gate.h"

typedef struct {
    const uint8_t *bytes;
    size_t size;
} UvPayload;

typedef struct {
    const uint8_t *time; /* EFI_TIME, 16 bytes */
    uint16_t revision;
    uint16_t type;
    UvGuid cert_type;
    UvPayload signature; /* the certificate: PKCS#7 */
    UvPayload content;
} UvAuthHeader;

/* Sizes only. false: shorter than the header, or a length that does not fit. */
bool uv_auth_header_parse(const uint8_t *bytes, size_t size,
                          UvAuthHeader *ret_header) G_GNUC_WARN_UNUSED_RESULT;

/* What a request would store: without the header if it is time-based authenticated and has one. */
UvPayload uv_auth_content(const UvSetRequest *request);

/* `a` is not later than `b` (16 bytes each; years to seconds, as edk2 compares). */
bool uv_auth_time_not_after(const uint8_t *a, const uint8_t *b);

/* Fields that must be zero are. */
bool uv_auth_time_is_clean(const uint8_t *time);
