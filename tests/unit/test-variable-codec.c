/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One variable as bytes; the layouts of old versions are tried by test-old-state.c. */

#include <string.h>

#include "efi-abi.h"
#include "uv-limits.h"
#include "variable-codec.h"

static UvVariable *variable(uint32_t attributes, size_t digest_bytes)
{
    g_autoptr(UvName) name = uv_name_new_utf8("Näme", NULL);
    g_autoptr(GBytes) data = g_bytes_new("data", 4);
    g_autofree char *text = g_strnfill(digest_bytes, 'd');
    g_autoptr(GBytes) digest = digest_bytes ? g_bytes_new(text, digest_bytes) : NULL;
    UvVariable fields = {
        .guid = uv_guid_global_variable,
        .name = name,
        .attributes = attributes,
        .data = data,
        .digest = digest,
        .mtime_ns = -5,
        .monotonic_count = UINT64_MAX,
        .pubkey_index = 9,
    };

    memset(fields.time, 3, sizeof(fields.time));
    return uv_variable_new(&fields);
}

static GBytes *encode(const UvVariable *variable)
{
    g_auto(UvWriter) writer = uv_writer(4096);

    uv_variable_write(&writer, variable);
    return uv_writer_steal(&writer);
}

static UvVariable *decode(const void *bytes, size_t size)
{
    UvVariable *variable;
    UvReader reader = uv_reader(bytes, size);

    variable = uv_variable_read(&reader, UV_VARIABLE_LAYOUT);
    g_assert_true(!variable || uv_reader_done(&reader));
    return variable;
}

static void test_round_trip(void)
{
    static const size_t digests[] = {0, 32, UV_SIGNER_DIGEST_MAX};

    for (size_t i = 0; i < G_N_ELEMENTS(digests); i++) {
        g_autoptr(UvVariable) before = variable(0x27, digests[i]), after = NULL;
        g_autoptr(GBytes) bytes = encode(before);

        after = decode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        g_assert_true(uv_variable_same_key(before, after));
        g_assert_true(uv_variable_same(before, after));
        g_assert_cmpint(after->mtime_ns, ==, -5);
        g_assert_cmpuint(after->monotonic_count, ==, UINT64_MAX);
        g_assert_cmpuint(after->pubkey_index, ==, 9);
    }
}

static void test_cut_short(void)
{
    g_autoptr(UvVariable) whole = variable(7, 32);
    g_autoptr(GBytes) bytes = encode(whole);
    const size_t size = g_bytes_get_size(bytes);

    g_assert_cmpuint(size, >=, UV_VARIABLE_LAYOUT_BYTES_MIN);
    for (size_t left = 0; left < size; left++)
        g_assert_null(decode(g_bytes_get_data(bytes, NULL), left));
}

/* One number at a time becomes what none may be. */
static void test_refused(void)
{
    static const struct {
        size_t offset;
        uint32_t value;
    } wrong[] = {
        {16, 0x80 | 7},                      /* attributes: unknown */
        {16, EFI_VARIABLE_APPEND_WRITE | 7}, /* an act, not a property */
        {20, 0},                             /* no name */
        {20, 7},                             /* half a character */
        {20, UINT32_MAX},                    /* more than there is */
        {32, UINT32_MAX},                    /* data, likewise */
    };
    g_autoptr(UvVariable) fine = variable(7, 0),
                          long_digest = variable(7, UV_SIGNER_DIGEST_MAX + 1);
    g_autoptr(GBytes) bytes = encode(fine), with_long_digest = encode(long_digest);

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        const uint32_t value = GUINT32_TO_LE(wrong[i].value);
        g_autofree uint8_t *copy =
            g_memdup2(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));

        memcpy(copy + wrong[i].offset, &value, 4);
        g_assert_null(decode(copy, g_bytes_get_size(bytes)));
    }
    g_assert_null(
        decode(g_bytes_get_data(with_long_digest, NULL), g_bytes_get_size(with_long_digest)));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/variable-codec/round-trip", test_round_trip);
    g_test_add_func("/variable-codec/cut-short", test_cut_short);
    g_test_add_func("/variable-codec/refused", test_refused);
    return g_test_run();
}
