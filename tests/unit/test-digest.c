/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "digest.h"

#include "verifier.h"

#include <string.h>

/* FIPS 180-4's examples, whole and in two pieces. */
static void assert_digests(void)
{
    static const struct {
        const char *text;
        uint8_t begins[4];
    } known[] = {
        {"", {0xe3, 0xb0, 0xc4, 0x42}},
        {"abc", {0xba, 0x78, 0x16, 0xbf}},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", {0x24, 0x8d, 0x6a, 0x61}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        const size_t size = strlen(known[i].text);

        for (size_t at = 0; at <= size; at++) {
            UvDigest digest;

            uv_digest_of_two(known[i].text, at, known[i].text + at, size - at, &digest);
            g_assert_cmpmem(digest.bytes, 4, known[i].begins, 4);
        }
    }
}

static void test_of_glib(void)
{
    assert_digests();
}

static unsigned calls;

static bool counting(const void *a, size_t a_size, const void *b, size_t b_size,
                     UvDigest *ret_digest)
{
    calls++;
    return uv_verifier_digest(a, a_size, b, b_size, ret_digest);
}

static void test_of_the_verifier(void)
{
    uv_digest_use(counting);
    assert_digests();
    uv_digest_use(NULL);
    g_assert_cmpuint(calls, >, 0);
}

static bool failing(const void *a, size_t a_size, const void *b, size_t b_size,
                    UvDigest *ret_digest)
{
    memset(ret_digest, 0, sizeof(*ret_digest));
    return false;
}

static void test_of_one_that_fails(void)
{
    uv_digest_use(failing);
    assert_digests();
    uv_digest_use(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/digest/of-glib", test_of_glib);
    g_test_add_func("/digest/of-the-verifier", test_of_the_verifier);
    g_test_add_func("/digest/of-one-that-fails", test_of_one_that_fails);
    return g_test_run();
}
