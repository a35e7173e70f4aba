/* SPDX-License-Identifier: GPL-2.0-or-later */

/* uefivars-verify.so: what the engine finds in it. */

#include "verifier.h"

const UvVerifier uv_verifier = {
    .parse = uv_pkcs7_parse,
    .free = uv_pkcs7_free,
    .signs = uv_pkcs7_signs,
    .chains_to = uv_pkcs7_chains_to,
    .signer_is = uv_pkcs7_signer_is,
    .identity = uv_pkcs7_identity,
    .identity_edk2 = uv_pkcs7_identity_edk2,
    .identity_is = uv_pkcs7_identity_is,
    .x509_parses = uv_x509_parses,
    .digest = uv_verifier_digest,
};
