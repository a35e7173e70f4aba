/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One certificate, and the little of DER that goes around GnuTLS. */

#include <gnutls/abstract.h>

#include "pkcs7-private.h"

bool pkcs7_der_element(const uint8_t *bytes, size_t size, uint8_t tag, size_t *ret_header,
                       size_t *ret_total)
{
    size_t header = 2, length;

    if (size < header || bytes[0] != tag)
        return false;
    length = bytes[1];
    if (length >= 0x80) {
        const size_t n = length & 0x7f;

        if (n == 0 || n > 4 || size - header < n)
            return false;
        length = 0;
        for (size_t i = 0; i < n; i++)
            length = length << 8 | bytes[header + i];
        header += n;
    }
    if (length > size - header)
        return false;
    *ret_header = header;
    *ret_total = header + length;
    return true;
}

bool pkcs7_der_next(gnutls_datum_t *cursor, uint8_t tag, gnutls_datum_t *ret_content)
{
    size_t header, total;

    if (!pkcs7_der_element(cursor->data, cursor->size, tag, &header, &total))
        return false;
    const gnutls_datum_t content = {cursor->data + header, total - header};
    cursor->data += total;
    cursor->size -= total;
    *ret_content = content;
    return true;
}

void pkcs7_certificate_free(Certificate *certificate)
{
    gnutls_free(certificate->der.data);
    gnutls_free(certificate->subject.data);
    gnutls_free(certificate->issuer.data);
    if (certificate->crt)
        gnutls_x509_crt_deinit(certificate->crt);
    g_free(certificate);
}

/* OpenSSL's bounds: without them one signature could cost seconds. */
static bool is_affordable_rsa(gnutls_pubkey_t key, unsigned bits)
{
    gnutls_datum_t modulus, exponent;

    if (gnutls_pubkey_export_rsa_raw2(key, &modulus, &exponent, GNUTLS_EXPORT_FLAG_NO_LZ) < 0)
        return false;
    const bool affordable =
        bits <= UV_PKCS7_RSA_BITS_MAX &&
        (bits <= UV_PKCS7_RSA_BITS_SMALL || exponent.size <= UV_PKCS7_RSA_EXPONENT_BYTES);
    gnutls_free(modulus.data);
    gnutls_free(exponent.data);
    return affordable;
}

/* No DSA, as in edk2: its numbers may be as large as a message bears. */
static bool is_affordable(gnutls_pubkey_t key)
{
    unsigned bits = 0;

    switch (gnutls_pubkey_get_pk_algorithm(key, &bits)) {
    case GNUTLS_PK_RSA:
    case GNUTLS_PK_RSA_PSS:
        return is_affordable_rsa(key, bits);
    case GNUTLS_PK_ECDSA:
    case GNUTLS_PK_EDDSA_ED25519:
    case GNUTLS_PK_EDDSA_ED448:
        return true;
    default:
        return false;
    }
}

/* GnuTLS 3.7's verification forgets an object for each key that it can't import, so such a key must
 * not get that far. */
static bool has_known_key(gnutls_x509_crt_t crt)
{
    gnutls_pubkey_t key;

    if (gnutls_pubkey_init(&key) < 0)
        return false;
    const bool known = gnutls_pubkey_import_x509(key, crt, 0) >= 0 && is_affordable(key);
    gnutls_pubkey_deinit(key);
    return known;
}

Certificate *pkcs7_certificate_new(const uint8_t *bytes, size_t size)
{
    g_autoptr(Certificate) certificate = g_new0(Certificate, 1);
    size_t header, total;

    if (size > UV_MM_BUFFER_MAX || !pkcs7_der_element(bytes, size, DER_SEQUENCE, &header, &total))
        return NULL;
    const gnutls_datum_t der = {(unsigned char *)bytes, total};
    if (gnutls_x509_crt_init(&certificate->crt) < 0) {
        certificate->crt = NULL;
        return NULL;
    }
    if (gnutls_x509_crt_import(certificate->crt, &der, GNUTLS_X509_FMT_DER) < 0 ||
        gnutls_x509_crt_get_raw_dn(certificate->crt, &certificate->subject) < 0 ||
        gnutls_x509_crt_get_raw_issuer_dn(certificate->crt, &certificate->issuer) < 0 ||
        !has_known_key(certificate->crt))
        return NULL;
    certificate->der.data = gnutls_malloc(total);
    if (!certificate->der.data)
        return NULL;
    memcpy(certificate->der.data, bytes, total);
    certificate->der.size = total;
    return g_steal_pointer(&certificate);
}

bool pkcs7_tbs_certificate(const Certificate *certificate, gnutls_datum_t *ret_tbs)
{
    size_t header, total, tbs_header, tbs_total;

    if (!pkcs7_der_element(certificate->der.data, certificate->der.size, DER_SEQUENCE, &header,
                           &total) ||
        !pkcs7_der_element(certificate->der.data + header, total - header, DER_SEQUENCE,
                           &tbs_header, &tbs_total))
        return false;
    *ret_tbs = (gnutls_datum_t){certificate->der.data + header, tbs_total};
    return true;
}

/* OpenSSL's check_ca(). */
bool pkcs7_may_issue(const Certificate *certificate, unsigned below)
{
    unsigned usage = 0, ca = 0;
    int path_length = -1;

    const int has_usage = gnutls_x509_crt_get_key_usage(certificate->crt, &usage, NULL);
    if (has_usage >= 0 && !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
        return false;
    if (gnutls_x509_crt_get_basic_constraints(certificate->crt, NULL, &ca, &path_length) >= 0)
        return ca && (path_length < 0 || below <= (unsigned)path_length);
    /* Without the extension: roots of version 1, and whoever says that it signs certificates. */
    return has_usage >= 0 || (gnutls_x509_crt_get_version(certificate->crt) == 1 &&
                              pkcs7_datum_equal(&certificate->subject, &certificate->issuer));
}

bool uv_x509_parses(const uint8_t *bytes, size_t size)
{
    g_autoptr(Certificate) certificate = pkcs7_certificate_new(bytes, size);

    return certificate != NULL;
}
