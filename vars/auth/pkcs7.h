/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * PKCS#7 SignedData as EFI_VARIABLE_AUTHENTICATION_2 carries it, and the little of X.509 that goes
 * with it. Only the files pkcs7*.c and verifier-digest.c know GnuTLS.
 *
 * What counts as a good signature is what edk2 and OpenSSL take (PKCS7_verify with a partial chain
 * and without times): every signer's certificate is in the message, every signer's signature fits
 * the content, and from every signer a chain of certificates in the message leads to the anchor.
 * Certificates stand in any order. Validity dates are not looked at, weak hashes are allowed in
 * certificates, not in the signature over the content: that is SHA-256, SHA-384 or SHA-512.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct UvPkcs7 UvPkcs7;

/*
 * Bare SignedData or one inside ContentInfo; bytes after it are ignored, as padding. NULL if it is
 * malformed, has no signer, lacks a signer's certificate, or uses another digest.
 */
UvPkcs7 *uv_pkcs7_parse(const uint8_t *bytes, size_t size);
void uv_pkcs7_free(UvPkcs7 *pkcs7);

/* All signatures fit `content` (detached). Costs one public key operation a signer. */
bool uv_pkcs7_signs(const UvPkcs7 *pkcs7, const uint8_t *content,
                    size_t content_bytes) G_GNUC_WARN_UNUSED_RESULT;
/* Every signer's certificate is `anchor` (DER), or was issued under it. */
bool uv_pkcs7_chains_to(UvPkcs7 *pkcs7, const uint8_t *anchor,
                        size_t anchor_bytes) G_GNUC_WARN_UNUSED_RESULT;
/* The signer's certificate (edk2's top-level certificate: the first signer's) is exactly this one.
 */
bool uv_pkcs7_signer_is(const UvPkcs7 *pkcs7, const uint8_t *certificate, size_t size);

/*
 * Who signed, as it is kept with a private authenticated variable. NULL if the certificates don't
 * say (no common name).
 *
 * QEMU's spelling: SHA-256 of the first certificate's common name and the SHA-256 fingerprint of
 * the last one. Where these two don't tie the signer (certificates in another order, unrelated ones
 * among them), the signer's name and the top of its chain take their places.
 */
GBytes *uv_pkcs7_identity(UvPkcs7 *pkcs7);
/* edk2's: digest (of the signature's kind: 32, 48 or 64 bytes) of the signer's common name and its
 * TBSCertificate. */
GBytes *uv_pkcs7_identity_edk2(UvPkcs7 *pkcs7);
typedef enum {
    UV_IDENTITY_OTHER,
    UV_IDENTITY_QEMU, /* in QEMU's spelling, for any order of the certificates */
    UV_IDENTITY_EDK2, /* in edk2's, or its older one (u8 count, then u32 size and certificate) */
} UvIdentity;
/* Whether `kept` is this signer. */
UvIdentity uv_pkcs7_identity_is(UvPkcs7 *pkcs7, const uint8_t *kept, size_t size);

/* A certificate (bytes after it are ignored) with an RSA, EC or EdDSA key of an affordable size. */
bool uv_x509_parses(const uint8_t *bytes, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvPkcs7, uv_pkcs7_free)
