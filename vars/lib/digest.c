/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "digest.h"

#include <gnutls/crypto.h>
#include <string.h>

/* GnuTLS's, as it uses the processor's instructions for it: a change of a variable is hashed
 * several times while a guest waits. */
void uv_digest_of_two(const void *a, size_t a_size, const void *b, size_t b_size,
                      UvDigest *ret_digest)
{
    gnutls_hash_hd_t hash;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
        g_error("SHA-256 is not to be had");
    if (a_size > 0)
        gnutls_hash(hash, a, a_size);
    if (b_size > 0)
        gnutls_hash(hash, b, b_size);
    gnutls_hash_deinit(hash, ret_digest->bytes);
}

void uv_digest_of(const void *bytes, size_t size, UvDigest *ret_digest)
{
    uv_digest_of_two(bytes, size, NULL, 0, ret_digest);
}

uint64_t uv_crc(uint64_t polynomial, uint64_t ones, uint64_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    crc ^= ones;
    for (; size > 0; at++, size--) {
        crc ^= *at;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    }
    return crc ^ ones;
}

bool uv_digest_equal(const UvDigest *a, const UvDigest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
