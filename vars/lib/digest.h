/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* SHA-256, for telling contents apart and finding torn ones, and the CRCs of two formats. Nothing
 * here is for trust. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define UV_DIGEST_BYTES 32

typedef struct {
    uint8_t bytes[UV_DIGEST_BYTES];
} UvDigest;

/* Takes two pieces, one behind the other; either may be empty. false: it can't. */
typedef bool (*UvDigestFunction)(const void *a, size_t a_size, const void *b, size_t b_size,
                                 UvDigest *ret_digest);
/* From now on by `function` in place of GLib's, which needs no other library and takes five times
 * as long: a change of a variable is hashed several times while a guest waits. NULL: GLib's. */
void uv_digest_use(UvDigestFunction function);

void uv_digest_of(const void *bytes, size_t size, UvDigest *ret_digest);
UvDigest uv_digest_of_bytes(GBytes *bytes); /* NULL: of nothing */
/* Of two pieces, one behind the other. */
void uv_digest_of_two(const void *a, size_t a_size, const void *b, size_t b_size,
                      UvDigest *ret_digest);

/*
 * A reflected CRC that begins and ends with `ones`, continued from `crc` (0 at first). Bit by bit:
 * for headers, and for what is read once in the life of a store.
 */
uint64_t uv_crc(uint64_t polynomial, uint64_t ones, uint64_t crc, const void *bytes, size_t size);
bool uv_digest_equal(const UvDigest *a, const UvDigest *b);
