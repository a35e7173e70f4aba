/* SPDX-License-Identifier: GPL-2.0-or-later */

/* pkcs7.h in the engine itself: each function is the loaded module's, which also hashes from then
 * on. */

#include "verifier-load.h"

/* Of the process, as what is loaded is. */
static const UvVerifier *verifier;

void uv_verifier_use(const UvVerifier *loaded)
{
    verifier = loaded;
    uv_digest_use(loaded->digest);
}

UvPkcs7 *uv_pkcs7_parse(const uint8_t *bytes, size_t size)
{
    return verifier ? verifier->parse(bytes, size) : NULL;
}

void uv_pkcs7_free(UvPkcs7 *pkcs7)
{
    if (pkcs7)
        verifier->free(pkcs7);
}

bool uv_pkcs7_signs(const UvPkcs7 *pkcs7, const uint8_t *content, size_t content_bytes)
{
    return verifier->signs(pkcs7, content, content_bytes);
}

bool uv_pkcs7_chains_to(UvPkcs7 *pkcs7, const uint8_t *anchor, size_t anchor_bytes)
{
    return verifier->chains_to(pkcs7, anchor, anchor_bytes);
}

bool uv_pkcs7_signer_is(const UvPkcs7 *pkcs7, const uint8_t *certificate, size_t size)
{
    return verifier->signer_is(pkcs7, certificate, size);
}

GBytes *uv_pkcs7_identity(UvPkcs7 *pkcs7)
{
    return verifier->identity(pkcs7);
}

GBytes *uv_pkcs7_identity_edk2(UvPkcs7 *pkcs7)
{
    return verifier->identity_edk2(pkcs7);
}

UvIdentity uv_pkcs7_identity_is(UvPkcs7 *pkcs7, const uint8_t *kept, size_t size)
{
    return verifier->identity_is(pkcs7, kept, size);
}

bool uv_x509_parses(const uint8_t *bytes, size_t size)
{
    return verifier && verifier->x509_parses(bytes, size);
}
