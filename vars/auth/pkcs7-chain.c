/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Chains are built here, one link a time, because GnuTLS's own verification knows purposes, times
 * and key sizes that firmware does not look at (see pkcs7.h). A message may hold many certificates
 * with the same name: the number of public key operations spent on one message is capped.
 */

#include "pkcs7-private.h"

static bool issued(UvPkcs7 *pkcs7, const Certificate *issuer, const Certificate *certificate,
                   unsigned below)
{
    char bytes[2048];
    size_t size = sizeof(bytes);

    if (issuer->odd || certificate->odd ||
        !pkcs7_datum_equal(&issuer->subject, &certificate->issuer) ||
        !pkcs7_may_issue(issuer, below))
        return false;
    const int algorithm = gnutls_x509_crt_get_signature_algorithm(certificate->crt);
    if (algorithm <= 0 || gnutls_x509_crt_get_signature(certificate->crt, bytes, &size) < 0 ||
        pkcs7->operations++ >= UV_PKCS7_OPERATIONS_MAX)
        return false;
    const gnutls_datum_t signature = {(unsigned char *)bytes, size};
    return gnutls_x509_crt_verify_data2(issuer->crt, algorithm, PKCS7_VERIFY_FLAGS,
                                        &certificate->tbs, &signature) >= 0;
}

static bool chain(UvPkcs7 *pkcs7, const Certificate *certificate, const Certificate *anchor,
                  unsigned depth)
{
    if (pkcs7_datum_equal(&certificate->der, &anchor->der) ||
        issued(pkcs7, anchor, certificate, depth))
        return true;
    if (depth >= UV_PKCS7_CHAIN_MAX)
        return false;
    for (guint i = 0; i < pkcs7->certificates->len; i++) {
        Certificate *issuer = g_ptr_array_index(pkcs7->certificates, i);
        bool found = false;

        if (issuer->tried || issuer == certificate)
            continue;
        issuer->tried = true;
        found =
            issued(pkcs7, issuer, certificate, depth) && chain(pkcs7, issuer, anchor, depth + 1);
        issuer->tried = false;
        if (found)
            return true;
    }
    return false;
}

bool pkcs7_all_chain_to(UvPkcs7 *pkcs7, const Certificate *anchor)
{
    for (guint i = 0; i < pkcs7->signers->len; i++) {
        if (!chain(pkcs7, pkcs7_signer_at(pkcs7, i)->certificate, anchor, 0))
            return false;
    }
    return true;
}

bool uv_pkcs7_chains_to(UvPkcs7 *pkcs7, const uint8_t *anchor, size_t anchor_bytes)
{
    if (pkcs7->signers->len == 1 && uv_pkcs7_signer_is(pkcs7, anchor, anchor_bytes))
        return true;
    g_autoptr(Certificate) certificate = pkcs7_certificate_new(anchor, anchor_bytes);
    return certificate && pkcs7_all_chain_to(pkcs7, certificate);
}

const Certificate *pkcs7_top_of_chain(UvPkcs7 *pkcs7, const Certificate *certificate)
{
    for (unsigned depth = 0; depth < UV_PKCS7_CHAIN_MAX; depth++) {
        const Certificate *issuer = NULL;

        for (guint i = 0; i < pkcs7->certificates->len && !issuer; i++) {
            const Certificate *candidate = g_ptr_array_index(pkcs7->certificates, i);

            if (!pkcs7_datum_equal(&candidate->subject, &certificate->subject) &&
                issued(pkcs7, candidate, certificate, depth))
                issuer = candidate;
        }
        if (!issuer)
            break;
        certificate = issuer;
    }
    return certificate;
}
