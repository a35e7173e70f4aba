/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Certificates and signer infos are taken from GnuTLS's parser; chains are built here, one link a
 * time, because GnuTLS's own verification knows purposes, times and key sizes that firmware does
 * not look at (see pkcs7.h). A message may hold many certificates with the same name: the number of
 * public key operations spent on finding chains is capped for each message.
 */

#include "pkcs7.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>
#include <string.h>

#include "uv-limits.h"

#define VERIFY_FLAGS                                                                               \
    (GNUTLS_VERIFY_ALLOW_BROKEN | GNUTLS_VERIFY_DISABLE_TIME_CHECKS |                              \
     GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS)
#define FINGERPRINT_BYTES 32u

typedef struct {
    gnutls_x509_crt_t crt;
    gnutls_datum_t der; /* owned by GnuTLS's allocator */
    gnutls_datum_t subject, issuer;
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

/* DER: a definite-length element at the start of `bytes`; its header's and its whole size. */
static bool der_element(const uint8_t *bytes, size_t size, uint8_t tag, size_t *ret_header,
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

#define DER_SEQUENCE 0x30
#define DER_SET 0x31
#define DER_INTEGER 0x02
#define DER_OID 0x06
#define DER_CONTEXT_0 0xa0

/* Takes the next element off the front of `cursor`; false if it is another one. `ret_content` may
 * be the cursor: then it goes inside. */
static bool der_next(gnutls_datum_t *cursor, uint8_t tag, gnutls_datum_t *ret_content)
{
    size_t header, total;

    if (!der_element(cursor->data, cursor->size, tag, &header, &total))
        return false;
    const gnutls_datum_t content = {cursor->data + header, total - header};
    cursor->data += total;
    cursor->size -= total;
    *ret_content = content;
    return true;
}

static void der_header(GByteArray *out, uint8_t tag, size_t length)
{
    const uint8_t head[] = {tag, 0x84, length >> 24, length >> 16, length >> 8, length};

    g_byte_array_append(out, head, sizeof head);
}

/* GnuTLS wants ContentInfo { signedData, [0] SignedData }; a bare SignedData is put into one. */
static GByteArray *content_info(const uint8_t *bytes, size_t size)
{
    static const uint8_t oid[] = {DER_OID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};
    size_t header, total;

    if (!der_element(bytes, size, DER_SEQUENCE, &header, &total))
        return NULL;
    g_autoptr(GByteArray) wrapped = g_byte_array_sized_new(total + 32);
    if (total > header && bytes[header] != DER_OID) {
        der_header(wrapped, DER_SEQUENCE, sizeof oid + 6 + total);
        g_byte_array_append(wrapped, oid, sizeof oid);
        der_header(wrapped, DER_CONTEXT_0, total);
    }
    g_byte_array_append(wrapped, bytes, total);
    return g_steal_pointer(&wrapped);
}

static void certificate_free(Certificate *certificate)
{
    gnutls_free(certificate->der.data);
    gnutls_free(certificate->subject.data);
    gnutls_free(certificate->issuer.data);
    if (certificate->crt)
        gnutls_x509_crt_deinit(certificate->crt);
    g_free(certificate);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Certificate, certificate_free)

/* OpenSSL's bounds: without them one signature could cost seconds. */
static bool is_affordable(gnutls_pubkey_t key)
{
    gnutls_datum_t modulus, exponent;
    unsigned bits = 0;

    if (gnutls_pubkey_get_pk_algorithm(key, &bits) != GNUTLS_PK_RSA)
        return bits <= UV_PKCS7_RSA_BITS_MAX;
    if (gnutls_pubkey_export_rsa_raw2(key, &modulus, &exponent, GNUTLS_EXPORT_FLAG_NO_LZ) < 0)
        return false;
    const bool affordable =
        bits <= UV_PKCS7_RSA_BITS_MAX &&
        (bits <= UV_PKCS7_RSA_BITS_SMALL || exponent.size <= UV_PKCS7_RSA_EXPONENT_BYTES);
    gnutls_free(modulus.data);
    gnutls_free(exponent.data);
    return affordable;
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

static Certificate *certificate_new(const uint8_t *bytes, size_t size)
{
    g_autoptr(Certificate) certificate = g_new0(Certificate, 1);
    size_t header, total;

    if (size > UV_MM_BUFFER_MAX || !der_element(bytes, size, DER_SEQUENCE, &header, &total))
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

static bool datum_equal(const gnutls_datum_t *a, const gnutls_datum_t *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static bool load_certificates(UvPkcs7 *pkcs7)
{
    const int count = gnutls_pkcs7_get_crt_count(pkcs7->pkcs7);

    for (int i = 0; i < count; i++) {
        gnutls_datum_t der = {0};

        if (gnutls_pkcs7_get_crt_raw2(pkcs7->pkcs7, i, &der) < 0)
            return false;
        Certificate *certificate = certificate_new(der.data, der.size);
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
        uint8_t bytes[128];
        size_t size = sizeof bytes;

        if (datum_equal(&certificate->issuer, issuer) &&
            gnutls_x509_crt_get_serial(certificate->crt, bytes, &size) == 0 &&
            datum_equal(&(gnutls_datum_t){bytes, size}, serial))
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
static gnutls_digest_algorithm_t strong_digest_of_oid(const gnutls_datum_t *oid)
{
    static const uint8_t nist_hashes[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02};
    static const gnutls_digest_algorithm_t digests[] = {GNUTLS_DIG_SHA256, GNUTLS_DIG_SHA384,
                                                        GNUTLS_DIG_SHA512};

    if (oid->size != sizeof nist_hashes + 1 ||
        memcmp(oid->data, nist_hashes, sizeof nist_hashes) != 0)
        return GNUTLS_DIG_UNKNOWN;
    const uint8_t which = oid->data[sizeof nist_hashes];
    return which >= 1 && which <= G_N_ELEMENTS(digests) ? digests[which - 1] : GNUTLS_DIG_UNKNOWN;
}

/* SignedData names its digests in front, where edk2 looks: the first is a strong one, and every
 * signer's is among them. GnuTLS does not read them. */
static bool check_named_digests(const UvPkcs7 *pkcs7, const GByteArray *der)
{
    gnutls_datum_t at = {der->data, der->len}, skipped, set, algorithm, oid;
    unsigned named = 0, count = 0;

    if (!der_next(&at, DER_SEQUENCE, &at) || !der_next(&at, DER_OID, &skipped) ||
        !der_next(&at, DER_CONTEXT_0, &at) || !der_next(&at, DER_SEQUENCE, &at) ||
        !der_next(&at, DER_INTEGER, &skipped) || !der_next(&at, DER_SET, &set))
        return false;
    for (; set.size > 0; count++) {
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

    pkcs7->certificates = g_ptr_array_new_with_free_func((GDestroyNotify)certificate_free);
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

static const Signer *signer_at(const UvPkcs7 *pkcs7, guint i)
{
    return &g_array_index(pkcs7->signers, Signer, i);
}

bool uv_pkcs7_signs(const UvPkcs7 *pkcs7, const uint8_t *content, size_t content_bytes)
{
    const gnutls_datum_t data = {(unsigned char *)content, content_bytes};

    /* GnuTLS takes "no data" for "what is inside the message". */
    if (content_bytes == 0 || content_bytes > UINT32_MAX)
        return false;
    for (guint i = 0; i < pkcs7->signers->len; i++) {
        if (gnutls_pkcs7_verify_direct(pkcs7->pkcs7, signer_at(pkcs7, i)->certificate->crt, i,
                                       &data, VERIFY_FLAGS) < 0)
            return false;
    }
    return true;
}

/* The TBSCertificate inside a certificate, borrowed. */
static bool tbs_certificate(const Certificate *certificate, gnutls_datum_t *ret_tbs)
{
    size_t header, total, tbs_header, tbs_total;

    if (!der_element(certificate->der.data, certificate->der.size, DER_SEQUENCE, &header, &total) ||
        !der_element(certificate->der.data + header, total - header, DER_SEQUENCE, &tbs_header,
                     &tbs_total))
        return false;
    *ret_tbs = (gnutls_datum_t){certificate->der.data + header, tbs_total};
    return true;
}

/* `below`: how many certificates stand between this one and the signer's. OpenSSL's check_ca(). */
static bool may_issue(const Certificate *certificate, unsigned below)
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
                              datum_equal(&certificate->subject, &certificate->issuer));
}

static bool issued(UvPkcs7 *pkcs7, const Certificate *issuer, const Certificate *certificate,
                   unsigned below)
{
    char bytes[2048];
    size_t size = sizeof bytes;
    gnutls_datum_t tbs;

    if (!datum_equal(&issuer->subject, &certificate->issuer) || !may_issue(issuer, below))
        return false;
    const int algorithm = gnutls_x509_crt_get_signature_algorithm(certificate->crt);
    if (algorithm <= 0 || !tbs_certificate(certificate, &tbs) ||
        gnutls_x509_crt_get_signature(certificate->crt, bytes, &size) < 0 ||
        pkcs7->operations++ >= UV_PKCS7_OPERATIONS_MAX)
        return false;
    const gnutls_datum_t signature = {(unsigned char *)bytes, size};
    return gnutls_x509_crt_verify_data2(issuer->crt, algorithm, VERIFY_FLAGS, &tbs, &signature) >=
           0;
}

static bool chain(UvPkcs7 *pkcs7, const Certificate *certificate, const Certificate *anchor,
                  unsigned depth)
{
    if (datum_equal(&certificate->der, &anchor->der) || issued(pkcs7, anchor, certificate, depth))
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

static bool all_chain_to(UvPkcs7 *pkcs7, const Certificate *anchor)
{
    for (guint i = 0; i < pkcs7->signers->len; i++) {
        if (!chain(pkcs7, signer_at(pkcs7, i)->certificate, anchor, 0))
            return false;
    }
    return true;
}

bool uv_pkcs7_chains_to(UvPkcs7 *pkcs7, const uint8_t *anchor, size_t anchor_bytes)
{
    if (pkcs7->signers->len == 1 && uv_pkcs7_signer_is(pkcs7, anchor, anchor_bytes))
        return true;
    g_autoptr(Certificate) certificate = certificate_new(anchor, anchor_bytes);
    return certificate && all_chain_to(pkcs7, certificate);
}

bool uv_pkcs7_signer_is(const UvPkcs7 *pkcs7, const uint8_t *certificate, size_t size)
{
    const gnutls_datum_t *der = &signer_at(pkcs7, 0)->certificate->der;

    return der->size == size && memcmp(der->data, certificate, size) == 0;
}

size_t uv_pkcs7_digest_bytes(const UvPkcs7 *pkcs7)
{
    return gnutls_hash_get_len((gnutls_digest_algorithm_t)signer_at(pkcs7, 0)->digest);
}

static char *common_name(const Certificate *certificate)
{
    char name[1024];
    size_t size = sizeof name;

    if (gnutls_x509_crt_get_dn_by_oid(certificate->crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
                                      &size) < 0)
        return NULL;
    return g_strndup(name, size);
}

static GBytes *name_and_bytes_digest(const Certificate *named, gnutls_digest_algorithm_t algorithm,
                                     const gnutls_datum_t *rest)
{
    g_autofree char *name = common_name(named);
    gnutls_hash_hd_t hash;
    uint8_t digest[64];

    if (!name || gnutls_hash_init(&hash, algorithm) < 0)
        return NULL;
    gnutls_hash(hash, name, strlen(name));
    gnutls_hash(hash, rest->data, rest->size);
    gnutls_hash_deinit(hash, digest);
    return g_bytes_new(digest, gnutls_hash_get_len(algorithm));
}

static GBytes *qemu_identity(const Certificate *named, const Certificate *last)
{
    uint8_t fingerprint[FINGERPRINT_BYTES];

    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, last->der.data, last->der.size, fingerprint) < 0)
        return NULL;
    return name_and_bytes_digest(named, GNUTLS_DIG_SHA256,
                                 &(gnutls_datum_t){fingerprint, sizeof fingerprint});
}

/* As far up as the certificates in the message lead. */
static const Certificate *top_of_chain(UvPkcs7 *pkcs7, const Certificate *certificate)
{
    for (unsigned depth = 0; depth < UV_PKCS7_CHAIN_MAX; depth++) {
        const Certificate *issuer = NULL;

        for (guint i = 0; i < pkcs7->certificates->len && !issuer; i++) {
            const Certificate *candidate = g_ptr_array_index(pkcs7->certificates, i);

            if (!datum_equal(&candidate->subject, &certificate->subject) &&
                issued(pkcs7, candidate, certificate, depth))
                issuer = candidate;
        }
        if (!issuer)
            break;
        certificate = issuer;
    }
    return certificate;
}

GBytes *uv_pkcs7_identity(UvPkcs7 *pkcs7)
{
    const GPtrArray *all = pkcs7->certificates;
    const Certificate *signer = signer_at(pkcs7, 0)->certificate;
    const Certificate *first = g_ptr_array_index(all, 0);
    const Certificate *last = g_ptr_array_index(all, all->len - 1);

    if ((first == signer || last == signer) && all_chain_to(pkcs7, last))
        return qemu_identity(first, last);
    const Certificate *top = top_of_chain(pkcs7, signer);
    return all_chain_to(pkcs7, top) ? qemu_identity(signer, top) : NULL;
}

GBytes *uv_pkcs7_identity_edk2(UvPkcs7 *pkcs7)
{
    /* edk2 takes signers from the end of its stack, and calls the one it gets last "top-level". */
    const Certificate *named = signer_at(pkcs7, pkcs7->signers->len - 1)->certificate;
    gnutls_datum_t tbs;

    if (!tbs_certificate(signer_at(pkcs7, 0)->certificate, &tbs) ||
        !all_chain_to(pkcs7, signer_at(pkcs7, 0)->certificate))
        return NULL;
    return name_and_bytes_digest(named, signer_at(pkcs7, 0)->digest, &tbs);
}

static GBytes *legacy_identity(const UvPkcs7 *pkcs7)
{
    GByteArray *stack = g_byte_array_new();
    const uint8_t count = pkcs7->signers->len;

    g_byte_array_append(stack, &count, sizeof count);
    for (guint i = pkcs7->signers->len; i-- > 0;) {
        const gnutls_datum_t *der = &signer_at(pkcs7, i)->certificate->der;
        const uint8_t size[] = {der->size, der->size >> 8, der->size >> 16, der->size >> 24};

        g_byte_array_append(stack, size, sizeof size);
        g_byte_array_append(stack, der->data, der->size);
    }
    return g_byte_array_free_to_bytes(stack);
}

/* Takes ownership of `identity`. */
static bool is_kept(GBytes *identity, const uint8_t *kept, size_t size)
{
    g_autoptr(GBytes) owned = identity;

    return owned && g_bytes_get_size(owned) == size &&
           memcmp(g_bytes_get_data(owned, NULL), kept, size) == 0;
}

/*
 * Any two certificates may have stood first and last when QEMU (or we) wrote the digest. A pair
 * counts only if it ties the signer: its name with a certificate over it, or any name with its own
 * certificate.
 */
static bool qemu_identity_is(UvPkcs7 *pkcs7, const uint8_t *kept, size_t size)
{
    const Certificate *signer = signer_at(pkcs7, 0)->certificate;

    for (guint i = 0; i < pkcs7->certificates->len; i++) {
        const Certificate *other = g_ptr_array_index(pkcs7->certificates, i);

        if (is_kept(qemu_identity(other, signer), kept, size) && all_chain_to(pkcs7, signer))
            return true;
        if (is_kept(qemu_identity(signer, other), kept, size) && all_chain_to(pkcs7, other))
            return true;
    }
    return false;
}

UvIdentity uv_pkcs7_identity_is(UvPkcs7 *pkcs7, const uint8_t *kept, size_t size)
{
    if (size == FINGERPRINT_BYTES && qemu_identity_is(pkcs7, kept, size))
        return UV_IDENTITY_QEMU;
    if (is_kept(uv_pkcs7_identity_edk2(pkcs7), kept, size) ||
        is_kept(legacy_identity(pkcs7), kept, size))
        return UV_IDENTITY_EDK2;
    return UV_IDENTITY_OTHER;
}

bool uv_x509_parses(const uint8_t *bytes, size_t size)
{
    g_autoptr(Certificate) certificate = certificate_new(bytes, size);

    return certificate != NULL;
}
