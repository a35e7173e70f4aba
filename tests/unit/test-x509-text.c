/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is told of certificates, beside what GnuTLS says of the same. */

#include "x509-text.h"

#include <string.h>

#include "signing.h"

#define UTF8_STRING 0x0c
#define BMP_STRING 0x1e
#define UTC_TIME 0x17
#define GENERALIZED_TIME 0x18

static void append(GByteArray *to, uint8_t tag, const void *bytes, size_t size)
{
    const uint8_t header[] = {tag, 0x82, (uint8_t)(size >> 8), (uint8_t)size};

    g_byte_array_append(to, header, sizeof(header));
    g_byte_array_append(to, bytes, (guint)size);
}

static void append_array(GByteArray *to, uint8_t tag, const GByteArray *from)
{
    append(to, tag, from->data, from->len);
}

/* Up to its subject: what follows is not looked at. */
static GBytes *make(uint8_t tag, const void *name, size_t name_bytes, uint8_t time_tag,
                    const char *time)
{
    g_autoptr(GByteArray) pair = g_byte_array_new(), sequence = g_byte_array_new(),
                          subject = g_byte_array_new(), times = g_byte_array_new(),
                          tbs = g_byte_array_new(), inner = g_byte_array_new();
    GByteArray *whole = g_byte_array_new();

    append(pair, 0x06, "\x55\4\3", 3);
    append(pair, tag, name, name_bytes);
    append_array(sequence, 0x30, pair);
    append_array(subject, 0x31, sequence);
    append(times, UTC_TIME, "200101000000Z", 13);
    append(times, time_tag, time, strlen(time));
    append(tbs, 0x02, "\1", 1);
    append(tbs, 0x30, "", 0);
    append(tbs, 0x30, "", 0);
    append_array(tbs, 0x30, times);
    append_array(tbs, 0x30, subject);
    append_array(inner, 0x30, tbs);
    append_array(whole, 0x30, inner);
    return g_byte_array_free_to_bytes(whole);
}

static void describe(GBytes *der, UvX509Text *ret_text)
{
    gsize size;
    const void *bytes = g_bytes_get_data(der, &size);

    uv_x509_describe(bytes, size, ret_text);
}

static void check_made(uint8_t tag, const void *name, size_t name_bytes, const char *expected)
{
    g_autoptr(GBytes) der = make(tag, name, name_bytes, UTC_TIME, "491231235959Z");
    g_auto(UvX509Text) text = {0};

    describe(der, &text);
    g_assert_cmpstr(text.common_name, ==, expected);
    g_assert_cmpint(text.valid_until, ==, 2524607999);
}

static void test_names(void)
{
    char large[257];

    memset(large, 'x', sizeof(large));
    check_made(UTF8_STRING, "\xc3\xa4 b", 4, "\xc3\xa4 b");
    check_made(UTF8_STRING, "a\xff", 2, "a\xef\xbf\xbd");
    check_made(UTF8_STRING, "a\0b", 3, "a");
    check_made(BMP_STRING, "\0a\x20\xac", 4, "a\xe2\x82\xac");
    check_made(BMP_STRING, "\xd8\0\0a", 4, NULL);
    check_made(UTF8_STRING, large, sizeof(large), NULL);
    check_made(UTF8_STRING, "", 0, "");
}

static void test_times(void)
{
    static const struct {
        uint8_t tag;
        const char *text;
        int64_t expected;
    } cases[] = {
        {UTC_TIME, "700101000000Z", 0},
        {UTC_TIME, "500101000000Z", -631152000},
        {UTC_TIME, "7001010000Z", -1},
        {UTC_TIME, "700101000000+0100", -1},
        {UTC_TIME, "x00101000000Z", -1},
        {UTC_TIME, "701301000000Z", -1},
        {UTC_TIME, "", -1},
        {GENERALIZED_TIME, "20260101000000Z", 1767225600},
        {GENERALIZED_TIME, "99991231235959Z", 253402300799},
        {GENERALIZED_TIME, "20260101000000.5Z", -1},
        {GENERALIZED_TIME, "260101000000Z", -1},
        {0x13, "700101000000Z", -1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GBytes) der = make(UTF8_STRING, "n", 1, cases[i].tag, cases[i].text);
        g_auto(UvX509Text) text = {0};

        describe(der, &text);
        g_assert_cmpint(text.valid_until, ==, cases[i].expected);
        g_assert_cmpstr(text.common_name, ==, "n");
    }
}

static void test_as_gnutls_says(void)
{
    static const char *const names[] = {"plain", "Two Words 2023", "\xc3\xa4\xe2\x82\xac"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(Signer) signer = signer_new(names[i], GNUTLS_PK_ECDSA, 256, NULL, true);
        g_auto(UvX509Text) text = {0};
        char name[256];
        size_t size = sizeof(name);

        g_assert_cmpint(gnutls_x509_crt_get_dn_by_oid(signer->crt, GNUTLS_OID_X520_COMMON_NAME, 0,
                                                      0, name, &size),
                        >=, 0);
        describe(signer->der, &text);
        g_assert_cmpstr(text.common_name, ==, name);
        g_assert_cmpint(text.valid_until, ==, gnutls_x509_crt_get_expiration_time(signer->crt));
    }
}

/* With any one byte changed it is read as far as it goes, and no further than it is long. */
static void test_damaged(void)
{
    g_autoptr(GBytes) whole = make(UTF8_STRING, "name", 4, UTC_TIME, "491231235959Z");
    const gsize size = g_bytes_get_size(whole);

    for (gsize at = 0; at < size; at++) {
        g_autofree uint8_t *copy = g_memdup2(g_bytes_get_data(whole, NULL), size);
        g_auto(UvX509Text) text = {0};

        copy[at] ^= 0xff;
        uv_x509_describe(copy, size, &text);
        g_assert_cmpuint(strlen(text.sha256), ==, UV_X509_SHA256_HEX);
        g_assert_true(!text.common_name || g_utf8_validate(text.common_name, -1, NULL));
    }
}

static void test_pem(void)
{
    g_autoptr(Signer) signer = signer_new("pem", GNUTLS_PK_ECDSA, 256, NULL, true);
    gnutls_datum_t pem;
    gsize size;
    const void *bytes = g_bytes_get_data(signer->der, &size);
    g_autofree char *text = uv_x509_to_pem(bytes, size);

    g_assert_cmpint(gnutls_x509_crt_export2(signer->crt, GNUTLS_X509_FMT_PEM, &pem), >=, 0);
    g_assert_cmpmem(text, strlen(text), pem.data, pem.size);
    gnutls_free(pem.data);
    g_autofree char *twice = g_strconcat("before\n", text, text, "behind", NULL);
    g_autoptr(GPtrArray) read = uv_x509_from_bytes((const uint8_t *)twice, strlen(twice));
    g_assert_nonnull(read);
    g_assert_cmpuint(read->len, ==, 2);
    g_assert_true(g_bytes_equal(read->pdata[1], signer->der));
}

static void test_bad_pem(void)
{
    static const char *const bad[] = {
        "",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nM!A\n-----END CERTIFICATE-----\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_null(uv_x509_from_bytes((const uint8_t *)bad[i], strlen(bad[i])));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/x509-text/names", test_names);
    g_test_add_func("/x509-text/times", test_times);
    g_test_add_func("/x509-text/as-gnutls-says", test_as_gnutls_says);
    g_test_add_func("/x509-text/damaged", test_damaged);
    g_test_add_func("/x509-text/pem", test_pem);
    g_test_add_func("/x509-text/bad-pem", test_bad_pem);
    return g_test_run();
}
