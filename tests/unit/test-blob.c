/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <string.h>

#include "blob.h"

#define HEADER_BYTES 48

static UvVariable *variable(const char *name, uint32_t attributes, size_t size)
{
    g_autoptr(UvName) key = uv_name_new_utf8(name, NULL);
    g_autofree char *bytes = g_malloc0(size);
    g_autoptr(GBytes) data = g_bytes_new(bytes, size);
    const UvVariable fields = {
        .guid = uv_guid_global_variable,
        .name = key,
        .attributes = attributes,
        .data = data,
        .mtime_ns = 1234567890123456789,
        .monotonic_count = 3,
    };

    return uv_variable_new(&fields);
}

static UvVarset *example(void)
{
    UvVarset *set = uv_varset_new();
    static const char *const names[] = {"Boot0000", "Boot0001", "Ü"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(UvVariable) v = variable(names[i], 7, 10 * i);
        uv_varset_put(set, v);
    }
    g_autoptr(UvVariable) volatile_one = variable("BootCurrent", 6, 2);
    uv_varset_put(set, volatile_one);
    return set;
}

static GBytes *example_blob(void)
{
    g_autoptr(UvVarset) set = example();
    g_autoptr(GBytes) session = g_bytes_new("session", 7);

    return uv_blob_encode(set, 42, session);
}

static void test_round_trip(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(UvVarset) set = example();
    g_autoptr(GBytes) bytes = example_blob();
    g_autoptr(UvBlob) blob = uv_blob_decode(bytes, &error);
    const UvVariable *v = uv_varset_first(set);

    g_assert_no_error(error);
    g_assert_cmpuint(blob->generation, ==, 42);
    g_assert_cmpuint(blob->variables->len, ==, 3);
    g_assert_cmpuint(g_bytes_get_size(blob->session), ==, 7);
    for (guint i = 0; i < 3; i++) {
        const UvVariable *other = blob->variables->pdata[i];
        while (!uv_variable_is_nv(v))
            v = uv_varset_next(set, v);
        g_assert_true(uv_name_equal(v->name, other->name));
        g_assert_true(uv_variable_same(v, other));
        g_assert_cmpint(v->mtime_ns, ==, other->mtime_ns);
        g_assert_cmpuint(v->monotonic_count, ==, other->monotonic_count);
        v = uv_varset_next(set, v);
    }
}

/* A digest that a JSON store can't have: the store that it is loaded into could not be read again.
 */
static void test_long_digest(void)
{
    for (size_t size = 64; size <= 65; size++) {
        g_autoptr(UvVarset) set = uv_varset_new();
        g_autoptr(UvVariable) plain = variable("P", 0x27, 1);
        g_autofree char *text = g_strnfill(size, 'd');
        g_autoptr(GBytes) digest = g_bytes_new(text, size), session = g_bytes_new("session", 7);
        UvVariable fields = *plain;

        fields.digest = digest;
        g_autoptr(UvVariable) signed_one = uv_variable_new(&fields);
        uv_varset_put(set, signed_one);
        g_autoptr(GBytes) bytes = uv_blob_encode(set, 1, session);
        g_autoptr(UvBlob) blob = uv_blob_decode(bytes, NULL);
        g_assert_cmpint(blob != NULL, ==, size == 64);
    }
}

/* No byte of it may differ, and none may be missing. */
static void test_damaged(void)
{
    g_autoptr(GBytes) bytes = example_blob();
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);

    for (gsize i = 0; i < size; i++) {
        g_autoptr(GError) error = NULL;
        g_autofree uint8_t *copy = g_memdup2(data, size);
        copy[i] ^= 0x10;
        g_autoptr(GBytes) changed = g_bytes_new(copy, size);
        g_autoptr(GBytes) cut = g_bytes_new(data, i);
        g_assert_null(uv_blob_decode(changed, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
        g_assert_null(uv_blob_decode(cut, &error));
        g_assert_nonnull(error);
    }
}

/* With a digest that fits: the body itself must be sound. */
static GBytes *sealed(const uint8_t *body, size_t size)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[32];
    gsize length = sizeof(digest);
    g_auto(UvWriter) writer;

    g_checksum_update(checksum, body, size);
    g_checksum_get_digest(checksum, digest, &length);
    writer = uv_writer(1 << 20);
    uv_write_bytes(&writer, "UVSTATE", 8);
    uv_write_u32(&writer, 1);
    uv_write_u32(&writer, size);
    uv_write_bytes(&writer, digest, sizeof(digest));
    uv_write_bytes(&writer, body, size);
    return uv_writer_steal(&writer);
}

static void test_hostile_body(void)
{
    g_autoptr(GBytes) bytes = example_blob();
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    const size_t body_bytes = size - HEADER_BYTES;

    for (size_t i = 0; i < body_bytes; i++) {
        g_autofree uint8_t *body = g_memdup2(data + HEADER_BYTES, body_bytes);
        body[i] = 0xff;
        g_autoptr(GBytes) blob_bytes = sealed(body, body_bytes);
        /* Either is fine, as long as nothing is read that is not there (ASAN). */
        uv_blob_free(uv_blob_decode(blob_bytes, NULL));
    }
    /* The count asks for more than is there. */
    g_autofree uint8_t *body = g_memdup2(data + HEADER_BYTES, body_bytes);
    body[8] = 200;
    g_autoptr(GBytes) blob_bytes = sealed(body, body_bytes);
    g_assert_null(uv_blob_decode(blob_bytes, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/blob/round-trip", test_round_trip);
    g_test_add_func("/blob/damaged", test_damaged);
    g_test_add_func("/blob/hostile-body", test_hostile_body);
    g_test_add_func("/blob/long-digest", test_long_digest);
    return g_test_run();
}
