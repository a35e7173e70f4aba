/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "pkcs7.h"

#include <gnutls/crypto.h>
#include <string.h>

#include "signing.h"

#define CERTIFICATES(...) ((const Signer *const[]){__VA_ARGS__, NULL})

static GBytes *content;
static Signer *root, *middle, *leaf, *other;

static UvPkcs7 *parse(GBytes *pkcs7)
{
    gsize size;
    const void *bytes = g_bytes_get_data(pkcs7, &size);

    return uv_pkcs7_parse(bytes, size);
}

static UvPkcs7 *sign(const Signer *signer, gnutls_digest_algorithm_t digest,
                     const Signer *const *certificates)
{
    g_autoptr(GBytes) pkcs7 = sign_pkcs7(signer, digest, content, certificates);

    return parse(pkcs7);
}

static bool signs(const UvPkcs7 *pkcs7, GBytes *what)
{
    gsize size;
    const void *bytes = g_bytes_get_data(what, &size);

    return uv_pkcs7_signs(pkcs7, bytes, size);
}

static bool chains_to(UvPkcs7 *pkcs7, const Signer *anchor)
{
    gsize size;
    const void *bytes = g_bytes_get_data(anchor->der, &size);

    return uv_pkcs7_chains_to(pkcs7, bytes, size);
}

static void test_signature(void)
{
    g_autoptr(GBytes) changed = g_bytes_new_static("something elsf", 14);
    g_autoptr(UvPkcs7) pkcs7 = sign(root, GNUTLS_DIG_SHA256, CERTIFICATES(root));

    g_assert_nonnull(pkcs7);
    g_assert_true(signs(pkcs7, content));
    g_assert_false(signs(pkcs7, changed));
    g_assert_false(uv_pkcs7_signs(pkcs7, (const uint8_t *)"", 0));
    g_assert_true(chains_to(pkcs7, root));
    g_assert_false(chains_to(pkcs7, other));
}

static void test_wrapping(void)
{
    g_autoptr(GBytes) wrapped = sign_pkcs7(root, GNUTLS_DIG_SHA256, content, CERTIFICATES(root));
    g_autoptr(GBytes) bare = sign_unwrap(wrapped);
    g_autoptr(UvPkcs7) pkcs7 = parse(bare);

    g_assert_nonnull(pkcs7);
    g_assert_true(signs(pkcs7, content));

    /* Padding behind it is not part of it; every truncation is malformed. */
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(bare, &size);
    g_autofree uint8_t *padded = g_malloc0(size + 7);
    memcpy(padded, bytes, size);
    g_autoptr(UvPkcs7) again = uv_pkcs7_parse(padded, size + 7);
    g_assert_nonnull(again);
    for (size_t n = 0; n < size; n += 13)
        g_assert_null(uv_pkcs7_parse(bytes, n));
}

static void test_digests(void)
{
    static const struct {
        gnutls_digest_algorithm_t digest;
        size_t bytes; /* 0: refused */
    } rows[] = {
        {GNUTLS_DIG_SHA1, 0},    {GNUTLS_DIG_SHA224, 0},  {GNUTLS_DIG_SHA256, 32},
        {GNUTLS_DIG_SHA384, 48}, {GNUTLS_DIG_SHA512, 64}, {GNUTLS_DIG_SHA3_256, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvPkcs7) pkcs7 = sign(root, rows[i].digest, CERTIFICATES(root));

        g_assert_cmpint(pkcs7 != NULL, ==, rows[i].bytes != 0);
        if (pkcs7) {
            g_assert_true(signs(pkcs7, content));
            g_autoptr(GBytes) identity = uv_pkcs7_identity_edk2(pkcs7);
            g_assert_cmpuint(g_bytes_get_size(identity), ==, rows[i].bytes);
        }
    }
}

static void test_keys(void)
{
    static const struct {
        gnutls_pk_algorithm_t algorithm;
        unsigned bits;
    } rows[] = {
        {GNUTLS_PK_RSA, 1024},
        {GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)},
        {GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Signer) signer = signer_new("key", rows[i].algorithm, rows[i].bits, NULL, false);
        g_autoptr(UvPkcs7) pkcs7 = sign(signer, GNUTLS_DIG_SHA256, CERTIFICATES(signer));

        g_assert_nonnull(pkcs7);
        g_assert_true(signs(pkcs7, content));
        g_assert_true(chains_to(pkcs7, signer));
    }
}

