/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "uboot-file.h"

#include "bytes.h"
#include "digest.h"
#include "efi-abi.h"
#include "store.h"
#include "uv-limits.h"
#include "varset.h"

#include <inttypes.h>
#include <string.h>

#define HEADER_BYTES 24u
#define LENGTH_AT 16u
#define CRC_AT 20u
#define CRC32 0xedb88320u
#define REVISION 1u
#define ENTRY_ALIGN 8u
#define ENTRY_ATTRIBUTES_AT 4u
#define ENTRY_TIME_AT 8u
#define ENTRY_NAME_AT 32u
/* U-Boot's own mark of what it does not let be written. */
#define READ_ONLY 0x80000000u
/* What an EFI_TIME can say ends with the year 9999. */
#define TIME_MAX INT64_C(253402300799)

typedef struct {
    const char *name;
    const uint8_t *bytes; /* of the file */
    UvReader reader;      /* over what the header says is there */
    GError **error;
} Loader;

static bool fail_at(const Loader *loader, size_t offset, const char *expected)
{
    return uv_fail(loader->error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                   "%s: offset 0x%zx: expected %s", loader->name, offset, expected);
}

static size_t offset_of(const Loader *loader)
{
    return loader->reader.at - loader->bytes;
}

static bool read_header(Loader *loader, size_t size)
{
    UvReader all = loader->reader;
    const uint64_t reserved = uv_read_u64(&all);
    const uint8_t *magic = uv_read_bytes(&all, strlen(UV_UBOOT_MAGIC));
    const uint8_t revision = uv_read_u8(&all);
    const uint32_t length = uv_read_u32(&all), crc = uv_read_u32(&all);

    if (all.failed)
        return fail_at(loader, size, "the rest of a header of 24 bytes");
    if (reserved != 0)
        return fail_at(loader, 0, "8 zero bytes");
    if (memcmp(magic, UV_UBOOT_MAGIC, strlen(UV_UBOOT_MAGIC)) != 0 || revision != REVISION)
        return fail_at(loader, UV_UBOOT_MAGIC_AT, "\"" UV_UBOOT_MAGIC "\" and revision 1");
    if (length < HEADER_BYTES || length > size)
        return fail_at(loader, LENGTH_AT, "a length between the header's and the file's");
    loader->reader = uv_read_sub(&all, length - HEADER_BYTES);
    if (uv_crc(CRC32, UINT32_MAX, 0, loader->reader.at, loader->reader.left) != crc)
        return fail_at(loader, CRC_AT, "the CRC-32 of the variables that follow");
    return true;
}

/* NULL: no NUL ends it, or it is empty. */
static UvName *read_name(UvReader *reader)
{
    UvReader at = *reader;
    size_t units = 0;

    while (!at.failed && uv_read_u16(&at) != 0)
        units++;
    if (at.failed || units == 0)
        return NULL;
    const uint8_t *bytes = reader->at;
    *reader = at;
    return uv_name_new_utf16le(bytes, units);
}

static bool put_time(uint64_t seconds, uint8_t ret_time[EFI_TIME_BYTES])
{
    memset(ret_time, 0, EFI_TIME_BYTES);
    if (seconds == 0)
        return true;
    g_autoptr(GDateTime) date =
        seconds > TIME_MAX ? NULL : g_date_time_new_from_unix_utc((gint64)seconds);
    if (!date)
        return false;
    uv_put_le(ret_time, g_date_time_get_year(date), 2);
    ret_time[2] = g_date_time_get_month(date);
    ret_time[3] = g_date_time_get_day_of_month(date);
    ret_time[4] = g_date_time_get_hour(date);
    ret_time[5] = g_date_time_get_minute(date);
    ret_time[6] = g_date_time_get_second(date);
    return true;
}

static void skip_padding(Loader *loader)
{
    const size_t over = offset_of(loader) % ENTRY_ALIGN;

    if (over)
        (void)uv_read_bytes(&loader->reader, MIN(ENTRY_ALIGN - over, loader->reader.left));
}

/* Without its data, if that is empty: then it is none. */
static bool read_entry(Loader *loader, UvVariable **ret_variable)
{
    UvReader *reader = &loader->reader;
    const size_t at = offset_of(loader);
    const uint32_t length = uv_read_u32(reader), marked = uv_read_u32(reader);
    const uint64_t seconds = uv_read_u64(reader);
    const uint8_t *guid = uv_read_bytes(reader, sizeof(UvGuid));
    g_autoptr(UvName) name = reader->failed ? NULL : read_name(reader);
    UvVariable fields = {.name = name, .attributes = marked & ~READ_ONLY};

    *ret_variable = NULL;
    if (!guid)
        return fail_at(loader, at, "the rest of a variable's header of 32 bytes");
    if (!name)
        return fail_at(loader, at + ENTRY_NAME_AT, "a name that ends with a NUL");
    if (fields.attributes & (~EFI_VARIABLE_ATTRIBUTES_MASK | EFI_VARIABLE_APPEND_WRITE))
        return fail_at(loader, at + ENTRY_ATTRIBUTES_AT, "attributes of UEFI's");
    if (!put_time(seconds, fields.time))
        return fail_at(loader, at + ENTRY_TIME_AT, "a time before the year 10000");
    const uint8_t *data = uv_read_bytes(reader, length);
    if (!data)
        return fail_at(loader, at, "no more bytes of data than there are");
    memcpy(fields.guid.bytes, guid, sizeof(fields.guid.bytes));
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);
    fields.data = bytes;
    if (length > 0)
        *ret_variable = uv_variable_new(&fields);
    skip_padding(loader);
    return true;
}

static bool read_entries(Loader *loader, UvVarset *set, GPtrArray *variables,
                         unsigned *ret_left_out)
{
    while (loader->reader.left > 0) {
        g_autoptr(UvVariable) variable = NULL;
        const size_t at = offset_of(loader);

        if (!read_entry(loader, &variable))
            return false;
        if (!variable || uv_varset_lookup(set, &variable->guid, variable->name))
            continue;
        if (!uv_variable_is_nv(variable)) {
            (*ret_left_out)++;
            continue;
        }
        uv_varset_put(set, variable);
        if (uv_varset_used_bytes(set, true) > UV_STORAGE_MAX)
            return fail_at(loader, at, UV_STORE_NOT_LARGER);
        g_ptr_array_add(variables, g_steal_pointer(&variable));
    }
    return true;
}

GPtrArray *uv_uboot_parse(const char *name, const void *bytes, size_t size, unsigned *ret_left_out,
                          GError **error)
{
    Loader loader = {.name = name, .bytes = bytes, .error = error};
    g_autoptr(UvVarset) set = uv_varset_new(); /* finds names that are there twice */
    g_autoptr(GPtrArray) variables =
        g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);

    *ret_left_out = 0;
    loader.reader = uv_reader(bytes, size);
    if (!read_header(&loader, size) || !read_entries(&loader, set, variables, ret_left_out))
        return NULL;
    return g_steal_pointer(&variables);
}
