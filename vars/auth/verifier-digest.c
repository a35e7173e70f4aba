/* SPDX-License-Identifier: GPL-2.0-or-later */

/* SHA-256 with what the processor has for it, as GnuTLS is there anyway. */

#include <gnutls/crypto.h>

#include "verifier.h"

bool uv_verifier_digest(const void *a, size_t a_size, const void *b, size_t b_size,
                        UvDigest *ret_digest)
{
    gnutls_hash_hd_t hash;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) != 0)
        return false;
    const bool done = (a_size == 0 || gnutls_hash(hash, a, a_size) == 0) &&
                      (b_size == 0 || gnutls_hash(hash, b, b_size) == 0);
    gnutls_hash_deinit(hash, done ? ret_digest->bytes : NULL);
    return done;
}
