/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "digest.h"

#include <string.h>

void uv_digest_of_two(const void *a, size_t a_size, const void *b, size_t b_size,
                      UvDigest *ret_digest)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = sizeof ret_digest->bytes;

    if (a_size > 0)
        g_checksum_update(checksum, a, a_size);
    if (b_size > 0)
        g_checksum_update(checksum, b, b_size);
    g_checksum_get_digest(checksum, ret_digest->bytes, &size);
}

void uv_digest_of(const void *bytes, size_t size, UvDigest *ret_digest)
{
    uv_digest_of_two(bytes, size, NULL, 0, ret_digest);
}

#define CRC64_POLYNOMIAL UINT64_C(0xc96c5795d7870f42)

/* Eight tables, so that eight bytes take one step. */
static uint64_t crc64_tables[8][256];

static void make_crc64_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ CRC64_POLYNOMIAL : crc >> 1;
        crc64_tables[0][i] = crc;
    }
    for (unsigned i = 0; i < 256; i++)
        for (int n = 1; n < 8; n++) {
            uint64_t crc = crc64_tables[n - 1][i];
            crc64_tables[n][i] = crc64_tables[0][crc & 0xff] ^ crc >> 8;
        }
}

uint64_t uv_crc64(uint64_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    if (crc64_tables[0][1] == 0)
        make_crc64_tables();
    crc = ~crc;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        crc ^= GUINT64_FROM_LE(word);
        word = 0;
        for (int n = 0; n < 8; n++)
            word ^= crc64_tables[7 - n][crc >> 8 * n & 0xff];
        crc = word;
    }
    for (; size > 0; at++, size--)
        crc = crc64_tables[0][(crc ^ *at) & 0xff] ^ crc >> 8;
    return ~crc;
}

bool uv_digest_equal(const UvDigest *a, const UvDigest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
