/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "siglist.h"

#include <string.h>

#include "signing.h"

typedef struct {
    const char *name;
    uint32_t list_bytes, header_bytes, signature_bytes;
    size_t size; /* of it all */
    bool next;   /* one list comes out */
} Shape;

static GBytes *make(const UvGuid *type, const Shape *shape)
{
    g_auto(UvWriter) writer = uv_writer(65536);

    uv_write_bytes(&writer, type->bytes, 16);
    uv_write_u32(&writer, shape->list_bytes);
    uv_write_u32(&writer, shape->header_bytes);
    uv_write_u32(&writer, shape->signature_bytes);
    if (shape->size > 28)
        uv_write_zeros(&writer, shape->size - 28);
    g_autoptr(GBytes) all = uv_writer_steal(&writer);
    return g_bytes_new_from_bytes(all, 0, shape->size);
}

static const UvGuid unknown_type = UV_GUID(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
static const UvGuid sha256_type =
    UV_GUID(0xc1c41626, 0x504c, 0x4092, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28);
static const UvGuid x509_type =
    UV_GUID(0xa5c059a1, 0x94e4, 0x4aa7, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72);

static void test_shapes(void)
{
    static const Shape shapes[] = {
        {"one", 28 + 48, 0, 48, 28 + 48, true},
        {"two", 28 + 96, 0, 48, 28 + 96, true},
        {"none", 28, 0, 48, 28, true},
        {"header", 28 + 4 + 48, 4, 48, 28 + 4 + 48, true},
        {"smallest signature", 28 + 16, 0, 16, 28 + 16, true},
        {"list of size 0", 0, 0, 48, 28 + 48, false},
        {"list under its header", 27, 0, 48, 28 + 48, false},
        {"list larger than what is there", 28 + 49, 0, 48, 28 + 48, false},
        {"list of 4 GiB", UINT32_MAX, 0, 48, 28 + 48, false},
        {"header larger than the list", 28 + 48, 49, 48, 28 + 48, false},
        {"header of 4 GiB", 28 + 48, UINT32_MAX, 48, 28 + 48, false},
        {"signature of size 0", 28 + 48, 0, 0, 28 + 48, false},
        {"signature without room for an owner", 28 + 45, 0, 15, 28 + 45, false},
        {"signatures that do not fill it", 28 + 49, 0, 48, 28 + 49, false},
        {"signature larger than the list", 28 + 48, 0, 49, 28 + 48, false},
        {"cut in the header", 28, 0, 48, 27, false},
        {"nothing", 28, 0, 48, 0, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autoptr(GBytes) bytes = make(&unknown_type, &shapes[i]);
        gsize size;
        const uint8_t *data = g_bytes_get_data(bytes, &size);
        UvSiglist list;

        g_test_message("%s", shapes[i].name);
        UvReader reader = uv_reader(data, size);
        g_assert_cmpint(uv_siglist_next(&reader, &list), ==, shapes[i].next);
        g_assert_cmpint(uv_siglist_check(data, size, false), ==, shapes[i].next || size == 0);
    }
}

static void check_type(const UvGuid *type, uint32_t signature_bytes, uint32_t header_bytes,
                       bool expected)
{
    const Shape shape = {"",
                         28 + header_bytes + signature_bytes,
                         header_bytes,
                         signature_bytes,
                         28 + header_bytes + signature_bytes,
                         true};
    g_autoptr(GBytes) bytes = make(type, &shape);
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);

    g_assert_cmpint(uv_siglist_check(data, size, false), ==, expected);
}

static void test_types(void)
{
    check_type(&sha256_type, 48, 0, true);
    check_type(&sha256_type, 47, 0, false);
    check_type(&sha256_type, 48, 4, false);
    check_type(&unknown_type, 47, 4, true);
    check_type(&x509_type, 700, 0, false); /* zeros are no certificate */
    check_type(&x509_type, 16, 0, false);
}

static bool check(GBytes *bytes, bool single)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);

    return uv_siglist_check(data, size, single);
}

static GBytes *join(GBytes *a, GBytes *b)
{
    GByteArray *both = g_byte_array_new();

    g_byte_array_append(both, g_bytes_get_data(a, NULL), g_bytes_get_size(a));
    g_byte_array_append(both, g_bytes_get_data(b, NULL), g_bytes_get_size(b));
    return g_byte_array_free_to_bytes(both);
}

static void test_certificates(void)
{
    g_autoptr(Signer) rsa = signer_new("rsa", GNUTLS_PK_RSA, 1024, NULL, true);
    g_autoptr(Signer) ec = signer_new("ec", GNUTLS_PK_ECDSA, 256, NULL, true);
    g_autoptr(GBytes) rsa_list = sign_list(rsa);
    g_autoptr(GBytes) ec_list = sign_list(ec);
    g_autoptr(GBytes) both = join(rsa_list, ec_list);

    g_assert_true(check(rsa_list, true));
    g_assert_true(check(ec_list, true));
    g_assert_true(check(both, false));
    g_assert_false(check(both, true));
}

static GBytes *new_ones(GBytes *old, GBytes *bytes)
{
    return uv_siglist_new_ones(g_bytes_get_data(old, NULL), g_bytes_get_size(old),
                               g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void test_new_ones(void)
{
    g_autoptr(GBytes) old = sign_hash_list(1, (const uint8_t[]){10, 11, 12}, 3);
    g_autoptr(GBytes) more = sign_hash_list(1, (const uint8_t[]){11, 13, 12, 14}, 4);
    g_autoptr(GBytes) fresh = sign_hash_list(1, (const uint8_t[]){13, 14}, 2);
    g_autoptr(GBytes) other_owner = sign_hash_list(2, (const uint8_t[]){10}, 1);
    g_autoptr(GBytes) two = join(old, more);

    g_autoptr(GBytes) a = new_ones(old, more);
    g_autoptr(GBytes) b = new_ones(old, old);
    g_autoptr(GBytes) c = new_ones(old, other_owner);
    g_autoptr(GBytes) d = new_ones(old, two);
    g_assert_true(g_bytes_equal(a, fresh));
    g_assert_cmpuint(g_bytes_get_size(b), ==, 0);
    g_assert_true(g_bytes_equal(c, other_owner));
    g_assert_true(g_bytes_equal(d, fresh));

    /* Every type is kept as it is, a certificate beside hashes too. */
    g_autoptr(Signer) ec = signer_new("ec", GNUTLS_PK_ECDSA, 256, NULL, true);
    g_autoptr(GBytes) certificate = sign_list(ec);
    g_autoptr(GBytes) mixed = join(more, certificate);
    g_autoptr(GBytes) expected = join(fresh, certificate);
    g_autoptr(GBytes) e = new_ones(old, mixed);
    g_assert_true(g_bytes_equal(e, expected));
}

static void test_new_ones_malformed(void)
{
    g_autoptr(GBytes) old = sign_hash_list(1, (const uint8_t[]){10, 11}, 2);
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(old, 0, g_bytes_get_size(old) - 1);

    g_assert_null(new_ones(old, cut));
    g_assert_null(new_ones(cut, old));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/siglist/shapes", test_shapes);
    g_test_add_func("/siglist/types", test_types);
    g_test_add_func("/siglist/certificates", test_certificates);
    g_test_add_func("/siglist/new-ones", test_new_ones);
    g_test_add_func("/siglist/new-ones-malformed", test_new_ones_malformed);
    return g_test_run();
}
