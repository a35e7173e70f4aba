/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "bytes.h"

static const uint8_t input[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void test_read(void)
{
    UvReader reader = uv_reader(input, sizeof(input));

    g_assert_cmphex(uv_read_u8(&reader), ==, 0x01);
    g_assert_cmphex(uv_read_u16(&reader), ==, 0x0302);
    g_assert_cmphex(uv_read_u32(&reader), ==, 0x07060504);
    g_assert_cmphex(uv_read_u64(&reader), ==, 0x0f0e0d0c0b0a0908);
    g_assert_true(uv_reader_done(&reader));
    g_assert_nonnull(uv_read_bytes(&reader, 0));
    g_assert_true(uv_reader_done(&reader));
}

static void test_read_past_end(void)
{
    UvReader reader = uv_reader(input, 3);

    g_assert_cmphex(uv_read_u32(&reader), ==, 0);
    g_assert_true(reader.failed);
    g_assert_cmphex(uv_read_u8(&reader), ==, 0); /* sticks, though three bytes were there */
    g_assert_null(uv_read_bytes(&reader, 0));
    g_assert_false(uv_reader_done(&reader));

    reader = uv_reader(input, 3);
    g_assert_null(uv_read_bytes(&reader, SIZE_MAX));
    g_assert_false(uv_reader_done(&reader));

    reader = uv_reader(NULL, 0);
    g_assert_nonnull(uv_read_bytes(&reader, 0));
    g_assert_true(uv_reader_done(&reader));
}

static void test_read_sub(void)
{
    UvReader reader = uv_reader(input, sizeof(input));

    UvReader sub = uv_read_sub(&reader, 2);
    g_assert_cmphex(uv_read_u16(&sub), ==, 0x0201);
    g_assert_true(uv_reader_done(&sub));
    uv_read_u8(&sub);
    g_assert_true(sub.failed);
    g_assert_cmphex(uv_read_u8(&reader), ==, 3); /* the outer one goes on */

    sub = uv_read_sub(&reader, 100);
    g_assert_true(sub.failed);
    g_assert_true(reader.failed);
    g_assert_cmphex(uv_read_u8(&sub), ==, 0);
}

static void test_write(void)
{
    const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0xaa};
    g_auto(UvWriter) writer = uv_writer(sizeof(expected));

    uv_write_u8(&writer, 0x01);
    uv_write_u16(&writer, 0x0302);
    uv_write_u32(&writer, 0);
    uv_write_u64(&writer, 0);
    uv_write_zeros(&writer, 2);
    uv_write_bytes(&writer, "\xaa", 1);
    uv_write_u32_at(&writer, 3, 0x07060504);
    uv_write_u64_at(&writer, 7, 0x0f0e0d0c0b0a0908);
    g_autoptr(GBytes) bytes = uv_writer_steal(&writer);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), expected,
                    sizeof(expected));
    g_assert_cmpuint(uv_writer_size(&writer), ==, 0);
}

static void test_write_past_cap(void)
{
    g_auto(UvWriter) writer = uv_writer(4);

    uv_write_u64(&writer, 1);
    uv_write_u8(&writer, 1); /* would fit, but the failure sticks */
    g_assert_true(writer.failed);
    g_assert_cmpuint(uv_writer_size(&writer), ==, 0);
    g_assert_null(uv_writer_steal(&writer));

    uv_write_u32(&writer, 7); /* usable again after the steal */
    uv_write_u32_at(&writer, 1, 7);
    g_assert_true(writer.failed);
    g_assert_null(uv_writer_steal(&writer));

    uv_write_u32(&writer, 7);
    uv_write_u64_at(&writer, SIZE_MAX - 3, 7);
    g_assert_true(writer.failed);
}

static void test_are(void)
{
    const uint8_t bytes[] = {0xff, 0xff, 0xff, 0};

    g_assert_true(uv_bytes_are(bytes, 0, 7));
    g_assert_true(uv_bytes_are(bytes, 1, 0xff));
    g_assert_true(uv_bytes_are(bytes, 3, 0xff));
    g_assert_false(uv_bytes_are(bytes, 4, 0xff));
    g_assert_false(uv_bytes_are(bytes, 3, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bytes/read", test_read);
    g_test_add_func("/bytes/read-past-end", test_read_past_end);
    g_test_add_func("/bytes/read-sub", test_read_sub);
    g_test_add_func("/bytes/write", test_write);
    g_test_add_func("/bytes/write-past-cap", test_write_past_cap);
    g_test_add_func("/bytes/are", test_are);
    return g_test_run();
}
