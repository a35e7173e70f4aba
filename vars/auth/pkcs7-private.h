/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of pkcs7.h share; no other file includes this, or GnuTLS. */

#include <gnutls/gnutls.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>
#include <string.h>

#include "pkcs7.h"
#include "uv-limits.h"

#define PKCS7_VERIFY_FLAGS                                                                         \
    (GNUTLS_VERIFY_ALLOW_BROKEN | GNUTLS_VERIFY_DISABLE_TIME_CHECKS |                              \
     GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS)

/*
 * GnuTLS refuses certificates that edk2 and OpenSSL take: an extension twice, times spelled in
 * other ways, extensions in version 1. Of such an odd one `crt` holds the key alone: it signs and
 * is an anchor as itself, and no chain goes through it.
 */
typedef struct {
    gnutls_x509_crt_t crt;
    bool odd;
    gnutls_datum_t der; /* owned */
    gnutls_datum_t tbs, serial, issuer, subject,
        key;    /* inside it; all but the serial with headers */
    bool tried; /* on the path that is being built */
} Certificate;

typedef struct {
    const Certificate *certificate; /* in UvPkcs7.certificates */
    gnutls_digest_algorithm_t digest;
} Signer;

struct UvPkcs7 {
    gnutls_pkcs7_t pkcs7;
    GPtrArray *certificates; /* of Certificate, as they stand in the message */
    GArray *signers;         /* of Signer, as they stand in the message */
    unsigned operations;     /* public key operations spent on chains */
};

static inline bool pkcs7_datum_equal(const gnutls_datum_t *a, const gnutls_datum_t *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static inline const Signer *pkcs7_signer_at(const UvPkcs7 *pkcs7, guint i)
{
    return &g_array_index(pkcs7->signers, Signer, i);
}

/* ---- pkcs7-certificate.c ---- */

/* NULL if it has not the form of one, or GnuTLS can't read its key; bytes after it are ignored. */
Certificate *pkcs7_certificate_new(const uint8_t *bytes, size_t size);
void pkcs7_certificate_free(Certificate *certificate);
/* `below`: how many certificates stand between this one and the signer's. */
bool pkcs7_may_issue(const Certificate *certificate, unsigned below);

/* ---- pkcs7-chain.c ---- */

bool pkcs7_all_chain_to(UvPkcs7 *pkcs7, const Certificate *anchor);
/* As far up as the certificates in the message lead. */
const Certificate *pkcs7_top_of_chain(UvPkcs7 *pkcs7, const Certificate *certificate);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Certificate, pkcs7_certificate_free)