static void test_chains(void)
{
    const Signer *const *const orders[] = {
        CERTIFICATES(leaf, middle, root),        CERTIFICATES(root, middle, leaf),
        CERTIFICATES(middle, leaf, root),        CERTIFICATES(leaf, middle),
        CERTIFICATES(other, middle, leaf, root),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(UvPkcs7) pkcs7 = sign(leaf, GNUTLS_DIG_SHA256, orders[i]);

        g_assert_nonnull(pkcs7);
        g_assert_true(signs(pkcs7, content));
        g_assert_true(chains_to(pkcs7, root));
        g_assert_true(chains_to(pkcs7, middle));
        g_assert_true(chains_to(pkcs7, leaf));
        g_assert_false(chains_to(pkcs7, other));
    }
    g_autoptr(UvPkcs7) gap = sign(leaf, GNUTLS_DIG_SHA256, CERTIFICATES(leaf, root));
    g_assert_false(chains_to(gap, root));
    g_assert_true(chains_to(gap, middle));
}

/* A certificate that is no authority issues nothing. */
static void test_no_authority(void)
{
    g_autoptr(Signer) child = signer_new("child", GNUTLS_PK_ECDSA, 256, leaf, false);
    g_autoptr(UvPkcs7) pkcs7 =
        sign(child, GNUTLS_DIG_SHA256, CERTIFICATES(child, leaf, middle, root));

    g_assert_nonnull(pkcs7);
    g_assert_false(chains_to(pkcs7, leaf));
    g_assert_false(chains_to(pkcs7, root));
}

static void test_missing_signer(void)
{
    g_assert_null(sign(leaf, GNUTLS_DIG_SHA256, CERTIFICATES(middle, root)));
}

/* A name is not an identity: an impostor of the same name and another key. */
static void test_impostor(void)
{
    g_autoptr(Signer) impostor = signer_new("root", GNUTLS_PK_ECDSA, 256, NULL, true);
    g_autoptr(Signer) fake = signer_new("leaf", GNUTLS_PK_ECDSA, 256, impostor, false);
    g_autoptr(UvPkcs7) pkcs7 =
        sign(fake, GNUTLS_DIG_SHA256, CERTIFICATES(fake, root, impostor, middle));

    g_assert_nonnull(pkcs7);
    g_assert_false(chains_to(pkcs7, root));
    g_assert_true(chains_to(pkcs7, impostor));
}

static GBytes *qemu_digest(const char *name, const Signer *last)
{
    g_autoptr(GChecksum) outer = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size;
    const void *der = g_bytes_get_data(last->der, &size);
    uint8_t fingerprint[32], digest[32];
    gsize digest_bytes = sizeof(digest);

    gnutls_hash_fast(GNUTLS_DIG_SHA256, der, size, fingerprint);
    g_checksum_update(outer, (const guchar *)name, strlen(name));
    g_checksum_update(outer, fingerprint, sizeof(fingerprint));
    g_checksum_get_digest(outer, digest, &digest_bytes);
    return g_bytes_new(digest, sizeof(digest));
}

static UvIdentity identity_is(UvPkcs7 *pkcs7, GBytes *kept)
{
    gsize size;
    const void *bytes = g_bytes_get_data(kept, &size);

    return uv_pkcs7_identity_is(pkcs7, bytes, size);
}

static void test_identity_of_qemu(void)
{
    g_autoptr(UvPkcs7) in_order = sign(leaf, GNUTLS_DIG_SHA256, CERTIFICATES(leaf, middle, root));
    g_autoptr(UvPkcs7) turned = sign(leaf, GNUTLS_DIG_SHA256, CERTIFICATES(root, middle, leaf));
    g_autoptr(UvPkcs7) mixed = sign(leaf, GNUTLS_DIG_SHA256, CERTIFICATES(middle, leaf, root));
    g_autoptr(GBytes) expected = qemu_digest("leaf", root);
    g_autoptr(GBytes) turned_expected = qemu_digest("root", leaf);

    g_autoptr(GBytes) a = uv_pkcs7_identity(in_order);
    g_autoptr(GBytes) b = uv_pkcs7_identity(turned);
    g_autoptr(GBytes) c = uv_pkcs7_identity(mixed);
    g_assert_true(g_bytes_equal(a, expected));
    g_assert_true(g_bytes_equal(b, turned_expected));
    g_assert_true(g_bytes_equal(c, expected));
    UvPkcs7 *const all[] = {in_order, turned, mixed};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        g_assert_cmpint(identity_is(all[i], expected), ==, UV_IDENTITY_QEMU);
        g_assert_cmpint(identity_is(all[i], turned_expected), ==, UV_IDENTITY_QEMU);
    }
}

