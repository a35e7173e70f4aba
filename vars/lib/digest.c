/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "digest.h"

#include <nettle/sha2.h>
#include <nettle/version.h>
#include <string.h>

#if NETTLE_VERSION_MAJOR < 4
#define DIGEST(context, bytes) sha256_digest(context, SHA256_DIGEST_SIZE, bytes)
#else
#define DIGEST(context, bytes) sha256_digest(context, bytes)
#endif

G_STATIC_ASSERT(UV_DIGEST_BYTES == SHA256_DIGEST_SIZE);

/* Nettle's, as it uses the processor's instructions for it: a change of a variable is hashed
 * several times while a guest waits. */
void uv_digest_of_two(const void *a, size_t a_size, const void *b, size_t b_size,
                      UvDigest *ret_digest)
{
    struct sha256_ctx context;

    sha256_init(&context);
    if (a_size > 0)
        sha256_update(&context, a_size, a);
    if (b_size > 0)
        sha256_update(&context, b_size, b);
    DIGEST(&context, ret_digest->bytes);
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
