/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The message: its certificates and signer infos are taken from GnuTLS's parser. */

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>

#include "der.h"
#include "pkcs7-private.h"

static void der_header(GByteArray *out, uint8_t tag, size_t length)
{
    const uint8_t head[] = {tag, 0x84, length >> 24, length >> 16, length >> 8, length};

    g_byte_array_append(out, head, sizeof(head));
}

/* GnuTLS wants ContentInfo { signedData, [0] SignedData }; a bare SignedData is put into one. */
static GByteArray *content_info(const uint8_t *bytes, size_t size)
{
    static const uint8_t oid[] = {DER_OID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};
    DerElement message;
    UvReader reader = uv_reader(bytes, size);

    if (!der_next_whole(&reader, DER_SEQUENCE, &message))
        return NULL;
    g_autoptr(GByteArray) wrapped = g_byte_array_sized_new(message.size + 32);
    reader = uv_reader(message.bytes, message.size);
    (void)der_next(&reader, DER_SEQUENCE, &reader);
    if (uv_read_u8(&reader) != DER_OID) {
        der_header(wrapped, DER_SEQUENCE, sizeof(oid) + 6 + message.size);
        g_byte_array_append(wrapped, oid, sizeof(oid));
        der_header(wrapped, DER_CONTEXT_0, message.size);
    }
    g_byte_array_append(wrapped, message.bytes, message.size);
    return g_steal_pointer(&wrapped);
}

static bool load_certificates(UvPkcs7 *pkcs7)
{
    const int count = gnutls_pkcs7_get_crt_count(pkcs7->pkcs7);

    for (int i = 0; i < count; i++) {
        gnutls_datum_t der = {0};

        if (gnutls_pkcs7_get_crt_raw2(pkcs7->pkcs7, i, &der) < 0)
            return false;
        Certificate *certificate = pkcs7_certificate_new(der.data, der.size);
        gnutls_free(der.data);
        /* One that GnuTLS can't read is no signer and no issuer; the others may do. */
        if (certificate)
            g_ptr_array_add(pkcs7->certificates, certificate);
    }
    return true;
}

static const Certificate *find_certificate(const UvPkcs7 *pkcs7, const gnutls_datum_t *issuer,
                                           const gnutls_datum_t *serial)
{
    for (guint i = 0; i < pkcs7->certificates->len; i++) {
        const Certificate *certificate = g_ptr_array_index(pkcs7->certificates, i);

        if (pkcs7_datum_equal(&certificate->issuer, issuer) &&
            pkcs7_datum_equal(&certificate->serial, serial))
            return certificate;
    }
    return NULL;
}

static bool digest_is_strong(gnutls_digest_algorithm_t digest)
{
    return digest == GNUTLS_DIG_SHA256 || digest == GNUTLS_DIG_SHA384 ||
           digest == GNUTLS_DIG_SHA512;
}

/* 2.16.840.1.101.3.4.2.{1,2,3} */
static gnutls_digest_algorithm_t strong_digest_of_oid(const UvReader *oid)
{
    static const uint8_t nist_hashes[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02};
    static const gnutls_digest_algorithm_t digests[] = {GNUTLS_DIG_SHA256, GNUTLS_DIG_SHA384,
                                                        GNUTLS_DIG_SHA512};

    if (oid->left != sizeof(nist_hashes) + 1 ||
        memcmp(oid->at, nist_hashes, sizeof(nist_hashes)) != 0)
        return GNUTLS_DIG_UNKNOWN;
    const uint8_t which = oid->at[sizeof(nist_hashes)];
    return which >= 1 && which <= G_N_ELEMENTS(digests) ? digests[which - 1] : GNUTLS_DIG_UNKNOWN;
}

/* SignedData names its digests in front, where edk2 looks: the first is a strong one, and every
 * signer's is among them. GnuTLS does not read them. */
