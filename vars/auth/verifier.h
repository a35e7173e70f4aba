/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * pkcs7.h as a module that is loaded: what is behind it brings GnuTLS, whose loading takes longer
 * than all else in the start of an engine, and an engine that is only looked at verifies nothing.
 */

#include "digest.h"
#include "pkcs7.h"

#define UV_VERIFIER_SYMBOL "uv_verifier"

/* As UvDigestFunction. */
bool uv_verifier_digest(const void *a, size_t a_size, const void *b, size_t b_size,
                        UvDigest *ret_digest);

/* The functions of pkcs7.h, by their names there, and that one. */
typedef struct {
    UvPkcs7 *(*parse)(const uint8_t *bytes, size_t size);
    void (*free)(UvPkcs7 *pkcs7);
    bool (*signs)(const UvPkcs7 *pkcs7, const uint8_t *content, size_t content_bytes);
    bool (*chains_to)(UvPkcs7 *pkcs7, const uint8_t *anchor, size_t anchor_bytes);
    bool (*signer_is)(const UvPkcs7 *pkcs7, const uint8_t *certificate, size_t size);
    GBytes *(*identity)(UvPkcs7 *pkcs7);
    GBytes *(*identity_edk2)(UvPkcs7 *pkcs7);
    UvIdentity (*identity_is)(UvPkcs7 *pkcs7, const uint8_t *kept, size_t size);
    bool (*x509_parses)(const uint8_t *bytes, size_t size);
    UvDigestFunction digest;
} UvVerifier;

extern const UvVerifier uv_verifier;