/* Somebody else's last certificate beside one's own signature proves nothing. */
static void test_identity_not_borrowed(void)
{
    g_autoptr(Signer) thief = signer_new("leaf", GNUTLS_PK_ECDSA, 256, NULL, false);
    g_autoptr(GBytes) victim = qemu_digest("leaf", root);
    g_autoptr(GBytes) victim_alone = qemu_digest("leaf", leaf);
    const Signer *const *const orders[] = {CERTIFICATES(thief, root), CERTIFICATES(thief, leaf),
                                           CERTIFICATES(leaf, thief),
                                           CERTIFICATES(leaf, thief, root)};

    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autoptr(UvPkcs7) pkcs7 = sign(thief, GNUTLS_DIG_SHA256, orders[i]);

        g_assert_nonnull(pkcs7);
        g_assert_cmpint(identity_is(pkcs7, victim), ==, UV_IDENTITY_OTHER);
        g_assert_cmpint(identity_is(pkcs7, victim_alone), ==, UV_IDENTITY_OTHER);
    }
}

static void test_identity_of_edk2(void)
{
    g_autoptr(UvPkcs7) pkcs7 = sign(root, GNUTLS_DIG_SHA384, CERTIFICATES(root));
    g_autoptr(UvPkcs7) short_one = sign(root, GNUTLS_DIG_SHA256, CERTIFICATES(root));
    g_autoptr(GBytes) identity = uv_pkcs7_identity_edk2(pkcs7);

    g_assert_cmpuint(g_bytes_get_size(identity), ==, 48);
    g_assert_cmpint(identity_is(pkcs7, identity), ==, UV_IDENTITY_EDK2);
    /* As in edk2: the digest is of the signature's own algorithm. */
    g_assert_cmpint(identity_is(short_one, identity), ==, UV_IDENTITY_OTHER);

    gsize size;
    const uint8_t *der = g_bytes_get_data(root->der, &size);
    const uint8_t head[] = {1, size, size >> 8, size >> 16, size >> 24};
    g_autoptr(GByteArray) stack = g_byte_array_new();
    g_byte_array_append(stack, head, sizeof(head));
    g_byte_array_append(stack, der, size);
    g_assert_cmpint(uv_pkcs7_identity_is(pkcs7, stack->data, stack->len), ==, UV_IDENTITY_EDK2);
}

static void test_x509(void)
{
    gsize size;
    const uint8_t *der = g_bytes_get_data(leaf->der, &size);

    g_assert_true(uv_x509_parses(der, size));
    g_assert_false(uv_x509_parses(der, size - 1));
    g_assert_false(uv_x509_parses(der, 0));
    g_assert_false(uv_x509_parses((const uint8_t *)"garbage", 7));
}

/* A certificate whose first time GnuTLS can't read; free it. NULL: it has none of that kind. */
static uint8_t *with_odd_time(const Signer *signer, gsize *ret_size)
{
    const uint8_t *der = g_bytes_get_data(signer->der, ret_size);
    uint8_t *odd = g_memdup2(der, *ret_size);

    for (gsize i = 0; i + 15 <= *ret_size; i++) {
        if (odd[i] == 0x17 && odd[i + 1] == 13 && odd[i + 14] == 'Z') {
            odd[i + 14] = '+';
            return odd;
        }
    }
    g_assert_not_reached();
}

/* What GnuTLS does not read as a whole is taken for its key, if it has a certificate's form. */
static void test_odd_x509(void)
{
    gsize size;
    g_autofree uint8_t *odd = with_odd_time(root, &size);
    const gnutls_datum_t datum = {odd, size};
    g_autoptr(UvPkcs7) pkcs7 = sign(middle, GNUTLS_DIG_SHA256, CERTIFICATES(middle));
    gnutls_x509_crt_t crt;

    g_assert_cmpint(gnutls_x509_crt_init(&crt), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_DER), <, 0);
    gnutls_x509_crt_deinit(crt);
    g_assert_true(uv_x509_parses(odd, size));
    g_assert_false(uv_x509_parses(odd, size - 1));
    /* No chain goes through it, and it is not the one that it was made of. */
    g_assert_true(chains_to(pkcs7, root));
    g_assert_false(uv_pkcs7_chains_to(pkcs7, odd, size));
    /* A byte in the key's algorithm: nobody knows such a key. */
    for (gsize i = 0; i + 9 < size; i++) {
        static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
        if (memcmp(odd + i, rsa, sizeof(rsa)) == 0)
            odd[i + 8] = 0x70;
    }
    g_assert_false(uv_x509_parses(odd, size));
}

/* A signature must not cost seconds: OpenSSL's bound on exponents. */
static void test_long_exponent(void)
{
    static const struct {
        const char *file;
        bool taken;
    } rows[] = {{"rsa-2048-long-exponent.der", true}, {"rsa-4096-long-exponent.der", false}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, rows[i].file, NULL);
        g_autofree char *der = NULL;
        gsize size;

        g_assert_true(g_file_get_contents(path, &der, &size, NULL));
        g_assert_cmpint(uv_x509_parses((const uint8_t *)der, size), ==, rows[i].taken);
    }
}

/* Any odd number of that many bytes; the certificate is for its size only. */
static gnutls_datum_t large_number(size_t size)
{
    gnutls_datum_t number = {g_malloc(size), size};

    memset(number.data, 0x55, size);
    return number;
}

