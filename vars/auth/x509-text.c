/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "x509-text.h"

#include <string.h>

#include "der.h"
#include "pkcs7.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"
#define PEM_LINE_BYTES 48u /* 64 characters */
#define COMMON_NAME_MAX 256u

/* What a name's text may be (RFC 5280, appendix A: DirectoryString) whose characters are not bytes
 * of UTF-8 or ASCII. */
#define DER_BMP_STRING 0x1e

/* ---- names and times ---- */

/* Two bytes a character, the higher one first. */
static char *text_of_bmp(const uint8_t *bytes, size_t size)
{
    gunichar2 units[COMMON_NAME_MAX / 2] = {0};

    for (size_t i = 0; i < size / 2; i++)
        units[i] = (gunichar2)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    return g_utf16_to_utf8(units, (glong)(size / 2), NULL, NULL, NULL);
}

static char *text_of(const uint8_t *element, const UvReader *content)
{
    if (content->left > COMMON_NAME_MAX)
        return NULL;
    return *element == DER_BMP_STRING
               ? text_of_bmp(content->at, content->left)
               : g_utf8_make_valid((const char *)content->at,
                                   (gssize)strnlen((const char *)content->at, content->left));
}

/* The first one of a Name (RFC 5280, 4.1.2.4): sequences of type and value, in sets. */
static char *common_name(UvReader *name)
{
    static const uint8_t type[] = {0x55, 4, 3}; /* 2.5.4.3 */
    UvReader set, pair, oid, value;

    while (der_next(name, DER_SET, &set)) {
        while (der_next(&set, DER_SEQUENCE, &pair)) {
            if (!der_next(&pair, DER_OID, &oid) || pair.left == 0 || oid.left != sizeof(type) ||
                memcmp(oid.at, type, sizeof(type)) != 0)
                continue;
            const uint8_t *element = pair.at;
            return der_next(&pair, *element, &value) ? text_of(element, &value) : NULL;
        }
    }
    return NULL;
}

/* -1: others. */
static int two_digits(const uint8_t *at)
{
    return g_ascii_isdigit(at[0]) && g_ascii_isdigit(at[1]) ? (at[0] - '0') * 10 + at[1] - '0' : -1;
}

/* YYMMDDHHMMSSZ of the years from 1950 on, or with four digits of the year (RFC 5280, 4.1.2.5). */
static int64_t read_time(UvReader *times)
{
    UvReader time;
    const bool is_short = der_next(times, DER_UTC_TIME, &time);
    int parts[6];

    if (!is_short && !der_next(times, DER_GENERALIZED_TIME, &time))
        return -1;
    const size_t first = is_short ? 0 : 2;
    if (time.left != first + 2 * G_N_ELEMENTS(parts) + 1 || time.at[time.left - 1] != 'Z')
        return -1;
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        parts[i] = two_digits(time.at + first + 2 * i);
    const int century = !is_short ? two_digits(time.at) : parts[0] < 50 ? 20 : 19;
    if (century < 0 || parts[0] < 0)
        return -1;
    g_autoptr(GDateTime) when = g_date_time_new_utc(100 * century + parts[0], parts[1], parts[2],
                                                    parts[3], parts[4], parts[5]);
    return when ? g_date_time_to_unix(when) : -1;
}

/* ---- a certificate ---- */

/* Goes to its end of validity and to its subject (RFC 5280, 4.1). */
static void read_certificate(const uint8_t *bytes, size_t size, UvX509Text *text)
{
    UvReader at = uv_reader(bytes, size), skipped, validity, subject;

    if (!der_next(&at, DER_SEQUENCE, &at) || !der_next(&at, DER_SEQUENCE, &at))
        return;
    (void)der_next(&at, DER_CONTEXT_0, &skipped); /* the version, if it is told */
    if (!der_next(&at, DER_INTEGER, &skipped) || !der_next(&at, DER_SEQUENCE, &skipped) ||
        !der_next(&at, DER_SEQUENCE, &skipped) || !der_next(&at, DER_SEQUENCE, &validity) ||
        !der_next(&at, DER_SEQUENCE, &subject))
        return;
    if (der_next(&validity, DER_UTC_TIME, &skipped) ||
        der_next(&validity, DER_GENERALIZED_TIME, &skipped))
        text->valid_until = read_time(&validity);
    text->common_name = common_name(&subject);
}

void uv_x509_describe(const uint8_t *bytes, size_t size, UvX509Text *ret_text)
{
    *ret_text = (UvX509Text){.valid_until = -1};
    g_autofree char *sha256 = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, size);
    g_strlcpy(ret_text->sha256, sha256, sizeof(ret_text->sha256));
    read_certificate(bytes, size, ret_text);
}

void uv_x509_text_clear(UvX509Text *text)
{
    g_clear_pointer(&text->common_name, g_free);
}

/* ---- PEM ---- */

char *uv_x509_to_pem(const uint8_t *bytes, size_t size)
{
    g_autoptr(GString) text = g_string_new(PEM_BEGIN "\n");

    for (size_t at = 0; at < size; at += PEM_LINE_BYTES) {
        g_autofree char *line = g_base64_encode(bytes + at, MIN(size - at, PEM_LINE_BYTES));
        g_string_append_printf(text, "%s\n", line);
    }
    g_string_append(text, PEM_END "\n");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool add_certificate(GPtrArray *certificates, const uint8_t *bytes, size_t size)
{
    if (!uv_x509_parses(bytes, size))
        return false;
    g_ptr_array_add(certificates, g_bytes_new(bytes, size));
    return true;
}

/* What stands between the two lines. */
static bool add_pem(GPtrArray *certificates, const char *text, size_t size)
{
    static const char known[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
                                " \t\r\n";
    g_autofree char *base64 = g_strndup(text, size);
    gsize bytes;

    if (base64[strspn(base64, known)] != '\0')
        return false;
    g_autofree guchar *der = g_base64_decode(base64, &bytes);
    return add_certificate(certificates, der, bytes);
}

GPtrArray *uv_x509_from_bytes(const uint8_t *bytes, size_t size)
{
    g_autoptr(GPtrArray) certificates =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    const char *at = (const char *)bytes, *end = at + size;
    DerElement whole;
    UvReader reader = uv_reader(bytes, size);

    if (der_next_whole(&reader, DER_SEQUENCE, &whole) && uv_reader_done(&reader))
        return add_certificate(certificates, bytes, size) ? g_steal_pointer(&certificates) : NULL;
    while (at && (at = g_strstr_len(at, end - at, PEM_BEGIN))) {
        const char *stop = g_strstr_len(at, end - at, PEM_END);

        at += strlen(PEM_BEGIN);
        if (!stop || stop < at || !add_pem(certificates, at, (size_t)(stop - at)))
            return NULL;
        at = stop;
    }
    return certificates->len > 0 ? g_steal_pointer(&certificates) : NULL;
}