static bool check_named_digests(const UvPkcs7 *pkcs7, const GByteArray *der)
{
    UvReader at = uv_reader(der->data, der->len), skipped, set, algorithm, oid;
    unsigned named = 0, count = 0;

    if (!der_next(&at, DER_SEQUENCE, &at) || !der_next(&at, DER_OID, &skipped) ||
        !der_next(&at, DER_CONTEXT_0, &at) || !der_next(&at, DER_SEQUENCE, &at) ||
        !der_next(&at, DER_INTEGER, &skipped) || !der_next(&at, DER_SET, &set))
        return false;
    for (; set.left > 0; count++) {
        if (!der_next(&set, DER_SEQUENCE, &algorithm) || !der_next(&algorithm, DER_OID, &oid))
            return false;
        const gnutls_digest_algorithm_t digest = strong_digest_of_oid(&oid);
        if (digest == GNUTLS_DIG_UNKNOWN && count == 0)
            return false;
        named |= 1u << digest;
    }
    for (guint i = 0; i < pkcs7->signers->len; i++) {
        if (!(named & 1u << g_array_index(pkcs7->signers, Signer, i).digest))
            return false;
    }
    return true;
}

static bool load_signers(UvPkcs7 *pkcs7)
{
    const int count = gnutls_pkcs7_get_signature_count(pkcs7->pkcs7);

    if (count < 1 || count > (int)UV_PKCS7_SIGNERS_MAX)
        return false;
    for (int i = 0; i < count; i++) {
        gnutls_pkcs7_signature_info_st info;

        if (gnutls_pkcs7_get_signature_info(pkcs7->pkcs7, i, &info) < 0)
            return false;
        const Signer signer = {
            .certificate = find_certificate(pkcs7, &info.issuer_dn, &info.signer_serial),
            .digest = gnutls_sign_get_hash_algorithm(info.algo),
        };
        gnutls_pkcs7_signature_info_deinit(&info);
        if (!signer.certificate || !digest_is_strong(signer.digest))
            return false;
        g_array_append_val(pkcs7->signers, signer);
    }
    return true;
}

UvPkcs7 *uv_pkcs7_parse(const uint8_t *bytes, size_t size)
{
    g_autoptr(UvPkcs7) pkcs7 = g_new0(UvPkcs7, 1);
    g_autoptr(GByteArray) der = NULL;

    pkcs7->certificates = g_ptr_array_new_with_free_func((GDestroyNotify)pkcs7_certificate_free);
    pkcs7->signers = g_array_new(FALSE, FALSE, sizeof(Signer));
    if (size > UV_MM_BUFFER_MAX || !(der = content_info(bytes, size)))
        return NULL;
    if (gnutls_pkcs7_init(&pkcs7->pkcs7) < 0) {
        pkcs7->pkcs7 = NULL;
        return NULL;
    }
    const gnutls_datum_t datum = {der->data, der->len};
    if (gnutls_pkcs7_import(pkcs7->pkcs7, &datum, GNUTLS_X509_FMT_DER) < 0 ||
        !load_certificates(pkcs7) || !load_signers(pkcs7) || !check_named_digests(pkcs7, der))
        return NULL;
    return g_steal_pointer(&pkcs7);
}

void uv_pkcs7_free(UvPkcs7 *pkcs7)
{
    if (!pkcs7)
        return;
    g_ptr_array_unref(pkcs7->certificates);
    g_array_unref(pkcs7->signers);
    if (pkcs7->pkcs7)
        gnutls_pkcs7_deinit(pkcs7->pkcs7);
    g_free(pkcs7);
}

bool uv_pkcs7_signs(const UvPkcs7 *pkcs7, const uint8_t *content, size_t content_bytes)
{
    const gnutls_datum_t data = {(unsigned char *)content, content_bytes};

    /* GnuTLS takes "no data" for "what is inside the message". */
    if (content_bytes == 0 || content_bytes > UINT32_MAX)
        return false;
    for (guint i = 0; i < pkcs7->signers->len; i++) {
        if (gnutls_pkcs7_verify_direct(pkcs7->pkcs7, pkcs7_signer_at(pkcs7, i)->certificate->crt, i,
                                       &data, PKCS7_VERIFY_FLAGS) < 0)
            return false;
    }
    return true;
}

bool uv_pkcs7_signer_is(const UvPkcs7 *pkcs7, const uint8_t *certificate, size_t size)
{
    const gnutls_datum_t *der = &pkcs7_signer_at(pkcs7, 0)->certificate->der;

    return der->size == size && memcmp(der->data, certificate, size) == 0;
}
