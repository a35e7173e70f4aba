/* SPDX-License-Identifier: GPL-2.0-or-later */

/* U-Boot's file of variables: what it says, and where it is wrong. */

#include "bytes.h"
#include "digest.h"
#include "efi-abi.h"
#include "store.h"
#include "uboot-file.h"
#include "uv-limits.h"

#include <string.h>

#define FILE_MAX 65536u
#define HEADER_BYTES 24u
#define READ_ONLY 0x80000000u

static const UvGuid guid = UV_GUID(0x11111111u, 0x2222, 0x3333, 1, 2, 3, 4, 5, 6, 7, 8);

static void begin(UvWriter *file)
{
    *file = uv_writer(FILE_MAX);
    uv_write_u64(file, 0);
    uv_write_bytes(file, UV_UBOOT_MAGIC "\1", 8);
    uv_write_u64(file, 0);
}

static void pad(UvWriter *file)
{
    uv_write_zeros(file, -uv_writer_size(file) % 8);
}

static void add_at(UvWriter *file, const char *name, const char *data, uint32_t attributes,
                   uint64_t seconds)
{
    uv_write_u32(file, strlen(data));
    uv_write_u32(file, attributes);
    uv_write_u64(file, seconds);
    uv_write_bytes(file, guid.bytes, sizeof(guid.bytes));
    for (const char *c = name; *c; c++)
        uv_write_u16(file, *c);
    uv_write_u16(file, 0);
    uv_write_bytes(file, data, strlen(data));
    pad(file);
}

static void add(UvWriter *file, const char *name, const char *data)
{
    add_at(file, name, data, 7, 0);
}

/* Length and checksum over all that there is. */
static void seal(UvWriter *file)
{
    const size_t size = uv_writer_size(file);

    uv_write_u32_at(file, 16, size);
    uv_write_u32_at(
        file, 20,
        uv_crc(0xedb88320u, UINT32_MAX, 0, file->bytes + HEADER_BYTES, size - HEADER_BYTES));
}

static GPtrArray *parse_ok(const UvWriter *file, unsigned *ret_left_out)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *variables =
        uv_uboot_parse("u.var", file->bytes, uv_writer_size(file), ret_left_out, &error);

    g_assert_no_error(error);
    return variables;
}

