/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "blob.h"

#include <glib.h>
#include <string.h>

#include "digest.h"
#include "variable-codec.h"
#include "wire.h"

#define MAGIC "UVSTATE" /* with its NUL: eight bytes */
#define VERSION 1u
#define HEADER_BYTES (8 + 4 + 4 + UV_DIGEST_BYTES)

static GBytes *encode_body(const UvVarset *set, uint64_t generation, GBytes *session)
{
    uint32_t count = 0;
    g_auto(UvWriter) writer = uv_writer(UV_WIRE_BLOB_MAX - HEADER_BYTES);

    uv_write_u64(&writer, generation);
    uv_write_u32(&writer, 0);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (!uv_variable_is_nv(v))
            continue;
        uv_variable_write(&writer, v);
        count++;
    }
    uv_write_u32_at(&writer, 8, count);
    uv_write_gbytes(&writer, session);
    return uv_writer_steal(&writer);
}

GBytes *uv_blob_encode(const UvVarset *set, uint64_t generation, GBytes *session)
{
    g_autoptr(GBytes) body = encode_body(set, generation, session);

    if (!body)
        return NULL;
    const UvDigest digest = uv_digest_of_bytes(body);
    g_auto(UvWriter) writer = uv_writer(UV_WIRE_BLOB_MAX);
    uv_write_bytes(&writer, MAGIC, 8);
    uv_write_u32(&writer, VERSION);
    uv_write_u32(&writer, g_bytes_get_size(body));
    uv_write_bytes(&writer, digest.bytes, sizeof(digest.bytes));
    uv_write_gbytes(&writer, body);
    return uv_writer_steal(&writer);
}

static bool read_body(UvReader *reader, UvBlob *blob)
{
    g_autoptr(UvVarset) seen = uv_varset_new();

    blob->generation = uv_read_u64(reader);
    const uint32_t count = uv_read_u32(reader);
    /* A count cannot ask for more than is there. */
    if (reader->failed || count > reader->left / UV_VARIABLE_LAYOUT_BYTES_MIN)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        g_autoptr(UvVariable) variable = uv_variable_read(reader, UV_VARIABLE_LAYOUT);
        if (!variable || !uv_variable_is_nv(variable) ||
            uv_varset_lookup(seen, &variable->guid, variable->name))
            return false;
        uv_varset_put(seen, variable);
        g_ptr_array_add(blob->variables, g_steal_pointer(&variable));
    }
    blob->session = g_bytes_new(reader->at, reader->left);
    return true;
}

static UvBlob *refuse(const char *why, GError **error)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "state blob: %s", why);
    return NULL;
}

UvBlob *uv_blob_decode(GBytes *bytes, GError **error)
{
    UvDigest digest;
    UvReader reader = uv_reader_of(bytes);
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
