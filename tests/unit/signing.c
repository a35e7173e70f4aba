/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "signing.h"

#include <gnutls/crypto.h>
#include <string.h>

#include "bytes.h"
#include "efi-abi.h"

#define CHECK(call) g_assert_cmpint(call, >=, 0)

static void set_up_certificate(gnutls_x509_crt_t crt, const char *common_name, bool ca)
{
    static uint8_t serial = 1;

    CHECK(gnutls_x509_crt_set_version(crt, 3));
    CHECK(gnutls_x509_crt_set_serial(crt, &serial, sizeof(serial)));
    serial++;
    CHECK(gnutls_x509_crt_set_activation_time(crt, 1000000000));
    CHECK(gnutls_x509_crt_set_expiration_time(crt, 1100000000)); /* long past: nobody looks */
    CHECK(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, common_name,
                                        strlen(common_name)));
    CHECK(gnutls_x509_crt_set_basic_constraints(crt, ca, -1));
}

Signer *signer_new(const char *common_name, gnutls_pk_algorithm_t algorithm, unsigned bits,
                   const Signer *issuer, bool ca)
{
    Signer *signer = g_new0(Signer, 1);
    gnutls_datum_t der;

    CHECK(gnutls_x509_privkey_init(&signer->key));
    CHECK(gnutls_x509_privkey_generate(signer->key, algorithm, bits, 0));
    CHECK(gnutls_x509_crt_init(&signer->crt));
    set_up_certificate(signer->crt, common_name, ca);
    CHECK(gnutls_x509_crt_set_key(signer->crt, signer->key));
    CHECK(gnutls_x509_crt_sign2(signer->crt, issuer ? issuer->crt : signer->crt,
                                issuer ? issuer->key : signer->key, GNUTLS_DIG_SHA256, 0));
    CHECK(gnutls_x509_crt_export2(signer->crt, GNUTLS_X509_FMT_DER, &der));
    signer->der = g_bytes_new(der.data, der.size);
    gnutls_free(der.data);
    return signer;
}

void signer_free(Signer *signer)
{
    gnutls_x509_privkey_deinit(signer->key);
    gnutls_x509_crt_deinit(signer->crt);
    g_bytes_unref(signer->der);
    g_free(signer);
}

/* DER sorts the certificates; messages of others come in any order, so put ours in the one asked
 * for. */
static void order_certificates(gnutls_datum_t *der, const Signer *const *certificates)
{
    uint8_t *start = NULL;

    for (size_t i = 0; certificates[i]; i++) {
        gsize size;
        const void *bytes = g_bytes_get_data(certificates[i]->der, &size);
        uint8_t *found = memmem(der->data, der->size, bytes, size);

        g_assert_nonnull(found);
        start = !start || found < start ? found : start;
    }
    for (size_t i = 0; certificates[i]; i++) {
        gsize size;
        const void *bytes = g_bytes_get_data(certificates[i]->der, &size);

        memcpy(start, bytes, size);
        start += size;
    }
}

GBytes *sign_pkcs7(const Signer *signer, gnutls_digest_algorithm_t digest, GBytes *content,
                   const Signer *const *certificates)
{
    gnutls_pkcs7_t pkcs7;
    gnutls_privkey_t key;
    gnutls_datum_t der;
    gsize size;
    const void *bytes = g_bytes_get_data(content, &size);
    const gnutls_datum_t data = {(unsigned char *)bytes, size};

    CHECK(gnutls_pkcs7_init(&pkcs7));
    CHECK(gnutls_privkey_init(&key));
    CHECK(gnutls_privkey_import_x509(key, signer->key, 0));
    for (size_t i = 0; certificates[i]; i++)
        CHECK(gnutls_pkcs7_set_crt(pkcs7, certificates[i]->crt));
    CHECK(gnutls_pkcs7_sign(pkcs7, signer->crt, key, &data, NULL, NULL, digest, 0));
    CHECK(gnutls_pkcs7_export2(pkcs7, GNUTLS_X509_FMT_DER, &der));
    order_certificates(&der, certificates);
    GBytes *result = g_bytes_new(der.data, der.size);
    gnutls_free(der.data);
    gnutls_privkey_deinit(key);
    gnutls_pkcs7_deinit(pkcs7);
    return result;
}

