/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "times.h"

#include "bytes.h"
#include "checked-file.h"
#include "digest.h"
#include "uv-limits.h"

#include <string.h>

/* Of SHA-256: enough to tell contents apart. */
#define TAG_BYTES 16
#define META_MAX (16u * 1024 * 1024)

static const uint8_t magic[8] = {'u', 'v', 'm', 'e', 't', 'a', 0, 1};

/* Key and content of a variable: an entry is found by it, and fits if it is found. */
static void variable_digest(const UvVariable *variable, uint8_t ret_digest[TAG_BYTES])
{
    g_auto(UvWriter) head = {0};
    g_autoptr(GBytes) bytes = NULL;
    UvDigest digest;

    uv_writer_init(&head, UV_JSON_FILE_MAX);
    uv_write_bytes(&head, variable->guid.bytes, sizeof variable->guid.bytes);
    uv_write_u32(&head, variable->attributes);
    uv_write_bytes(&head, variable->time, sizeof variable->time);
    uv_write_bytes(&head, uv_name_utf16le(variable->name), uv_name_size_bytes(variable->name));
    bytes = uv_writer_steal(&head);
    uv_digest_of_two(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                     g_bytes_get_data(variable->data, NULL), g_bytes_get_size(variable->data),
                     &digest);
    memcpy(ret_digest, digest.bytes, TAG_BYTES);
}

/* From digest (16 bytes, base64 for want of a binary key) to time. */
static GHashTable *read_times(UvFolder *folder)
{
    g_autoptr(GBytes) bytes = uv_checked_file_read(folder, UV_FILE_META, magic, META_MAX);
    GHashTable *times = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    UvReader reader;

    if (!bytes)
        return times;
    uv_reader_init(&reader, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    while (reader.left > 0 && !reader.failed) {
        const uint8_t *digest = uv_read_bytes(&reader, TAG_BYTES);
        int64_t mtime_ns = uv_read_u64(&reader);

        if (!reader.failed)
            g_hash_table_insert(times, g_base64_encode(digest, TAG_BYTES),
                                g_memdup2(&mtime_ns, sizeof mtime_ns));
    }
    return times;
}

static UvVariable *with_time(const UvVariable *variable, int64_t mtime_ns)
{
    UvVariable fields = *variable;

    fields.mtime_ns = mtime_ns;
    return uv_variable_new(&fields);
}

void uv_meta_load(UvFolder *folder, GPtrArray *variables, int64_t default_ns)
{
    g_autoptr(GHashTable) times = read_times(folder);

    for (guint i = 0; i < variables->len; i++) {
        g_autoptr(UvVariable) variable = variables->pdata[i];
        uint8_t digest[TAG_BYTES];
        g_autofree char *key = NULL;
        const int64_t *mtime_ns = NULL;

        if (variable->mtime_ns == 0 && g_hash_table_size(times) > 0) {
            variable_digest(variable, digest);
            key = g_base64_encode(digest, sizeof digest);
            mtime_ns = g_hash_table_lookup(times, key);
        }
        if (variable->mtime_ns == 0)
            variables->pdata[i] = with_time(variable, mtime_ns ? *mtime_ns : default_ns);
        else
            variables->pdata[i] = uv_variable_ref(variable);
    }
}

static GBytes *format(const UvVarset *set)
{
    g_auto(UvWriter) out = {0};

    uv_writer_init(&out, META_MAX);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        uint8_t digest[TAG_BYTES];

        if (!uv_variable_is_nv(v) || v->mtime_ns == 0)
            continue;
        variable_digest(v, digest);
        uv_write_bytes(&out, digest, sizeof digest);
        uv_write_u64(&out, v->mtime_ns);
    }
    return uv_writer_steal(&out);
}

bool uv_meta_save(UvFolder *folder, const UvVarset *set, GError **error)
{
    g_autoptr(GBytes) bytes = format(set);

    return !bytes || uv_checked_file_write(folder, UV_FILE_META, UV_FILE_META_TEMP, magic, bytes,
                                           false, error);
}
