/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Certificates for people: what is in one, and PEM. Nothing here decides about a signature, and
 * nothing needs GnuTLS, but uv_x509_from_bytes() by what it asks. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define UV_X509_SHA256_HEX 64

typedef struct {
    char *common_name;   /* of the subject, as it is; NULL: none, or the certificate is not read */
    int64_t valid_until; /* seconds since 1970; -1: not known */
    char sha256[UV_X509_SHA256_HEX + 1]; /* of the whole certificate */
} UvX509Text;

/* Always gives a fingerprint; the rest as far as the certificate can be read. */
void uv_x509_describe(const uint8_t *bytes, size_t size, UvX509Text *ret_text);
void uv_x509_text_clear(UvX509Text *text);
/* A PEM text, whatever the bytes are. */
char *uv_x509_to_pem(const uint8_t *bytes, size_t size);
/*
 * All certificates in a PEM text, or the one that the bytes are in DER: GBytes of DER. NULL:
 * neither, or one of them is not a certificate that could be a key (uv_x509_parses()).
 */
GPtrArray *uv_x509_from_bytes(const uint8_t *bytes, size_t size);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvX509Text, uv_x509_text_clear)