static void make_dsa(gnutls_pubkey_t key, size_t p_bytes, size_t q_bytes)
{
    gnutls_datum_t p = large_number(p_bytes), q = large_number(q_bytes), g = {p.data, p.size - 1};

    g_assert_cmpint(gnutls_pubkey_import_dsa_raw(key, &p, &q, &g, &g), ==, 0);
    g_free(p.data);
    g_free(q.data);
}

static void make_rsa_pss(gnutls_pubkey_t key, size_t modulus_bytes, size_t exponent_bytes)
{
    gnutls_datum_t modulus = large_number(modulus_bytes), exponent = large_number(exponent_bytes);
    gnutls_x509_spki_t spki;

    g_assert_cmpint(gnutls_pubkey_import_rsa_raw(key, &modulus, &exponent), ==, 0);
    g_assert_cmpint(gnutls_x509_spki_init(&spki), ==, 0);
    gnutls_x509_spki_set_rsa_pss_params(spki, GNUTLS_DIG_SHA256, 32);
    g_assert_cmpint(gnutls_pubkey_set_spki(key, spki, 0), ==, 0);
    gnutls_x509_spki_deinit(spki);
    g_free(modulus.data);
    g_free(exponent.data);
}

/* A certificate for the key, issued by root. */
static bool is_taken(gnutls_pubkey_t key)
{
    gnutls_x509_crt_t crt;
    gnutls_datum_t der;

    g_assert_cmpint(gnutls_x509_crt_init(&crt), ==, 0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, "\1", 1);
    gnutls_x509_crt_set_activation_time(crt, 0);
    gnutls_x509_crt_set_expiration_time(crt, 2000000000);
    g_assert_cmpint(gnutls_x509_crt_set_pubkey(crt, key), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_sign2(crt, root->crt, root->key, GNUTLS_DIG_SHA256, 0), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), ==, 0);
    const bool taken = uv_x509_parses(der.data, der.size);
    gnutls_free(der.data);
    gnutls_x509_crt_deinit(crt);
    return taken;
}

/* A DSA key of 16,000 bits with an order as long costs 2.8 s a signature, and edk2 knows no DSA. */
static void test_costly_keys(void)
{
    static const struct {
        void (*make)(gnutls_pubkey_t key, size_t a_bytes, size_t b_bytes);
        size_t a_bytes, b_bytes;
        bool taken;
    } rows[] = {
        {make_dsa, 2000, 2000, false},     {make_dsa, 256, 32, false},
        {make_rsa_pss, 2000, 1999, false}, {make_rsa_pss, 512, 9, false},
        {make_rsa_pss, 512, 3, true},      {make_rsa_pss, 2050, 3, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        gnutls_pubkey_t key;

        g_assert_cmpint(gnutls_pubkey_init(&key), ==, 0);
        rows[i].make(key, rows[i].a_bytes, rows[i].b_bytes);
        g_assert_cmpint(is_taken(key), ==, rows[i].taken);
        gnutls_pubkey_deinit(key);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    content = g_bytes_new_static("something else", 14);
    root = signer_new("root", GNUTLS_PK_RSA, 2048, NULL, true);
    middle = signer_new("middle", GNUTLS_PK_ECDSA, 256, root, true);
    leaf = signer_new("leaf", GNUTLS_PK_ECDSA, 256, middle, false);
    other = signer_new("other", GNUTLS_PK_ECDSA, 256, NULL, true);
    g_test_add_func("/pkcs7/signature", test_signature);
    g_test_add_func("/pkcs7/wrapping", test_wrapping);
    g_test_add_func("/pkcs7/digests", test_digests);
    g_test_add_func("/pkcs7/keys", test_keys);
    g_test_add_func("/pkcs7/chains", test_chains);
    g_test_add_func("/pkcs7/no-authority", test_no_authority);
    g_test_add_func("/pkcs7/missing-signer", test_missing_signer);
    g_test_add_func("/pkcs7/impostor", test_impostor);
    g_test_add_func("/pkcs7/identity-of-qemu", test_identity_of_qemu);
    g_test_add_func("/pkcs7/identity-not-borrowed", test_identity_not_borrowed);
    g_test_add_func("/pkcs7/identity-of-edk2", test_identity_of_edk2);
    g_test_add_func("/pkcs7/x509", test_x509);
    g_test_add_func("/pkcs7/odd-x509", test_odd_x509);
    g_test_add_func("/pkcs7/long-exponent", test_long_exponent);
    g_test_add_func("/pkcs7/costly-keys", test_costly_keys);
    const int result = g_test_run();
    signer_free(root);
    signer_free(middle);
    signer_free(leaf);
    signer_free(other);
    g_bytes_unref(content);
    return result;
}
