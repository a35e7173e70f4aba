/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "variable-codec.h"

#include <string.h>

#include "efi-abi.h"
#include "uv-limits.h"

/* The digest's size in old layouts where there is no digest. */
#define NO_DIGEST UINT32_MAX

/* Each field of a layout by a letter; read_field() knows them. */
static const char *const layouts[] = {
    [UV_VARIABLE_LAYOUT] = "gansthmck",
    [UV_VARIABLE_LAYOUT_JOURNAL_1] = "gNatmHs",
    [UV_VARIABLE_LAYOUT_SESSION_1] = "gatmnsH",
};

/* Where the fields are in the input; numbers are in `variable`. */
typedef struct {
    UvVariable variable;
    const uint8_t *time;
    UvReader name, data, digest;
} Fields;

void uv_variable_write(UvWriter *writer, const UvVariable *variable)
{
    const size_t name_bytes = 2 * uv_name_units(variable->name);

    uv_write_bytes(writer, variable->guid.bytes, sizeof(variable->guid.bytes));
    uv_write_u32(writer, variable->attributes);
    uv_write_u32(writer, name_bytes);
    uv_write_bytes(writer, uv_name_utf16le(variable->name), name_bytes);
    uv_write_u32(writer, g_bytes_get_size(variable->data));
    uv_write_gbytes(writer, variable->data);
    uv_write_bytes(writer, variable->time, sizeof(variable->time));
    uv_write_u16(writer, variable->digest ? g_bytes_get_size(variable->digest) : 0);
    uv_write_gbytes(writer, variable->digest);
    uv_write_u64(writer, variable->mtime_ns);
    uv_write_u64(writer, variable->monotonic_count);
    uv_write_u32(writer, variable->pubkey_index);
}

static UvReader read_units(UvReader *reader)
{
    const uint32_t units = uv_read_u32(reader);

    return uv_read_sub(reader, 2 * (size_t)units);
}

static UvReader read_old_digest(UvReader *reader)
{
    const uint32_t size = uv_read_u32(reader);

    return uv_read_sub(reader, size == NO_DIGEST ? 0 : size);
}

static void read_field(UvReader *reader, char field, Fields *fields)
{
    switch (field) {
    case 'g':
        fields->variable.guid = uv_read_guid(reader);
        break;
    case 'a':
        fields->variable.attributes = uv_read_u32(reader);
        break;
    case 'n':
        fields->name = uv_read_sub(reader, uv_read_u32(reader));
        break;
    case 'N':
        fields->name = read_units(reader);
        break;
    case 's':
        fields->data = uv_read_sub(reader, uv_read_u32(reader));
        break;
    case 't':
        fields->time = uv_read_bytes(reader, sizeof(fields->variable.time));
        break;
    case 'h':
        fields->digest = uv_read_sub(reader, uv_read_u16(reader));
        break;
    case 'H':
        fields->digest = read_old_digest(reader);
        break;
    case 'm':
        fields->variable.mtime_ns = uv_read_u64(reader);
        break;
    case 'c':
        fields->variable.monotonic_count = uv_read_u64(reader);
        break;
    case 'k':
        fields->variable.pubkey_index = uv_read_u32(reader);
        break;
    default:
        g_assert_not_reached();
    }
}

UvVariable *uv_variable_read(UvReader *reader, UvVariableLayout layout)
{
    Fields fields = {0};
    g_autoptr(UvName) name = NULL;
    g_autoptr(GBytes) data = NULL, digest = NULL;
    UvVariable *variable = &fields.variable;

    for (const char *field = layouts[layout]; *field; field++)
        read_field(reader, *field, &fields);
    if (reader->failed || fields.name.left % 2 != 0 || fields.digest.left > UV_SIGNER_DIGEST_MAX ||
        (variable->attributes & (~EFI_VARIABLE_ATTRIBUTES_MASK | EFI_VARIABLE_APPEND_WRITE)))
        return NULL;
    name = uv_name_new_utf16le(fields.name.at, fields.name.left / 2);
    if (!name)
        return NULL;
    data = g_bytes_new(fields.data.at, fields.data.left);
    digest = fields.digest.left > 0 ? g_bytes_new(fields.digest.at, fields.digest.left) : NULL;
    memcpy(variable->time, fields.time, sizeof(variable->time));
    variable->name = name;
    variable->data = data;
    variable->digest = digest;
    return uv_variable_new(variable);
}
