/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "digest.h"

#include <string.h>

/* Of the process. */
static UvDigestFunction faster;

void uv_digest_use(UvDigestFunction function)
{
    faster = function;
}

void uv_digest_of_two(const void *a, size_t a_size, const void *b, size_t b_size,
                      UvDigest *ret_digest)
{
    gsize size = sizeof(ret_digest->bytes);

    if (faster && faster(a, a_size, b, b_size, ret_digest))
        return;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    if (a_size > 0)
        g_checksum_update(checksum, a, (gssize)a_size);
    if (b_size > 0)
        g_checksum_update(checksum, b, (gssize)b_size);
    g_checksum_get_digest(checksum, ret_digest->bytes, &size);
}

void uv_digest_of(const void *bytes, size_t size, UvDigest *ret_digest)
{
    uv_digest_of_two(bytes, size, NULL, 0, ret_digest);
}

UvDigest uv_digest_of_bytes(GBytes *bytes)
{
    gsize size = 0;
    const void *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;
    UvDigest digest;

    uv_digest_of(data, size, &digest);
    return digest;
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
