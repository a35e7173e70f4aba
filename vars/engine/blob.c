/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "blob.h"

#include <gio/gio.h>
#include <string.h>

#include "digest.h"
#include "uv-limits.h"

#define MAGIC "UVSTATE" /* with its NUL: eight bytes */
#define VERSION 1u
#define HEADER_BYTES (8 + 4 + 4 + UV_DIGEST_BYTES)
/* Of the smallest variable: so a count cannot ask for more than is there. */
#define VARIABLE_MIN_BYTES 64

static void write_variable(UvWriter *writer, const UvVariable *variable)
{
    const size_t units = uv_name_units(variable->name);
    gsize size;

    uv_write_bytes(writer, variable->guid.bytes, sizeof(variable->guid.bytes));
    uv_write_u32(writer, variable->attributes);
    uv_write_u32(writer, 2 * units);
    uv_write_bytes(writer, uv_name_utf16le(variable->name), 2 * units);
    const void *data = g_bytes_get_data(variable->data, &size);
    uv_write_u32(writer, size);
    uv_write_bytes(writer, data, size);
    uv_write_bytes(writer, variable->time, sizeof(variable->time));
    const void *digest = NULL;
    size = 0;
    if (variable->digest)
        digest = g_bytes_get_data(variable->digest, &size);
    uv_write_u16(writer, size);
    uv_write_bytes(writer, digest, size);
    uv_write_u64(writer, variable->mtime_ns);
    uv_write_u64(writer, variable->monotonic_count);
    uv_write_u32(writer, variable->pubkey_index);
}

static GBytes *encode_body(const UvVarset *set, uint64_t generation, GBytes *session)
{
    g_auto(UvWriter) writer = {0};
    gsize session_bytes;
    const void *session_data = g_bytes_get_data(session, &session_bytes);
    uint32_t count = 0;

    uv_writer_init(&writer, UV_FRAME_BLOB_MAX - HEADER_BYTES);
    uv_write_u64(&writer, generation);
    uv_write_u32(&writer, 0);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (!uv_variable_is_nv(v))
            continue;
        write_variable(&writer, v);
        count++;
    }
    uv_write_u32_at(&writer, 8, count);
    uv_write_bytes(&writer, session_data, session_bytes);
    return uv_writer_steal(&writer);
}

GBytes *uv_blob_encode(const UvVarset *set, uint64_t generation, GBytes *session)
{
    g_autoptr(GBytes) body = encode_body(set, generation, session);
    g_auto(UvWriter) writer = {0};
    UvDigest digest;
    gsize size;

    if (!body)
        return NULL;
    const void *data = g_bytes_get_data(body, &size);
    uv_digest_of(data, size, &digest);
    uv_writer_init(&writer, UV_FRAME_BLOB_MAX);
    uv_write_bytes(&writer, MAGIC, 8);
    uv_write_u32(&writer, VERSION);
    uv_write_u32(&writer, size);
    uv_write_bytes(&writer, digest.bytes, sizeof digest.bytes);
    uv_write_bytes(&writer, data, size);
    return uv_writer_steal(&writer);
}

static UvVariable *read_variable(UvReader *reader)
{
    UvVariable fields = {0};
    const uint8_t *guid = uv_read_bytes(reader, sizeof(fields.guid.bytes));
    fields.attributes = uv_read_u32(reader);
    const size_t name_bytes = uv_read_u32(reader);
    const uint8_t *name_data = uv_read_bytes(reader, name_bytes);
    const size_t data_bytes = uv_read_u32(reader);
    const uint8_t *data = uv_read_bytes(reader, data_bytes);
    const uint8_t *time = uv_read_bytes(reader, sizeof(fields.time));
    const size_t digest_bytes = uv_read_u16(reader);
    const uint8_t *digest = uv_read_bytes(reader, digest_bytes);
    fields.mtime_ns = uv_read_u64(reader);
    fields.monotonic_count = uv_read_u64(reader);
    fields.pubkey_index = uv_read_u32(reader);

    if (reader->failed || name_bytes % 2 != 0 || digest_bytes > UV_SIGNER_DIGEST_MAX ||
        !(fields.attributes & EFI_VARIABLE_NON_VOLATILE) ||
        (fields.attributes & ~(EFI_VARIABLE_ATTRIBUTES_MASK & ~EFI_VARIABLE_APPEND_WRITE)))
        return NULL;
    g_autoptr(UvName) name = uv_name_new_utf16le(name_data, name_bytes / 2);
    if (!name)
        return NULL;
    g_autoptr(GBytes) data_copy = g_bytes_new(data, data_bytes);
    g_autoptr(GBytes) digest_copy = digest_bytes > 0 ? g_bytes_new(digest, digest_bytes) : NULL;
    memcpy(fields.guid.bytes, guid, sizeof(fields.guid.bytes));
    memcpy(fields.time, time, sizeof(fields.time));
    fields.name = name;
    fields.data = data_copy;
    fields.digest = digest_copy;
    return uv_variable_new(&fields);
}

static bool read_body(UvReader *reader, UvBlob *blob)
{
    g_autoptr(UvVarset) seen = uv_varset_new();

    blob->generation = uv_read_u64(reader);
    const uint32_t count = uv_read_u32(reader);
    if (reader->failed || count > reader->left / VARIABLE_MIN_BYTES)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        g_autoptr(UvVariable) variable = read_variable(reader);
        if (!variable || uv_varset_lookup(seen, &variable->guid, variable->name))
            return false;
        uv_varset_put(seen, variable);
        g_ptr_array_add(blob->variables, g_steal_pointer(&variable));
    }
    blob->session = g_bytes_new(reader->at, reader->left);
    return true;
}

static UvBlob *refuse(const char *why, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "state blob: %s", why);
    return NULL;
}

UvBlob *uv_blob_decode(GBytes *bytes, GError **error)
{
    UvReader reader;
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    UvDigest digest;

    uv_reader_init(&reader, data, size);
    const uint8_t *magic = uv_read_bytes(&reader, 8);
    if (!magic || memcmp(magic, MAGIC, 8) != 0)
        return refuse("not one (no magic)", error);
    const uint32_t version = uv_read_u32(&reader);
    const uint32_t length = uv_read_u32(&reader);
    const uint8_t *wanted = uv_read_bytes(&reader, UV_DIGEST_BYTES);
    if (!reader.failed && version != VERSION)
        return refuse("of an unknown version", error);
    if (!wanted || reader.left != length)
        return refuse("its length is not what its header says", error);
    uv_digest_of(reader.at, reader.left, &digest);
    if (memcmp(digest.bytes, wanted, UV_DIGEST_BYTES) != 0)
        return refuse("damaged (SHA-256 differs)", error);

    g_autoptr(UvBlob) blob = g_new0(UvBlob, 1);
    blob->variables = g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);
    if (!read_body(&reader, blob))
        return refuse("a variable in it is malformed", error);
    return g_steal_pointer(&blob);
}

void uv_blob_free(UvBlob *blob)
{
    if (!blob)
        return;
    g_ptr_array_unref(blob->variables);
    if (blob->session)
        g_bytes_unref(blob->session);
    g_free(blob);
}
