/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "x509-text.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#include "der.h"
#include "pkcs7.h"
#include "uv-limits.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"
#define COMMON_NAME_MAX 256

/* Whether it begins like a certificate (RFC 5280, 4.1) with names that GnuTLS can be given: nothing
 * else is worth its time. */
static bool is_affordable(const uint8_t *bytes, size_t size)
{
    DerElement issuer, subject;
    UvReader at, skipped;

    uv_reader_init(&at, bytes, size);
    if (!der_next(&at, DER_SEQUENCE, &at) || !der_next(&at, DER_SEQUENCE, &at))
        return false;
    (void)der_next(&at, DER_CONTEXT_0, &skipped); /* the version, if it is told */
    return der_next(&at, DER_INTEGER, &skipped) && der_next(&at, DER_SEQUENCE, &skipped) &&
           der_next_whole(&at, DER_SEQUENCE, &issuer) && der_next(&at, DER_SEQUENCE, &skipped) &&
           der_next_whole(&at, DER_SEQUENCE, &subject) && issuer.size <= UV_X509_NAME_BYTES_MAX &&
           subject.size <= UV_X509_NAME_BYTES_MAX;
}

static char *common_name(gnutls_x509_crt_t crt)
{
    char name[COMMON_NAME_MAX];
    size_t size = sizeof(name);

    if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) < 0)
        return NULL;
    return g_utf8_make_valid(name, (gssize)strnlen(name, sizeof(name)));
}

void uv_x509_describe(const uint8_t *bytes, size_t size, UvX509Text *ret_text)
{
    const gnutls_datum_t datum = {(unsigned char *)bytes, (unsigned)size};
    gnutls_x509_crt_t crt;

    *ret_text = (UvX509Text){.valid_until = -1};
    g_autofree char *sha256 = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, size);
    g_strlcpy(ret_text->sha256, sha256, sizeof(ret_text->sha256));
    if (!is_affordable(bytes, size) || gnutls_x509_crt_init(&crt) < 0)
        return;
    if (gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_DER) >= 0) {
        ret_text->common_name = common_name(crt);
        ret_text->valid_until = gnutls_x509_crt_get_expiration_time(crt);
    }
    gnutls_x509_crt_deinit(crt);
}

void uv_x509_text_clear(UvX509Text *text)
{
    g_clear_pointer(&text->common_name, g_free);
}

char *uv_x509_to_pem(const uint8_t *bytes, size_t size)
{
    const gnutls_datum_t datum = {(unsigned char *)bytes, (unsigned)size};
    gnutls_datum_t pem;

    if (gnutls_pem_base64_encode2("CERTIFICATE", &datum, &pem) < 0)
        return g_strdup("");
    char *text = g_strndup((const char *)pem.data, pem.size);
    gnutls_free(pem.data);
    return text;
}

static bool add_certificate(GPtrArray *certificates, const uint8_t *bytes, size_t size)
{
    if (!uv_x509_parses(bytes, size))
        return false;
    g_ptr_array_add(certificates, g_bytes_new(bytes, size));
    return true;
}

static bool add_pem(GPtrArray *certificates, const char *text, size_t size)
{
    const gnutls_datum_t datum = {(unsigned char *)text, (unsigned)size};
    gnutls_datum_t der;

    if (gnutls_pem_base64_decode2("CERTIFICATE", &datum, &der) < 0)
        return false;
    const bool added = add_certificate(certificates, der.data, der.size);
    gnutls_free(der.data);
    return added;
}

GPtrArray *uv_x509_from_bytes(const uint8_t *bytes, size_t size)
{
    g_autoptr(GPtrArray) certificates =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    const char *at = (const char *)bytes, *end = at + size;
    DerElement whole;
    UvReader reader;

    uv_reader_init(&reader, bytes, size);
    if (der_next_whole(&reader, DER_SEQUENCE, &whole) && uv_reader_done(&reader))
        return add_certificate(certificates, bytes, size) ? g_steal_pointer(&certificates) : NULL;
    while (at && (at = g_strstr_len(at, end - at, PEM_BEGIN))) {
        const char *stop = g_strstr_len(at, end - at, PEM_END);

        if (!stop || !add_pem(certificates, at, (size_t)(stop - at) + strlen(PEM_END)))
            return NULL;
        at = stop;
    }
    return certificates->len > 0 ? g_steal_pointer(&certificates) : NULL;
}