GBytes *sign_unwrap(GBytes *content_info)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(content_info, &size);

    /* SEQUENCE, OID, [0], all with two bytes of length. */
    g_assert_cmpuint(size, >, 19);
    g_assert_cmpuint(bytes[1], ==, 0x82);
    g_assert_cmpuint(bytes[15], ==, 0xa0);
    g_assert_cmpuint(bytes[16], ==, 0x82);
    return g_bytes_new_from_bytes(content_info, 19, size - 19);
}

static const UvGuid x509_type =
    UV_GUID(0xa5c059a1, 0x94e4, 0x4aa7, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72);
static const UvGuid sha256_type =
    UV_GUID(0xc1c41626, 0x504c, 0x4092, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28);

static void start_list(UvWriter *writer, const UvGuid *type, size_t signature_bytes, size_t count)
{
    *writer = uv_writer(65536);
    uv_write_bytes(writer, type->bytes, sizeof(type->bytes));
    uv_write_u32(writer, EFI_SIGLIST_HEADER_BYTES + signature_bytes * count);
    uv_write_u32(writer, 0);
    uv_write_u32(writer, signature_bytes);
}

GBytes *sign_list(const Signer *signer)
{
    g_auto(UvWriter) writer = {0};
    gsize size;
    const void *der = g_bytes_get_data(signer->der, &size);

    start_list(&writer, &x509_type, size + 16, 1);
    uv_write_zeros(&writer, 16);
    uv_write_bytes(&writer, der, size);
    return uv_writer_steal(&writer);
}

GBytes *sign_hash_list(uint8_t owner, const uint8_t *hashes, size_t count)
{
    g_auto(UvWriter) writer = {0};

    start_list(&writer, &sha256_type, 48, count);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < 48; j++)
            uv_write_u8(&writer, j < 16 ? owner : hashes[i]);
    }
    return uv_writer_steal(&writer);
}

void sign_time(unsigned second, uint8_t ret_time[16])
{
    memset(ret_time, 0, 16);
    ret_time[0] = 2026 & 0xff;
    ret_time[1] = 2026 >> 8;
    ret_time[2] = 1;
    ret_time[3] = 1;
    ret_time[5] = second / 60;
    ret_time[6] = second % 60;
}

GBytes *sign_content(const UvGuid *guid, const char *name, uint32_t attributes,
                     const uint8_t time[16], GBytes *content)
{
    g_autoptr(UvName) units = uv_name_new_utf8(name, NULL);
    gsize size;
    const void *bytes = g_bytes_get_data(content, &size);
    g_auto(UvWriter) writer = uv_writer(262144);

    uv_write_bytes(&writer, uv_name_utf16le(units), 2 * uv_name_units(units));
    uv_write_bytes(&writer, guid->bytes, sizeof(guid->bytes));
    uv_write_u32(&writer, attributes);
    uv_write_bytes(&writer, time, 16);
    uv_write_bytes(&writer, bytes, size);
    return uv_writer_steal(&writer);
}

GBytes *sign_write_with(GBytes *pkcs7, const uint8_t time[16], GBytes *content)
{
    gsize pkcs7_bytes, content_bytes;
    const void *signature = g_bytes_get_data(pkcs7, &pkcs7_bytes);
    const void *bytes = g_bytes_get_data(content, &content_bytes);
    g_auto(UvWriter) writer = uv_writer(262144);

    uv_write_bytes(&writer, time, 16);
    uv_write_u32(&writer, EFI_WIN_CERT_HEADER_BYTES + pkcs7_bytes);
    uv_write_u16(&writer, EFI_WIN_CERT_REVISION);
    uv_write_u16(&writer, EFI_WIN_CERT_TYPE_EFI_GUID);
    uv_write_bytes(&writer, uv_guid_cert_type_pkcs7.bytes, 16);
    uv_write_bytes(&writer, signature, pkcs7_bytes);
    uv_write_bytes(&writer, bytes, content_bytes);
    return uv_writer_steal(&writer);
}

GBytes *sign_write(const Signer *signer, const UvGuid *guid, const char *name, uint32_t attributes,
                   unsigned second, GBytes *content)
{
    g_autoptr(GBytes) pkcs7 = NULL;
    uint8_t time[16];

    sign_time(second, time);
    if (signer) {
        g_autoptr(GBytes) all = sign_content(guid, name, attributes, time, content);
        g_autoptr(GBytes) wrapped =
            sign_pkcs7(signer, GNUTLS_DIG_SHA256, all, (const Signer *const[]){signer, NULL});
        pkcs7 = sign_unwrap(wrapped);
    } else {
        pkcs7 = g_bytes_new(NULL, 0);
    }
    return sign_write_with(pkcs7, time, content);
}
