/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The signature that an authenticated request carries, and whether it covers the request. */

#include "auth-header.h"
#include "pkcs7.h"

/*
 * The signature over a request, parsed: NULL if it is no PKCS#7 certificate, or none we take. Its
 * signers still have to be judged.
 */
UvPkcs7 *uv_auth_signature(const UvAuthHeader *header);
/* name without NUL, GUID, attributes as asked for, time, content: signed by all signers. */
bool uv_auth_signed(const UvPkcs7 *pkcs7, const UvSetRequest *request, const UvAuthHeader *header);
