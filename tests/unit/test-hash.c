/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "hash.h"

#include "name.h"

/* The vectors of the paper's reference implementation: key 00 01 02 ..., input 00 01 02 ... */
static void test_vectors(void)
{
    static const struct {
        size_t size;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31},
        {1, 0x74f839c593dc67fd},
        {8, 0x93f5f5799a932462},
        {15, 0xa129ca6149be45e5},
    };
    uint8_t bytes[16];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = i;
    for (size_t i = 0; i < G_N_ELEMENTS(vectors); i++)
        g_assert_cmphex(uv_siphash(bytes, bytes, vectors[i].size), ==, vectors[i].hash);
}

/* Names that collide in FNV-1a, which is what the table of variables used once. */
static void test_no_known_collisions(void)
{
    g_autoptr(UvName) a = uv_name_new_utf8("RMAHEMUN", NULL);
    g_autoptr(UvName) b = uv_name_new_utf8("HCEIGDNG", NULL);
    UvGuid x = {{1}}, y = {{1, 1}};

    g_assert_cmphex(uv_name_hash(a), !=, uv_name_hash(b));
    g_assert_cmphex(uv_guid_hash(&x), !=, uv_guid_hash(&y));
    g_assert_cmphex(g_str_hash("AbC"), ==, g_str_hash("BAC"));
    g_assert_cmphex(uv_hash_text("AbC"), !=, uv_hash_text("BAC"));
    g_assert_cmphex(uv_hash_text("AbC"), ==, uv_hash("AbC", 3));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hash/vectors", test_vectors);
    g_test_add_func("/hash/no-known-collisions", test_no_known_collisions);
    return g_test_run();
}
