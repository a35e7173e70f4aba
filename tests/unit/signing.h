/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Keys, certificates and signed writes for tests, made with GnuTLS. */

#include <gnutls/abstract.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>

#include "guid.h"
#include "name.h"

typedef struct {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    GBytes *der;
} Signer;

/* `issuer` NULL: self-signed. */
Signer *signer_new(const char *common_name, gnutls_pk_algorithm_t algorithm, unsigned bits,
                   const Signer *issuer, bool ca);
void signer_free(Signer *signer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Signer, signer_free)

/* ContentInfo with detached content; `certificates` in this order (NULL ends), the signer's own
 * among them. */
GBytes *sign_pkcs7(const Signer *signer, gnutls_digest_algorithm_t digest, GBytes *content,
                   const Signer *const *certificates);
/* The SignedData inside. */
GBytes *sign_unwrap(GBytes *content_info);

/* A signature list with one certificate. */
GBytes *sign_list(const Signer *signer);
/* A list of SHA-256 hashes, each of 32 equal bytes, with the owner `owner` repeated. */
GBytes *sign_hash_list(uint8_t owner, const uint8_t *hashes, size_t count);

/* EFI_TIME of that second in 2026. */
void sign_time(unsigned second, uint8_t ret_time[16]);
/* EFI_VARIABLE_AUTHENTICATION_2 and content; `signer` NULL: an empty certificate. */
GBytes *sign_write(const Signer *signer, const UvGuid *guid, const char *name, uint32_t attributes,
                   unsigned second, GBytes *content);
/* The same with any PKCS#7. */
GBytes *sign_write_with(GBytes *pkcs7, const uint8_t time[16], GBytes *content);
/* What such a signature is over. */
GBytes *sign_content(const UvGuid *guid, const char *name, uint32_t attributes,
                     const uint8_t time[16], GBytes *content);
