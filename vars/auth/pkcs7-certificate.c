/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One certificate. */

#include <gnutls/abstract.h>

#include "der.h"
#include "pkcs7-private.h"

void pkcs7_certificate_free(Certificate *certificate)
{
    g_free(certificate->der.data);
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

static gnutls_datum_t datum_of(const uint8_t *bytes, size_t size)
{
    return (gnutls_datum_t){(unsigned char *)bytes, size};
}

/* Two times, of either kind: firmware does not look at what they say. */
static bool is_validity(UvReader *times)
{
    UvReader skipped;

    for (int i = 0; i < 2; i++) {
        if (!der_next(times, DER_UTC_TIME, &skipped) &&
            !der_next(times, DER_GENERALIZED_TIME, &skipped))
            return false;
    }
    return uv_reader_done(times);
}

/* Fills in what stands in the certificate (RFC 5280, 4.1) up to its key. */
static bool read_fields(Certificate *certificate)
{
    DerElement tbs, issuer, subject, key;
    UvReader at = uv_reader(certificate->der.data, certificate->der.size);
    UvReader skipped, serial, validity;

    if (!der_next(&at, DER_SEQUENCE, &at) || !der_next_whole(&at, DER_SEQUENCE, &tbs) ||
        !der_next(&at, DER_SEQUENCE, &skipped) || !der_next(&at, DER_BIT_STRING, &skipped) ||
        !uv_reader_done(&at))
        return false;
    at = uv_reader(tbs.bytes, tbs.size);
    (void)der_next(&at, DER_SEQUENCE, &at);
    (void)der_next(&at, DER_CONTEXT_0, &skipped); /* the version, if it is told */
    if (!der_next(&at, DER_INTEGER, &serial) || !der_next(&at, DER_SEQUENCE, &skipped) ||
        !der_next_whole(&at, DER_SEQUENCE, &issuer) || !der_next(&at, DER_SEQUENCE, &validity) ||
        !is_validity(&validity) || !der_next_whole(&at, DER_SEQUENCE, &subject) ||
        !der_next_whole(&at, DER_SEQUENCE, &key))
        return false;
    certificate->tbs = datum_of(tbs.bytes, tbs.size);
    certificate->serial = datum_of(serial.at, serial.left);
    certificate->issuer = datum_of(issuer.bytes, issuer.size);
    certificate->subject = datum_of(subject.bytes, subject.size);
    certificate->key = datum_of(key.bytes, key.size);
    return true;
}

/* The certificate as GnuTLS reads it. */
static bool import_whole(Certificate *certificate)
{
    if (certificate->issuer.size > UV_X509_NAME_BYTES_MAX ||
        certificate->subject.size > UV_X509_NAME_BYTES_MAX)
        return false;
    if (gnutls_x509_crt_init(&certificate->crt) < 0) {
        certificate->crt = NULL;
        return false;
    }
    return gnutls_x509_crt_import(certificate->crt, &certificate->der, GNUTLS_X509_FMT_DER) >= 0;
}

/* One that holds the key of what GnuTLS does not read as a whole. */
static bool import_key(Certificate *certificate)
{
    gnutls_pubkey_t key;

    g_clear_pointer(&certificate->crt, gnutls_x509_crt_deinit);
    certificate->odd = true;
    if (gnutls_pubkey_init(&key) < 0)
        return false;
    bool imported = gnutls_pubkey_import(key, &certificate->key, GNUTLS_X509_FMT_DER) >= 0 &&
                    gnutls_x509_crt_init(&certificate->crt) >= 0;
    imported = imported && gnutls_x509_crt_set_pubkey(certificate->crt, key) >= 0;
    gnutls_pubkey_deinit(key);
    return imported;
}

Certificate *pkcs7_certificate_new(const uint8_t *bytes, size_t size)
{
    g_autoptr(Certificate) certificate = g_new0(Certificate, 1);
    DerElement der;
    UvReader reader = uv_reader(bytes, size);

    if (size > UV_MM_BUFFER_MAX || !der_next_whole(&reader, DER_SEQUENCE, &der))
        return NULL;
    certificate->der = (gnutls_datum_t){g_memdup2(der.bytes, der.size), der.size};
    if (!read_fields(certificate) || (!import_whole(certificate) && !import_key(certificate)) ||
        !has_known_key(certificate->crt))
        return NULL;
    return g_steal_pointer(&certificate);
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
    /* Without the extension: roots of version 1, and a certificate whose key usage has signing of
     * certificates. */
    return has_usage >= 0 || (gnutls_x509_crt_get_version(certificate->crt) == 1 &&
                              pkcs7_datum_equal(&certificate->subject, &certificate->issuer));
}

bool uv_x509_parses(const uint8_t *bytes, size_t size)
{
    g_autoptr(Certificate) certificate = pkcs7_certificate_new(bytes, size);

    return certificate != NULL;
}
