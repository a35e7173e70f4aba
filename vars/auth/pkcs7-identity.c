/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The signer's identity, in the spellings of QEMU and of edk2. */

#include <gnutls/crypto.h>

#include "pkcs7-private.h"

#define FINGERPRINT_BYTES 32u

static char *common_name(const Certificate *certificate)
{
    char name[1024];
    size_t size = sizeof(name);

    if (gnutls_x509_rdn_get_by_oid(&certificate->subject, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
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
                                 &(gnutls_datum_t){fingerprint, sizeof(fingerprint)});
}

GBytes *uv_pkcs7_identity(UvPkcs7 *pkcs7)
{
    const GPtrArray *all = pkcs7->certificates;
    const Certificate *signer = pkcs7_signer_at(pkcs7, 0)->certificate;
    const Certificate *first = g_ptr_array_index(all, 0);
    const Certificate *last = g_ptr_array_index(all, all->len - 1);

    if ((first == signer || last == signer) && pkcs7_all_chain_to(pkcs7, last))
        return qemu_identity(first, last);
    const Certificate *top = pkcs7_top_of_chain(pkcs7, signer);
    return pkcs7_all_chain_to(pkcs7, top) ? qemu_identity(signer, top) : NULL;
}

GBytes *uv_pkcs7_identity_edk2(UvPkcs7 *pkcs7)
{
    /* edk2 takes signers from the end of its stack, and calls the one it gets last "top-level". */
    const Certificate *named = pkcs7_signer_at(pkcs7, pkcs7->signers->len - 1)->certificate;
    const Signer *first = pkcs7_signer_at(pkcs7, 0);

    if (!pkcs7_all_chain_to(pkcs7, first->certificate))
        return NULL;
    return name_and_bytes_digest(named, first->digest, &first->certificate->tbs);
}

static GBytes *legacy_identity(const UvPkcs7 *pkcs7)
{
    GByteArray *stack = g_byte_array_new();
    const uint8_t count = pkcs7->signers->len;

    g_byte_array_append(stack, &count, sizeof(count));
    for (guint i = pkcs7->signers->len; i-- > 0;) {
        const gnutls_datum_t *der = &pkcs7_signer_at(pkcs7, i)->certificate->der;
        const uint8_t size[] = {der->size, der->size >> 8, der->size >> 16, der->size >> 24};

        g_byte_array_append(stack, size, sizeof(size));
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
    const Certificate *signer = pkcs7_signer_at(pkcs7, 0)->certificate;

    for (guint i = 0; i < pkcs7->certificates->len; i++) {
        const Certificate *other = g_ptr_array_index(pkcs7->certificates, i);

        if (is_kept(qemu_identity(other, signer), kept, size) && pkcs7_all_chain_to(pkcs7, signer))
            return true;
        if (is_kept(qemu_identity(signer, other), kept, size) && pkcs7_all_chain_to(pkcs7, other))
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