static void assert_refused(const void *bytes, size_t size, const char *message)
{
    g_autoptr(GError) error = NULL;
    unsigned left_out;

    g_assert_null(uv_uboot_parse("u.var", bytes, size, &left_out, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE);
    g_assert_cmpstr(error->message, ==, message);
}

static void assert_sealed_refused(UvWriter *file, const char *message)
{
    seal(file);
    assert_refused(file->bytes, uv_writer_size(file), message);
}

static void assert_variable(const UvVariable *v, const char *name, const char *data)
{
    g_assert_true(uv_name_is(v->name, name));
    g_assert_true(uv_guid_equal(&v->guid, &guid));
    g_assert_cmpmem(g_bytes_get_data(v->data, NULL), g_bytes_get_size(v->data), data, strlen(data));
}

static void test_fields(void)
{
    static const uint8_t when[16] = {0xe7, 0x07, 11, 14, 22, 13, 20};
    g_auto(UvWriter) file;
    unsigned left_out;

    begin(&file);
    add(&file, "Boot0000", "one");
    add_at(&file, "db", "12345678", 0x27 | READ_ONLY, 1700000000);
    seal(&file);
    g_autoptr(GPtrArray) variables = parse_ok(&file, &left_out);
    const UvVariable *plain = variables->pdata[0], *signed_one = variables->pdata[1];

    g_assert_cmpuint(variables->len, ==, 2);
    g_assert_cmpuint(left_out, ==, 0);
    assert_variable(plain, "Boot0000", "one");
    g_assert_cmpuint(plain->attributes, ==, 7);
    g_assert_true(uv_bytes_are(plain->time, sizeof(plain->time), 0));
    assert_variable(signed_one, "db", "12345678");
    g_assert_cmpuint(signed_one->attributes, ==, 0x27);
    g_assert_cmpmem(signed_one->time, 16, when, 16);
}

/* None at all, more bytes than the header says, and no padding behind the last. */
static void test_ends(void)
{
    g_auto(UvWriter) file;
    unsigned left_out;

    begin(&file);
    seal(&file);
    g_autoptr(GPtrArray) none = parse_ok(&file, &left_out);
    g_assert_cmpuint(none->len, ==, 0);
    add(&file, "A", "1");
    seal(&file);
    uv_write_bytes(&file, "\xff\xff\xff\xff\xff", 5);
    g_autoptr(GPtrArray) longer = parse_ok(&file, &left_out);
    g_assert_cmpuint(longer->len, ==, 1);
    uv_writer_truncate(&file, HEADER_BYTES + 32 + 4 + 1);
    seal(&file);
    g_autoptr(GPtrArray) shorter = parse_ok(&file, &left_out);
    assert_variable(shorter->pdata[0], "A", "1");
}

static void test_left_out(void)
{
    g_auto(UvWriter) file;
    unsigned left_out;

    begin(&file);
    add(&file, "A", "first");
    add(&file, "A", "second");
    add(&file, "None", "");
    add_at(&file, "Volatile", "1", 6, 0);
    add(&file, "B", "1");
    seal(&file);
    g_autoptr(GPtrArray) variables = parse_ok(&file, &left_out);
    g_assert_cmpuint(variables->len, ==, 2);
    g_assert_cmpuint(left_out, ==, 1);
    assert_variable(variables->pdata[0], "A", "first");
    assert_variable(variables->pdata[1], "B", "1");
}

static void test_header(void)
{
    g_auto(UvWriter) file;

    begin(&file);
    add(&file, "A", "1");
    seal(&file);
    assert_refused(file.bytes, 23, "u.var: offset 0x17: expected the rest of a header of 24 bytes");
    assert_refused(file.bytes, uv_writer_size(&file) - 1,
                   "u.var: offset 0x10: expected a length between the header's and the file's");
    file.bytes[HEADER_BYTES + 36]++;
    assert_refused(file.bytes, uv_writer_size(&file),
                   "u.var: offset 0x14: expected the CRC-32 of the variables that follow");
    uv_write_u32_at(&file, 16, 23);
    assert_refused(file.bytes, uv_writer_size(&file),
                   "u.var: offset 0x10: expected a length between the header's and the file's");
    file.bytes[15] = 2;
    assert_refused(file.bytes, uv_writer_size(&file),
                   "u.var: offset 0x8: expected \"UbEfiVa\" and revision 1");
    file.bytes[0] = 1;
    assert_refused(file.bytes, uv_writer_size(&file), "u.var: offset 0x0: expected 8 zero bytes");
}

static void test_entries(void)
{
    g_auto(UvWriter) file;

    begin(&file);
    add(&file, "A", "1");
    uv_write_zeros(&file, 31);
    assert_sealed_refused(
        &file, "u.var: offset 0x40: expected the rest of a variable's header of 32 bytes");
    uv_write_zeros(&file, 1);
    assert_sealed_refused(&file, "u.var: offset 0x60: expected a name that ends with a NUL");
    uv_write_u16(&file, 0);
    assert_sealed_refused(&file, "u.var: offset 0x60: expected a name that ends with a NUL");
    uv_writer_truncate(&file, 0x40);
    add_at(&file, "B", "1", 0x47, 0);
    assert_sealed_refused(&file, "u.var: offset 0x44: expected attributes of UEFI's");
    uv_write_u32_at(&file, 0x44, 7);
    uv_write_u64_at(&file, 0x48, INT64_C(253402300800));
    assert_sealed_refused(&file, "u.var: offset 0x48: expected a time before the year 10000");
    uv_write_u64_at(&file, 0x48, 0);
    uv_write_u32_at(&file, 0x40, 5);
    assert_sealed_refused(&file,
                          "u.var: offset 0x40: expected no more bytes of data than there are");
    uv_write_u32_at(&file, 0x40, UINT32_MAX);
    assert_sealed_refused(&file,
                          "u.var: offset 0x40: expected no more bytes of data than there are");
}

/* A record in storage is larger than here. */
static void test_too_many(void)
{
    char name[] = "AAAA";
    unsigned left_out;
    g_autoptr(GError) error = NULL;
    g_auto(UvWriter) file = uv_writer(UV_UBOOT_FILE_MAX);

    uv_write_u64(&file, 0);
    uv_write_bytes(&file, UV_UBOOT_MAGIC "\1", 8);
    uv_write_u64(&file, 0);
    for (unsigned i = 0; i < 140000; i++) {
        for (unsigned at = 0, rest = i; at < 4; at++, rest /= 26)
            name[at] = (char)('A' + rest % 26);
        add(&file, name, "x");
    }
    seal(&file);
    g_assert_null(uv_uboot_parse("x", file.bytes, uv_writer_size(&file), &left_out, &error));
    g_assert_error(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE);
    g_assert_nonnull(strstr(error->message, "8 MiB"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uboot-file/fields", test_fields);
    g_test_add_func("/uboot-file/ends", test_ends);
    g_test_add_func("/uboot-file/left-out", test_left_out);
    g_test_add_func("/uboot-file/header", test_header);
    g_test_add_func("/uboot-file/entries", test_entries);
    g_test_add_func("/uboot-file/too-many", test_too_many);
    return g_test_run();
}
