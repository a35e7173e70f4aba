/* SPDX-License-Identifier: GPL-2.0-or-later */

/* PKCS#7 as it stands in an authentication header, bare or wrapped; what it signs is fixed. */

#include "fuzz.h"

#include "keys.h"
#include "pkcs7.h"

static void judge(UvPkcs7 *pkcs7)
{
    static const uint8_t content[] = "something to sign";
    g_autoptr(GBytes) identity = NULL, identity_edk2 = NULL;

    (void)!uv_pkcs7_signs(pkcs7, content, sizeof(content) - 1);
    (void)!uv_pkcs7_chains_to(pkcs7, fuzz_certificate, sizeof(fuzz_certificate));
    (void)uv_pkcs7_signer_is(pkcs7, fuzz_certificate, sizeof(fuzz_certificate));
    identity = uv_pkcs7_identity(pkcs7);
    identity_edk2 = uv_pkcs7_identity_edk2(pkcs7);
    if (identity)
        (void)uv_pkcs7_identity_is(pkcs7, g_bytes_get_data(identity, NULL),
                                   g_bytes_get_size(identity));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(UvPkcs7) pkcs7 = uv_pkcs7_parse(data, size);

    if (pkcs7)
        judge(pkcs7);
    (void)uv_x509_parses(data, size);
    return 0;
}
