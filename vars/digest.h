/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* SHA-256, for telling contents apart (never for trust). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define UV_DIGEST_BYTES 32
/* As a checksum its first half is enough. */
#define UV_CHECK_BYTES 16

typedef struct {
    uint8_t bytes[UV_DIGEST_BYTES];
} UvDigest;

void uv_digest_of(const void *bytes, size_t size, UvDigest *ret_digest);
/* Of two pieces, one behind the other. */
void uv_digest_of_two(const void *a, size_t a_size, const void *b, size_t b_size,
                      UvDigest *ret_digest);
bool uv_digest_equal(const UvDigest *a, const UvDigest *b);
